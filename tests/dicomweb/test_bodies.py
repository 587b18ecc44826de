"""Bodies: whole, a range, or only their headers; nothing is read that is not sent."""

from __future__ import annotations

import contextlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from edge.dicomweb.bodies import Body, _span, nothing, send_body
from edge.dicomweb.responses import Refused
from edge.dicomweb.root import create_root
from edge.dicomweb.validators import Validators

DATA = bytes(range(100))
TAG = '"a-tag"'


@pytest.fixture
async def client():
    async def handler(request):
        body = Body.of("application/x", DATA, Validators(TAG))
        if "made" in request.query:
            body = Body("application/x", body.pieces)
        if "fails" in request.query:
            body = Body("application/x", _fails, 100)
        return await send_body(request, body)

    door = web.Application()
    door.router.add_get("/it", handler)
    async with TestClient(TestServer(create_root({"/door": door}))) as client:
        yield client


async def _fails(*_range):
    raise Refused(406, "it can't be made")
    yield b""


async def get(client, query="", method="GET", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request(method, f"/door/it{query}", headers=fields)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("10-19", 10, 19), ("90-", 90, 99), ("-7", 93, 99), ("-500", 0, 99)],
)
async def test_a_range(client, asked, first, last):
    answer = await get(client, Range=f"bytes={asked}")
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/100"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert await answer.read() == DATA[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=999-1000", "bytes=-0"])
async def test_a_range_that_lies_outside(client, asked):
    answer = await get(client, Range=asked)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize(
    "asked",
    ["bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=" + "9" * 99],
)
async def test_what_is_no_range_or_several_is_the_whole(client, asked):
    answer = await get(client, Range=asked)
    assert answer.status == 200
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert await answer.read() == DATA


async def test_a_range_of_another_version_is_the_whole(client):
    assert (await get(client, Range="bytes=1-2", If_Range=TAG)).status == 206
    assert (await get(client, Range="bytes=1-2", If_Range='"other"')).status == 200


async def test_what_is_made_while_it_is_sent_has_no_ranges(client):
    answer = await get(client, "?made", Range="bytes=1-2")
    assert answer.status == 200
    assert "Accept-Ranges" not in answer.headers
    assert await answer.read() == DATA


async def test_head_says_what_get_would(client):
    answer = await get(client, method="HEAD", Range="bytes=1-2")
    assert answer.status == 200
    assert (answer.headers["Content-Length"], answer.headers["ETag"]) == ("100", TAG)
    assert (await get(client, method="HEAD", If_None_Match=TAG)).status == 304
    assert [piece async for piece in nothing()] == []


async def test_an_error_before_the_first_byte_is_an_answer_of_its_own(client):
    answer = await get(client, "?fails")
    assert answer.status == 406
    assert answer.content_type == "application/problem+json"


@given(st.text(max_size=30))
def test_whatever_stands_in_range_is_read(text):
    with contextlib.suppress(Refused):
        span = _span(text, 100)
        assert span is None or 0 <= span[0] < span[1] <= 100
