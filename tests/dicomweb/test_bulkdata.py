"""Bulk data: one value by its path, in ranges; all of them, as parts."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from tests import samples
from tests.dicomweb.conftest import parts_of
from tests.dicomweb.doubles import EXPLICIT

OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"


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
    async with service.http.get(
        url(instance, "bulkdata/7FE00010"), headers={"Accept": OCTETS}
    ) as answer:
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


async def test_a_number_of_frames_that_is_a_lie_costs_nothing(service, held, url):
    instance = held["examples_ybr_color.dcm"]
    entry = instance.entry
    instance.entry = dataclasses.replace(entry, number_of_frames=10**8)
    try:
        async with asyncio.timeout(5):
            async with service.http.get(
                url(instance, "bulkdata/7FE00010"), headers={"Accept": OCTETS}
            ) as answer:
                found = await parts_of(answer)
    finally:
        instance.entry = entry
    assert len(found) == len(instance.frames)


async def test_a_range_of_a_bulk_value_reads_no_more_than_that(service, held, url):
    instance = held["CT_small.dcm"]
    value = instance.bulk["7FE00010"]
    for asked, wanted in (("10-19", value[10:20]), ("-5", value[-5:]), ("100-", value[100:])):
        headers = {"Range": f"bytes={asked}"}
        async with service.http.get(url(instance, "bulkdata/7FE00010"), headers=headers) as answer:
            assert answer.status == 206
            assert await answer.read() == wanted
    headers = {"Range": f"bytes={len(value)}-"}
    async with service.http.get(url(instance, "bulkdata/7FE00010"), headers=headers) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(value)}"


async def test_a_range_of_parts_is_none(service, held, url):
    """What is asked for as multipart is the message with its boundaries: no part of that helps."""
    instance, many = held["CT_small.dcm"], 'multipart/related; type="application/octet-stream"'
    headers = {"Range": "bytes=0-9", "Accept": many}
    async with service.http.get(url(instance, "bulkdata/7FE00010"), headers=headers) as answer:
        assert answer.status == 200
        assert [body for _, body in await parts_of(answer)] == [instance.bulk["7FE00010"]]
    headers["Accept"] = f"{many}, application/octet-stream"
    async with service.http.get(url(instance, "bulkdata/7FE00010"), headers=headers) as answer:
        assert answer.status == 206
        assert await answer.read() == instance.bulk["7FE00010"][:10]


@pytest.mark.parametrize("rest", ["bulkdata", "pixeldata"])
@pytest.mark.parametrize("level", ["study", "series", "instance"])
async def test_all_bulk_values_come_as_parts(service, url, rest, level):
    instances = service.retrieval.add(*[part.data for part in samples.ct_series(3)])
    target = url(instances[0], rest, level=level)
    async with service.http.get(target) as answer:
        found = await parts_of(answer)
    wanted = instances[:1] if level == "instance" else instances
    assert [body for _, body in found] == [one.bulk["7FE00010"] for one in wanted]
    locations = [headers["content-location"] for headers, _ in found]
    assert locations == [url(one, "bulkdata/7FE00010") for one in wanted]


async def test_the_bulk_values_of_an_instance_are_its_octet_stream(service, held, url):
    for name, accept in (
        ("CT_small.dcm", OCTETS),
        ("rtdose.dcm", "multipart/related; type=application/octet-stream"),
    ):
        instance = held[name]
        async with service.http.get(url(instance), headers={"Accept": accept}) as answer:
            assert [body for _, body in await parts_of(answer)] == list(instance.bulk.values())


@pytest.mark.parametrize(("accept", "kept"), [("*/*", False), (OCTETS, True)])
async def test_compressed_pixels_come_as_frames(service, held, url, accept, kept):
    instance = held["SC_rgb_rle_2frame.dcm"]
    async with service.http.get(url(instance, "pixeldata"), headers={"Accept": accept}) as answer:
        found = await parts_of(answer)
    syntax = instance.entry.transfer_syntax if kept else EXPLICIT
    assert [headers["content-location"] for headers, _ in found] == [
        url(instance, f"frames/{number}") for number in (1, 2)
    ]
    assert all(headers["content-type"].endswith(f"={syntax}") for headers, _ in found)
    assert ([body for _, body in found] == instance.frames) is kept


async def test_what_has_no_bulk_data_is_not_found(service, held, url):
    async with service.http.get(url(held["rtplan.dcm"], "pixeldata")) as answer:
        assert answer.status == 404


async def test_a_value_that_did_not_change_is_not_sent_again(service, held, url):
    for rest in ("bulkdata/7FE00010", "bulkdata"):
        target = url(held["CT_small.dcm"], rest)
        async with service.http.get(target) as answer:
            tag = answer.headers["ETag"]
        async with service.http.get(target, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
