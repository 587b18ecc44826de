"""WADO-RS: bytes leave as they came in, in the form that was asked for."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json

import aiohttp
import pydicom
import pytest

from edge.dicom.instance import Availability
from edge.dicom.multipart import MultipartParser, PartData, PartStart, boundary_of
from tests import samples

ELE = "1.2.840.10008.1.2.1"
OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"

FILES = [
    "CT_small.dcm",  # explicit little endian
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle_2frame.dcm",
    "examples_ybr_color.dcm",  # JPEG, 30 frames
    "rtdose.dcm",  # implicit little endian, 15 frames
    "image_dfl.dcm",  # deflated
    "rtplan.dcm",  # no pixels
    "test-SR.dcm",
]


async def parts_of(answer):
    """Headers and body of each part."""
    parser = MultipartParser(boundary_of(answer.headers["Content-Type"]))
    found = []
    events = parser.feed(await answer.read())
    parser.finish()
    for event in events:
        if isinstance(event, PartStart):
            found.append((event.headers, bytearray()))
        elif isinstance(event, PartData):
            found[-1][1].extend(event.data)
    return [(headers, bytes(body)) for headers, body in found]


@pytest.fixture
def held(service, packaged):
    """Packaged instances of many kinds, by file name."""
    return {name: service.retrieval.add(packaged(name))[0] for name in FILES}


@pytest.mark.parametrize("name", FILES)
async def test_an_instance_leaves_as_it_came_in(service, held, url, name):
    instance = held[name]
    async with service.http.get(url(instance)) as answer:
        assert answer.headers["Content-Type"].startswith(
            'multipart/related; type="application/dicom"; boundary='
        )
        assert "Content-Length" in answer.headers
        [(headers, body)] = await parts_of(answer)
    assert body == instance.data
    syntax = instance.entry.transfer_syntax
    assert headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"


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
        assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={ELE}"
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


@pytest.mark.parametrize("rest", ["", "frames/1"])
async def test_a_transfer_syntax_that_is_not_stored_is_refused_for_now(service, held, url, rest):
    target = url(held["JPEG2000.dcm"], rest)
    kind = "application/octet-stream" if rest else "application/dicom"
    accept = f'multipart/related; type="{kind}"; transfer-syntax={ELE}'
    async with service.http.get(target, headers={"Accept": accept}) as answer:
        assert answer.status == 406
        assert "1.2.840.10008.1.2.4.91" in (await answer.json(content_type=None))["hint"]


async def test_a_study_is_refused_whole_when_one_instance_can_not_be_had(service, url, packaged):
    ct = packaged("CT_small.dcm").read_bytes()
    implicit = pydicom.dcmread(io.BytesIO(ct))
    implicit.SOPInstanceUID = implicit.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    implicit.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    written = io.BytesIO()
    pydicom.dcmwrite(written, implicit, implicit_vr=True, little_endian=True)
    first, second = service.retrieval.add(ct, written.getvalue())
    accept = {"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={ELE}'}
    async with service.http.get(url(first, level="study"), headers=accept) as answer:
        assert answer.status == 406
    # Of the second nothing is known until it is opened: then the answer breaks off.
    assert service.retrieval.opened == []
    service.retrieval.nearline = {first.entry.ref.sop_uid, second.entry.ref.sop_uid}
    async with service.http.get(url(second), headers=accept) as answer:
        assert answer.status == 406


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


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("CT_small.dcm", ELE),
        ("MR_small_bigendian.dcm", "1.2.840.10008.1.2.2"),
        ("image_dfl.dcm", ELE),
        ("rtdose.dcm", ELE),
        ("JPEG2000.dcm", "1.2.840.10008.1.2.4.91"),
        ("SC_rgb_rle_2frame.dcm", "1.2.840.10008.1.2.5"),
        ("examples_ybr_color.dcm", "1.2.840.10008.1.2.4.50"),
    ],
)
async def test_a_frame_names_its_transfer_syntax_in_its_part(service, held, url, name, syntax):
    instance = held[name]
    target = url(instance, "frames/1")
    async with service.http.get(target, headers={"Accept": OCTETS}) as answer:
        kind = 'multipart/related; type="application/octet-stream"'
        assert answer.headers["Content-Type"].startswith(kind)
        raw = await answer.read()
        [(headers, body)] = await parts_of(answer)
    assert body == instance.frames[0]
    assert headers == {"content-type": f"application/octet-stream; transfer-syntax={syntax}"}
    # Viewers look for the header in exactly this spelling.
    assert f"\r\nContent-Type: {headers['content-type']}\r\n\r\n".encode() in raw


async def test_frames_come_in_the_order_of_the_list(service, held, url):
    instance = held["rtdose.dcm"]
    for listed in ("1,2,3", "10%2C1", "7"):
        async with service.http.get(url(instance, f"frames/{listed}")) as answer:
            numbers = [int(number) for number in listed.replace("%2C", ",").split(",")]
            bodies = [body for _, body in await parts_of(answer)]
        assert bodies == [instance.frames[number - 1] for number in numbers]


@pytest.mark.parametrize(
    ("name", "accept", "given"),
    [
        ("CT_small.dcm", "application/octet-stream", "application/octet-stream"),
        ("JPEG2000.dcm", "image/jp2", "image/jp2"),
        ("JPEG2000.dcm", "image/*", "image/jp2"),
        ("JPEG2000.dcm", "application/octet-stream", "application/octet-stream"),
        ("SC_rgb_rle_2frame.dcm", "image/x-dicom-rle", "image/x-dicom-rle"),
        ("examples_ybr_color.dcm", "image/jpeg;q=0.5, text/html", "image/jpeg"),
    ],
)
async def test_one_frame_may_come_without_multipart(service, held, url, name, accept, given):
    instance = held[name]
    async with service.http.get(url(instance, "frames/1"), headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"].startswith(f"{given}; transfer-syntax=")
        assert await answer.read() == instance.frames[0]


async def test_several_frames_do_not_come_without_multipart(service, held, url):
    target = url(held["rtdose.dcm"], "frames/1,2")
    headers = {"Accept": "application/octet-stream"}
    async with service.http.get(target, headers=headers) as answer:
        assert answer.status == 406


@pytest.mark.parametrize("accept", ["*/*", 'multipart/related; type="*/*"', "multipart/related"])
async def test_compressed_frames_come_by_their_own_media_type(service, held, url, accept):
    instance = held["examples_ybr_color.dcm"]
    async with service.http.get(url(instance, "frames/1,2"), headers={"Accept": accept}) as answer:
        found = await parts_of(answer)
    assert [body for _, body in found] == instance.frames[:2]
    assert found[0][0]["content-type"].startswith("image/jpeg; transfer-syntax=")


@pytest.mark.parametrize(
    ("listed", "status"),
    [("0", 400), ("-1", 400), ("1,", 400), ("a", 400), ("1-3", 400), ("16", 404), ("9" * 9, 404)],
)
async def test_frames_that_are_not_there_are_refused(service, held, url, listed, status):
    async with service.http.get(url(held["rtdose.dcm"], f"frames/{listed}")) as answer:
        assert answer.status == status


async def test_what_has_no_frames_has_no_first_frame(service, held, url):
    async with service.http.get(url(held["rtplan.dcm"], "frames/1")) as answer:
        assert answer.status == 404


async def test_another_client_reads_frames(service, held, client):
    for name in ("rtdose.dcm", "examples_ybr_color.dcm", "CT_small.dcm"):
        instance = held[name]
        ref = instance.entry.ref
        uids = (ref.study_uid, ref.series_uid, ref.sop_uid)
        frames = await asyncio.to_thread(client.retrieve_instance_frames, *uids, [1])
        assert frames == instance.frames[:1]
        listed = [number + 1 for number in range(len(instance.frames))]
        frames = await asyncio.to_thread(
            client.retrieve_instance_frames,
            *uids,
            listed,
            media_types=(("application/octet-stream", "*"),),
        )
        assert frames == instance.frames


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
async def test_a_bulk_value_is_read_where_metadata_says(service, held, url, name):
    instance = held[name]
    async with service.http.get(url(instance, "metadata")) as answer:
        [found] = await answer.json(content_type=None)
    location = found["7FE00010"]["BulkDataURI"]
    async with service.http.get(location) as answer:
        assert answer.headers["Content-Type"].startswith("application/octet-stream")
        assert answer.headers["Content-Length"] == str(len(instance.bulk["7FE00010"]))
        assert await answer.read() == instance.bulk["7FE00010"]
    async with service.http.get(location, headers={"Accept": OCTETS}) as answer:
        [(headers, body)] = await parts_of(answer)
    assert body == instance.bulk["7FE00010"]
    assert headers["content-location"] == location


async def test_another_client_reads_bulk_values(service, held, url, client):
    instance = held["CT_small.dcm"]
    for media_types in (None, ("application/octet-stream",)):
        bodies = await asyncio.to_thread(
            client.retrieve_bulkdata, url(instance, "bulkdata/7FE00010"), media_types
        )
        assert bodies == [instance.bulk["7FE00010"]]


async def test_compressed_pixel_data_as_a_bulk_value_is_its_frames(service, held, url):
    instance = held["examples_ybr_color.dcm"]
    async with service.http.get(url(instance, "bulkdata/7FE00010")) as answer:
        found = await parts_of(answer)
    assert [body for _, body in found] == instance.frames
    assert len(found) > 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("7FE00011", 404),
        ("54000100/0/54001010", 404),
        ("7fe00011", 404),
        ("7FE0001", 400),
        ("7FE00010/", 400),
        ("../../7FE00010", 400),
        ("54000100/x/54001010", 400),
        ("%2e%2e%2fpasswd", 400),
    ],
)
async def test_bulk_values_that_are_not_there_are_refused(service, held, url, path, status):
    async with service.http.get(url(held["CT_small.dcm"], f"bulkdata/{path}")) as answer:
        assert answer.status == status


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


async def test_a_number_of_frames_that_is_a_lie_costs_nothing(service, held, url):
    instance = held["examples_ybr_color.dcm"]
    entry = instance.entry
    instance.entry = dataclasses.replace(entry, number_of_frames=10**8)
    try:
        async with asyncio.timeout(5):
            async with service.http.get(url(instance, "bulkdata/7FE00010")) as answer:
                found = await parts_of(answer)
    finally:
        instance.entry = entry
    assert len(found) == len(instance.frames)
