"""Frames: as they are stored, or made anew, in the order that was asked for."""

from __future__ import annotations

import asyncio

import pytest

from edge.dicomweb.frames import FrameList
from edge.dicomweb.responses import Refused
from edge.errors import PixelWorkersBusy, UndecodablePixels
from tests.dicomweb.conftest import parts_of
from tests.dicomweb.doubles import EXPLICIT, RLE, OpenInstance

ELE = EXPLICIT
OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"


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


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_bigendian.dcm", "CT_small.dcm"])
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "multipart/related",
        'multipart/related; type="*/*"',
        "multipart/related; type=application/octet-stream",
        f"multipart/related; type=application/octet-stream; transfer-syntax={EXPLICIT}",
    ],
)
async def test_by_default_frames_are_uncompressed(service, held, url, name, accept):
    instance = held[name]
    async with service.http.get(url(instance, "frames/1"), headers={"Accept": accept}) as answer:
        [(headers, body)] = await parts_of(answer)
    assert headers["content-type"] == f"application/octet-stream; transfer-syntax={EXPLICIT}"
    pixels = instance.dataset.pixel_array
    assert body == pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


async def test_frames_that_can_not_be_decoded_come_as_they_are_stored(service, held, url):
    service.transcoding.undecodable = True
    instance = held["JPEG2000.dcm"]
    async with service.http.get(url(instance, "frames/1")) as answer:
        [(headers, body)] = await parts_of(answer)
    assert headers["content-type"].endswith(f"transfer-syntax={instance.entry.transfer_syntax}")
    assert body == instance.frames[0]


async def test_compressed_frames_are_made_of_others_for_who_asks(service, held, url):
    accept = {"Accept": f"multipart/related; type=image/dicom-rle; transfer-syntax={RLE}"}
    async with service.http.get(url(held["CT_small.dcm"], "frames/1"), headers=accept) as answer:
        [(headers, _)] = await parts_of(answer)
    assert headers["content-type"] == f"image/dicom-rle; transfer-syntax={RLE}"
    assert service.transcoding.made == [RLE]


@pytest.mark.parametrize("kind", ["*/*", "application/octet-stream", "multipart/related"])
async def test_damaged_frames_come_as_they_are_stored(service, held, url, kind):
    service.transcoding.failing = UndecodablePixels("damaged")
    instance = held["JPEG2000.dcm"]
    syntax = instance.entry.transfer_syntax
    async with service.http.get(url(instance, "frames/1"), headers={"Accept": kind}) as answer:
        if kind == "application/octet-stream":
            found = (answer.headers["Content-Type"], await answer.read())
        else:
            [(headers, body)] = await parts_of(answer)
            found = (headers["content-type"], body)
    assert found == (f"application/octet-stream; transfer-syntax={syntax}", instance.frames[0])


async def test_a_damaged_frame_is_no_other_than_the_one_that_was_named(service, held, url):
    service.transcoding.failing = UndecodablePixels("damaged")
    accept = {"Accept": f"application/octet-stream; transfer-syntax={EXPLICIT}"}
    async with service.http.get(url(held["JPEG2000.dcm"], "frames/1"), headers=accept) as answer:
        assert answer.status == 406


async def test_workers_that_are_busy_are_worth_another_try(service, held, url):
    service.transcoding.failing = PixelWorkersBusy("busy")
    async with service.http.get(url(held["JPEG2000.dcm"], "frames/1")) as answer:
        assert answer.status == 503


def test_a_list_names_no_more_frames_than_could_be_sent():
    assert FrameList.parse("1-500000,1-500000").highest == 500_000
    with pytest.raises(Refused, match="more than 1000000"):
        FrameList.parse("1-500000,1-500000,1")


async def test_frames_come_in_the_order_of_the_list(service, held, url):
    instance = held["rtdose.dcm"]
    for listed in ("1,2,3", "10%2C1", "7", "3-5,1"):
        async with service.http.get(url(instance, f"frames/{listed}")) as answer:
            numbers = FrameList.parse(listed.replace("%2C", ","))
            bodies = [body for _, body in await parts_of(answer)]
        assert bodies == [instance.frames[number - 1] for number in numbers]


@pytest.mark.parametrize(
    ("name", "accept", "given"),
    [
        ("CT_small.dcm", "application/octet-stream", "application/octet-stream"),
        ("JPEG2000.dcm", "image/jp2", "image/jp2"),
        ("JPEG2000.dcm", "image/*", "image/jp2"),
        ("JPEG2000.dcm", "application/octet-stream;transfer-syntax=*", "application/octet-stream"),
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


async def test_compressed_frames_come_by_their_own_media_type(service, held, url):
    instance = held["examples_ybr_color.dcm"]
    accept = {"Accept": "multipart/related; type=image/jpeg"}
    async with service.http.get(url(instance, "frames/1,2"), headers=accept) as answer:
        found = await parts_of(answer)
    assert [body for _, body in found] == instance.frames[:2]
    assert found[0][0]["content-type"].startswith("image/jpeg; transfer-syntax=")


@pytest.mark.parametrize(
    ("listed", "status"),
    [
        ("0", 400),
        ("-1", 400),
        ("1,", 400),
        ("a", 400),
        ("3-1", 400),
        ("1-", 400),
        ("16", 404),
        ("1,16", 404),
        ("1-999999", 404),
        ("1-999999999", 400),
    ],
)
async def test_frames_that_are_not_there_are_refused(service, held, url, listed, status):
    async with service.http.get(url(held["rtdose.dcm"], f"frames/{listed}")) as answer:
        assert answer.status == status


async def test_frames_that_are_not_there_are_refused_before_the_first_byte(service, held, url):
    for accept in ("*/*", OCTETS):
        target = url(held["SC_rgb_rle_2frame.dcm"], "frames/1,2,3")
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            assert answer.status == 404
        async with service.http.head(target, headers={"Accept": accept}) as answer:
            assert answer.status == 404


async def test_what_has_no_frames_has_no_first_frame(service, held, url):
    async with service.http.get(url(held["rtplan.dcm"], "frames/1")) as answer:
        assert answer.status == 404


async def test_another_client_reads_frames(service, held, client):
    for name in ("rtdose.dcm", "examples_ybr_color.dcm", "CT_small.dcm"):
        instance = held[name]
        ref = instance.entry.ref
        uids = (ref.study_uid, ref.series_uid, ref.sop_uid)
        frames = await asyncio.to_thread(client.retrieve_instance_frames, *uids, [1])
        assert len(frames) == 1
        listed = [number + 1 for number in range(len(instance.frames))]
        frames = await asyncio.to_thread(
            client.retrieve_instance_frames,
            *uids,
            listed,
            media_types=(("application/octet-stream", "*"),),
        )
        assert frames == instance.frames


async def test_frames_that_did_not_change_are_not_sent_again(service, held, url):
    target = url(held["rtdose.dcm"], "frames/1,2")
    async with service.http.get(target) as answer:
        tag = answer.headers["ETag"]
    async with service.http.get(target, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with service.http.get(
        url(held["rtdose.dcm"], "frames/1-3"), headers={"If-None-Match": tag}
    ) as answer:
        assert answer.status == 200


async def test_of_a_long_list_only_the_highest_number_is_looked_up(service, held, url, monkeypatch):
    asked = []
    looked_up = OpenInstance.frame_length
    target = url(held["rtdose.dcm"], "frames/1-15,2-14,1-3")
    async with service.http.get(target) as answer:
        known = {"If-None-Match": answer.headers["ETag"]}
    monkeypatch.setattr(
        OpenInstance, "frame_length", lambda self, n: asked.append(n) or looked_up(self, n)
    )
    async with service.http.get(target, headers=known) as answer:
        assert answer.status == 304
    assert asked == [15]


@pytest.mark.parametrize("text", ["", "0", "1,,2", "1-2-3", "5-4", "a", " 1", "1" * 10])
def test_a_list_of_frames_that_is_none(text):
    with pytest.raises(Refused) as raised:
        FrameList.parse(text)
    assert raised.value.status == 400


def test_a_list_of_frames_knows_its_order_and_its_highest():
    frames = FrameList.parse("7,2-4")
    assert list(frames) == [7, 2, 3, 4]
    assert frames.highest == 7
    assert not frames.alone
    assert FrameList.parse("4-4").alone
