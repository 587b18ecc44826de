"""Metadata: JSON and XML, with bulk values by URL."""

from __future__ import annotations

import json

import pytest

from edge.dicom.xml_model import from_xml
from tests import samples
from tests.dicomweb.conftest import parts_of

XML = "application/dicom+xml"


async def test_metadata_is_handed_on_with_urls_for_bulk_values(service, held, url):
    for instance in held.values():
        async with service.http.get(url(instance, "metadata")) as answer:
            assert answer.headers["Content-Type"] == "application/dicom+json"
            [found] = await answer.json(content_type=None)
        place = url(instance, "bulkdata/").encode()
        expected = instance.document.replace(b'"BulkDataURI":"', b'"BulkDataURI":"' + place)
        assert found == json.loads(expected)


async def test_metadata_of_a_study_is_one_list(service, url):
    instances = service.retrieval.add(*[part.data for part in samples.ct_series(30)])
    for level in ("study", "series"):
        async with service.http.get(url(instances[0], "metadata", level=level)) as answer:
            found = await answer.json(content_type=None)
        sops = [item["00080018"]["Value"][0] for item in found]
        assert sops == [instance.entry.ref.sop_uid for instance in instances]
        for item, sop in zip(found, sops, strict=True):
            assert f"/instances/{sop}/bulkdata/" in item["7FE00010"]["BulkDataURI"]


async def test_metadata_longer_than_a_piece_is_streamed(service, url, packaged):
    [instance] = service.retrieval.add(packaged("rtdose.dcm"))
    instance.document = instance.document[:-1] + b',"00091001":{"vr":"LT","Value":["'
    instance.document += b"x" * 600_000 + b'"]}}'
    async with service.http.get(url(instance, "metadata")) as answer:
        assert "Content-Length" not in answer.headers
        [found] = await answer.json(content_type=None)
    assert len(found["00091001"]["Value"][0]) == 600_000


async def test_text_that_looks_like_a_bulk_value_is_left_alone(service, url, packaged):
    [instance] = service.retrieval.add(packaged("CT_small.dcm"))
    trap = '"BulkDataURI":"7FE00010"'
    document = json.loads(instance.document)
    document["00104000"] = {"vr": "LT", "Value": [trap]}
    instance.document = json.dumps(document, separators=(",", ":")).encode()
    async with service.http.get(url(instance, "metadata")) as answer:
        [found] = await answer.json(content_type=None)
    assert found["00104000"]["Value"] == [trap]
    assert found["7FE00010"]["BulkDataURI"] == url(instance, "bulkdata/7FE00010")


async def test_xml_tells_the_same_as_json(service, held, url):
    for name in ("CT_small.dcm", "rtplan.dcm"):
        target = url(held[name], "metadata")
        async with service.http.get(target) as answer:
            [wanted] = await answer.json(content_type=None)
        accept = {"Accept": f'multipart/related; type="{XML}"'}
        async with service.http.get(target, headers=accept) as answer:
            [(headers, body)] = await parts_of(answer)
        assert headers == {"content-type": XML, "content-location": target}
        found = from_xml(body)
        assert found.keys() == wanted.keys()
        assert found["00080018"] == wanted["00080018"]
        if "7FE00010" in wanted:
            assert found["7FE00010"]["BulkDataURI"] == wanted["7FE00010"]["BulkDataURI"]
        async with service.http.get(target, headers={"Accept": XML}) as answer:
            assert answer.content_type == XML
            assert await answer.read() == body


async def test_xml_of_several_is_multipart_only(service, url):
    instances = service.retrieval.add(*[part.data for part in samples.ct_series(3)])
    target = url(instances[0], "metadata", level="series")
    accept = {"Accept": f"multipart/related; type={XML}"}
    async with service.http.get(target, headers=accept) as answer:
        bodies = [from_xml(body) for _, body in await parts_of(answer)]
    sops = [item["00080018"]["Value"][0] for item in bodies]
    assert sops == [instance.entry.ref.sop_uid for instance in instances]
    async with service.http.get(target, headers={"Accept": XML}) as answer:
        assert answer.status == 406


@pytest.mark.parametrize("accept", ["*/*", f'multipart/related; type="{XML}"', XML])
async def test_metadata_that_did_not_change_is_not_sent_again(service, held, url, accept):
    target = url(held["CT_small.dcm"], "metadata")
    async with service.http.get(target, headers={"Accept": accept}) as answer:
        tag = answer.headers["ETag"]
    headers = {"Accept": accept, "If-None-Match": tag}
    async with service.http.get(target, headers=headers) as answer:
        assert answer.status == 304


async def test_forms_of_metadata_have_tags_of_their_own(service, held, url):
    tags = set()
    for accept in ("application/dicom+json", "application/json", XML):
        target = url(held["CT_small.dcm"], "metadata")
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            tags.add(answer.headers["ETag"])
            assert "Accept" in answer.headers["Vary"]
    assert len(tags) == 3
