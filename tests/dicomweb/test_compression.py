"""What is compressed, for whom, and what caches are told."""

from __future__ import annotations

import gzip

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from edge.dicomweb.compression import accepts_gzip, compress, compression

LONG = b'{"vr": "LO"}' * 20_000
TYPES = {
    "application/json": True,
    "application/dicom+json": True,
    "application/dicom+json; charset=utf-8": True,
    "application/problem+json": True,
    "application/vnd.sun.wadl+xml": True,
    "application/xml": True,
    'multipart/related; type="application/dicom+xml"; boundary=x': True,
    "text/plain": True,
    "application/dicom": False,
    'multipart/related; type="application/dicom"; boundary=x': False,
    "image/jpeg": False,
    "application/octet-stream": False,
    "application/zip": False,
    "application/jsonish": False,
}


@pytest.fixture
async def client():
    async def whole(request):
        query = request.query
        body = LONG[: int(query.get("length", len(LONG)))]
        headers = {"Content-Type": query.get("type", "application/json")}
        if "etag" in query:
            headers["ETag"] = query["etag"]
        if "encoding" in query:
            headers["Content-Encoding"] = query["encoding"]
        return web.Response(body=body, headers=headers)

    async def streamed(request):
        kind = request.query.get("type", "application/json")
        response = web.StreamResponse(headers={"Content-Type": kind})
        response.content_length = len(LONG)
        compress(request, response)
        await response.prepare(request)
        for at in range(0, len(LONG), 50_000):
            await response.write(memoryview(LONG)[at : at + 50_000])
        await response.write_eof()
        return response

    application = web.Application(middlewares=[compression])
    application.add_routes([web.get("/whole", whole), web.get("/streamed", streamed)])
    async with TestClient(TestServer(application), auto_decompress=False) as client:
        yield client


async def get(client, path, *, encoding="gzip", method="GET", **params):
    headers = {} if encoding is None else {"Accept-Encoding": encoding}
    skipped = ("Accept-Encoding",) if encoding is None else ()
    async with client.request(
        method, path, params=params, headers=headers, skip_auto_headers=skipped
    ) as answer:
        return answer.headers, await answer.read()


@pytest.mark.parametrize("path", ["/whole", "/streamed"])
@pytest.mark.parametrize(("kind", "shrinks"), TYPES.items())
async def test_text_is_compressed_and_images_are_not(client, path, kind, shrinks):
    headers, body = await get(client, path, type=kind)
    assert (headers.get("Content-Encoding") == "gzip") is shrinks
    assert (gzip.decompress(body) if shrinks else body) == LONG
    assert (headers.get("Vary") == "Accept-Encoding") is shrinks
    assert headers.get("Content-Length") in (None, str(len(body)))


@pytest.mark.parametrize("path", ["/whole", "/streamed"])
@pytest.mark.parametrize("encoding", [None, "", "identity", "br, deflate", "gzip;q=0", "*;q=0"])
async def test_who_does_not_ask_gets_it_as_it_is(client, path, encoding):
    headers, body = await get(client, path, encoding=encoding)
    assert "Content-Encoding" not in headers
    assert headers["Vary"] == "Accept-Encoding"
    assert headers["Content-Length"] == str(len(LONG))
    assert body == LONG


async def test_what_fits_into_a_packet_is_left_alone(client):
    headers, body = await get(client, "/whole", length=1023)
    assert "Content-Encoding" not in headers
    assert len(body) == 1023


async def test_what_has_an_encoding_already_is_left_alone(client):
    async with client.get(
        "/whole", params={"encoding": "br"}, headers={"Accept-Encoding": "gzip, br"}
    ) as answer:
        assert answer.headers["Content-Encoding"] == "br"
        assert await answer.read() == LONG


@pytest.mark.parametrize(("tag", "sent"), [('"abc"', 'W/"abc"'), ('W/"abc"', 'W/"abc"')])
async def test_a_compressed_answer_is_not_the_same_byte_for_byte(client, tag, sent):
    headers, _ = await get(client, "/whole", etag=tag)
    assert headers["ETag"] == sent
    headers, _ = await get(client, "/whole", encoding="identity", etag=tag)
    assert headers["ETag"] == tag


@pytest.mark.parametrize("path", ["/whole", "/streamed"])
async def test_head_has_no_body(client, path):
    headers, body = await get(client, path, method="HEAD")
    assert headers["Content-Encoding"] == "gzip"
    assert body == b""


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("gzip", True),
        ("GZip , deflate", True),
        ("x-gzip", True),
        ("*", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0, *", False),
        ("gzip;q=2", False),
        ("gzipped", False),
    ],
)
def test_weights_are_heeded(header, wanted):
    assert accepts_gzip(header) is wanted


@given(st.text(alphabet="gzip*;q=01., \tx", max_size=40))
def test_no_header_is_an_error(header):
    assert accepts_gzip(header) in (True, False)
