"""Studies, series and instances leave as they came in, or in the form that was asked for."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import zipfile

import aiohttp
import pydicom
import pytest

from edge.dicom.instance import Availability
from edge.errors import NotDicom, PixelWorkersBusy, UndecodablePixels
from tests import samples
from tests.dicomweb.conftest import FILES, parts_of
from tests.dicomweb.doubles import EXPLICIT, RLE

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ZIP = "application/zip"


@pytest.mark.parametrize("name", FILES)
async def test_an_instance_leaves_as_it_came_in_for_who_takes_any_transfer_syntax(
    service, held, url, name
):
    instance = held[name]
    async with service.http.get(url(instance), headers={"Accept": AS_STORED}) as answer:
        assert answer.headers["Content-Type"].startswith(
            'multipart/related; type="application/dicom"; boundary='
        )
        assert "Content-Length" in answer.headers
        [(headers, body)] = await parts_of(answer)
    assert body == instance.data
    syntax = instance.entry.transfer_syntax
    assert headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("accept", ["*/*", 'multipart/related; type="application/dicom"'])
async def test_by_default_an_instance_comes_in_explicit_vr(service, held, url, name, accept):
    instance = held[name]
    async with service.http.get(url(instance), headers={"Accept": accept}) as answer:
        [(headers, body)] = await parts_of(answer)
    assert headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    found = pydicom.dcmread(io.BytesIO(body))
    assert found.file_meta.TransferSyntaxUID == EXPLICIT
    assert found.SOPInstanceUID == instance.entry.ref.sop_uid
    if instance.entry.transfer_syntax == EXPLICIT:
        assert body == instance.data


async def test_what_can_not_be_made_explicit_vr_comes_as_it_is_stored(service, held, url):
    instance = held["JPEG2000.dcm"]
    service.transcoding.undecodable = True
    async with service.http.get(url(instance)) as answer:
        assert [body for _, body in await parts_of(answer)] == [instance.data]
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'
    async with service.http.get(url(instance), headers={"Accept": accept}) as answer:
        assert answer.status == 406
        assert instance.entry.transfer_syntax in (await answer.json(content_type=None))["hint"]


async def test_a_transfer_syntax_is_made_of_what_is_stored_otherwise(service, held, url):
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={RLE}'
    async with service.http.get(url(held["CT_small.dcm"]), headers={"Accept": accept}) as answer:
        [(headers, body)] = await parts_of(answer)
    assert headers["content-type"] == f"application/dicom; transfer-syntax={RLE}"
    assert pydicom.dcmread(io.BytesIO(body)).file_meta.TransferSyntaxUID == RLE


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.3"])
async def test_what_is_not_used_on_the_web_is_not_made(service, held, url, syntax):
    accept = f"application/dicom; transfer-syntax={syntax}"
    async with service.http.get(url(held["CT_small.dcm"]), headers={"Accept": accept}) as answer:
        assert answer.status == 406


@pytest.mark.parametrize(
    ("error", "status"), [(UndecodablePixels("damaged"), 406), (PixelWorkersBusy("busy"), 503)]
)
async def test_pixels_that_can_not_be_had_are_a_status(service, held, url, error, status):
    service.transcoding.failing = error
    accept = {"Accept": f"application/dicom; transfer-syntax={EXPLICIT}"}
    async with service.http.get(url(held["JPEG2000.dcm"]), headers=accept) as answer:
        assert answer.status == status
        assert ("Retry-After" in answer.headers) is (status == 503)
        hint = (await answer.json(content_type=None)).get("hint", "")
    assert ('transfer-syntax="*"' in hint) is (status == 406)


@pytest.mark.parametrize("error", [UndecodablePixels("damaged"), NotDicom("it ends early")])
@pytest.mark.parametrize("kind", ["*/*", "application/dicom"])
async def test_what_turns_out_to_be_damaged_comes_as_it_is_stored(service, held, url, error, kind):
    service.transcoding.failing = error
    instance = held["JPEG2000.dcm"]
    async with service.http.get(url(instance), headers={"Accept": kind}) as answer:
        found = (answer.headers["Content-Type"], await answer.read())
        if kind == "*/*":
            [(headers, body)] = await parts_of(answer)
            found = (headers["content-type"], body)
    syntax = instance.entry.transfer_syntax
    assert found == (f"application/dicom; transfer-syntax={syntax}", instance.data)


async def test_one_damaged_image_does_not_keep_back_its_study(service, url, packaged):
    first, second = in_one_study(service, packaged("CT_small.dcm"), packaged("JPEG2000.dcm"))
    service.transcoding.failing = UndecodablePixels("damaged")
    async with service.http.get(url(first, level="study")) as answer:
        assert [body for _, body in await parts_of(answer)] == [first.data, second.data]
    service.transcoding.failing = PixelWorkersBusy("busy")
    async with service.http.get(url(second, level="series")) as answer:
        assert answer.status == 503


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
async def test_every_packaged_instance_comes_back_over_another_client(service, client):
    for path in samples.distinct_files():
        [instance] = service.retrieval.add(path)
        ref = instance.entry.ref
        client.protocol = "http"
        uids = (ref.study_uid, ref.series_uid, ref.sop_uid)
        dataset = await asyncio.to_thread(client.retrieve_instance, *uids)
        assert dataset.SOPInstanceUID == ref.sop_uid


async def test_an_instance_alone_needs_no_multipart(service, held, url):
    instance = held["CT_small.dcm"]
    async with service.http.get(url(instance), headers={"Accept": "application/dicom"}) as answer:
        assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
        assert answer.headers["Content-Length"] == str(len(instance.data))
        assert await answer.read() == instance.data


@pytest.mark.parametrize("level", ["study", "series"])
async def test_more_than_an_instance_is_never_single_part(service, held, url, level):
    target = url(held["CT_small.dcm"], level=level)
    async with service.http.get(target, headers={"Accept": "application/dicom"}) as answer:
        assert answer.status == 406
        assert "multipart/related" in (await answer.json(content_type=None))["hint"]


@pytest.mark.parametrize("nearline", [False, True])
async def test_a_study_leaves_whole_and_in_order(service, url, nearline):
    slices = list(samples.ct_series(5))
    instances = service.retrieval.add(*[piece.data for piece in slices])
    if nearline:
        service.retrieval.nearline = {instances[2].entry.ref.sop_uid}
    for level in ("study", "series"):
        async with service.http.get(url(instances[0], level=level)) as answer:
            assert ("Content-Length" in answer.headers) is not nearline
            assert [body for _, body in await parts_of(answer)] == [part.data for part in slices]


async def test_an_instance_is_only_found_in_its_own_study(service, held):
    ct, mr = held["CT_small.dcm"].entry.ref, held["MR_small_bigendian.dcm"].entry.ref
    path = f"/studies/{ct.study_uid}/series/{mr.series_uid}/instances/{mr.sop_uid}"
    async with service.http.get(service.base + path) as answer:
        assert answer.status == 404


async def test_a_study_is_refused_whole_when_one_instance_can_not_be_had(service, url, packaged):
    first, second = in_one_study(service, packaged("JPEG2000.dcm"), packaged("CT_small.dcm"))
    lossy = first.entry.transfer_syntax
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={lossy}'
    assert second.entry.transfer_syntax != lossy
    async with service.http.get(url(first, level="study"), headers={"Accept": accept}) as answer:
        assert answer.status == 406
    assert service.retrieval.opened == []


def in_one_study(service, *paths):
    """Instances of these files, in one study."""
    found = []
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", f"1.2.3.{number}"
        file = io.BytesIO()
        dataset.save_as(file)
        found += service.retrieval.add(file.getvalue())
    return found


async def test_each_instance_of_a_study_is_given_in_its_own_best_form(service, url, packaged):
    first, second = in_one_study(service, packaged("CT_small.dcm"), packaged("JPEG2000.dcm"))
    j2k = second.entry.transfer_syntax
    accept = ", ".join(
        f'multipart/related; type="application/dicom"; transfer-syntax={syntax};q={quality}'
        for syntax, quality in ((j2k, 1), (EXPLICIT, 0.5))
    )
    async with service.http.get(url(first, level="study"), headers={"Accept": accept}) as answer:
        found = [
            headers["content-type"].rpartition("=")[2] for headers, _ in await parts_of(answer)
        ]
    assert found == [EXPLICIT, j2k]


@pytest.mark.parametrize("level", ["study", "series"])
@pytest.mark.parametrize("way", ["header", "parameter"])
async def test_a_zip_holds_every_instance_as_it_is_stored(service, url, packaged, level, way):
    first, second = in_one_study(service, packaged("CT_small.dcm"), packaged("JPEG2000.dcm"))
    target = url(first, level=level)
    headers = {"Accept": ZIP if way == "header" else "text/html"}
    params = {} if way == "header" else {"accept": ZIP}
    async with service.http.get(target, headers=headers, params=params) as answer:
        assert answer.status == 200
        assert answer.content_type == ZIP
        assert 'attachment; filename="images-' in answer.headers["Content-Disposition"]
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    files = {name: archive.read(name) for name in archive.namelist()}
    assert files.pop("DICOMDIR")[128:132] == b"DICM"
    assert "DICOMDIR" in files.pop("README.TXT").decode()
    wanted = [first, second] if level == "study" else [first]
    assert list(files.values()) == [one.data for one in wanted]


async def test_a_zip_is_transcoded_for_who_asks_for_that(service, url, packaged):
    first, _ = in_one_study(service, packaged("CT_small.dcm"), packaged("JPEG2000.dcm"))
    accept = {"Accept": f"application/zip; transfer-syntax={EXPLICIT}"}
    async with service.http.get(url(first, level="study"), headers=accept) as answer:
        archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
    images = [archive.read(name) for name in archive.namelist() if name.startswith("DICOM/")]
    syntaxes = {pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID for data in images}
    assert syntaxes == {EXPLICIT}


async def test_a_study_that_was_never_here_is_weighed_when_it_comes(service, url, packaged):
    first, second = in_one_study(service, packaged("CT_small.dcm"), packaged("JPEG2000.dcm"))
    service.retrieval.nearline = {first.entry.ref.sop_uid, second.entry.ref.sop_uid}
    async with service.http.get(url(first, level="study")) as answer:
        found = await parts_of(answer)
    assert [h["content-type"] for h, _ in found] == [
        f"application/dicom; transfer-syntax={EXPLICIT}"
    ] * 2


async def test_a_range_of_an_instance_is_a_range_of_its_file(service, held, url):
    instance = held["CT_small.dcm"]
    headers = {"Accept": "application/dicom", "Range": "bytes=128-131"}
    async with service.http.get(url(instance), headers=headers) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 128-131/{len(instance.data)}"
        assert await answer.read() == b"DICM"


@pytest.mark.parametrize("accept", ["application/dicom", "*/*"])
async def test_a_copy_that_is_still_good_is_not_sent_again(service, held, url, accept):
    target, headers = url(held["CT_small.dcm"]), {"Accept": accept}
    async with service.http.get(target, headers=headers) as answer:
        tag = answer.headers["ETag"]
        assert tag.startswith("W/") is (accept == "*/*")  # each has a boundary of its own
    service.retrieval.opened.clear()
    headers["If-None-Match"] = f'"other", {tag}'
    async with service.http.get(target, headers=headers) as answer:
        assert answer.status == 304
        assert answer.headers["ETag"] == tag
        assert await answer.read() == b""
    assert service.retrieval.opened == []


@pytest.mark.parametrize("rest", ["", "metadata", "frames/1", "frames/1,1", "bulkdata/7FE00010"])
@pytest.mark.parametrize("accept", ["*/*", "multipart/related, application/dicom+json"])
async def test_head_answers_like_get_without_a_body(service, held, url, rest, accept):
    target, headers = url(held["CT_small.dcm"], rest), {"Accept": accept}
    async with service.http.get(target, headers=headers) as got:
        await got.read()
    async with service.http.head(target, headers=headers) as answer:
        assert answer.status == got.status == 200
        kind = got.headers["Content-Type"].partition("boundary")[0]
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers.get("Content-Length", got.headers.get("Content-Length")) == (
            got.headers.get("Content-Length")
        )
        assert await answer.read() == b""
    # The connection is still good: nothing of a body was sent.
    async with service.http.get(f"{service.base}/studies") as answer:
        assert answer.status == 200


async def test_head_opens_nothing(service, held, url):
    for rest in ("", "metadata", "frames/1"):
        async with service.http.head(url(held["CT_small.dcm"], rest)):
            pass
    assert service.retrieval.opened == []


async def test_the_accept_parameter_goes_before_the_header(service, held, url):
    target = url(held["CT_small.dcm"]) + "?accept=application/dicom"
    async with service.http.get(target, headers={"Accept": "text/html"}) as answer:
        assert answer.content_type == "application/dicom"


async def test_an_archive_that_rewrote_an_evicted_instance_breaks_no_answer(service, url):
    """Its old length is still known, and must not be announced (nor the next answer be spoilt)."""
    slices = list(samples.ct_series(2, rows=16, columns=16))
    instances = service.retrieval.add(*[piece.data for piece in slices])
    for change in (-10, 10):
        stale = dataclasses.replace(
            instances[0].entry,
            size=instances[0].entry.size + change,
            availability=Availability.NEARLINE,
        )
        service.retrieval.listed = {stale.ref.sop_uid: stale}
        for _ in range(2):
            async with service.http.get(url(instances[0], level="study")) as answer:
                assert "Content-Length" not in answer.headers
                found = [body for _, body in await parts_of(answer)]
            assert found == [piece.data for piece in slices]


async def test_an_instance_that_changed_after_its_length_was_said_tears_the_answer_off(
    service, url
):
    slices = list(samples.ct_series(2, rows=16, columns=16))
    instances = service.retrieval.add(*[piece.data for piece in slices])
    stale = dataclasses.replace(instances[1].entry, size=instances[1].entry.size + 10)
    service.retrieval.listed = {stale.ref.sop_uid: stale}
    async with service.http.get(url(instances[0], level="study")) as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
