"""What the admin API does not read it lets not pass for understood; nor does it read for ever."""

from __future__ import annotations

import asyncio
import gzip
import re
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from edge.admin import asking, entrance
from edge.admin.asking import LONGEST, only
from edge.admin.entrance import said
from edge.dicomweb.middleware import errors
from tests.admin.test_openapi import KEEPER
from tests.admin.test_openapi import base as base  # noqa: PLC0414 - a fixture


async def ask(method, url, **options):
    async with (
        ClientSession(headers=KEEPER) as http,
        http.request(method, url, **options) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_body_where_none_is_read_is_refused_and_nothing_is_done(base):
    patients = [{"patient_id": "P1"}, {"patient_id": "P2"}]
    assert await ask("POST", f"{base}/expected", json=patients) == (200, {"changed": 2})
    status, said = await ask("DELETE", f"{base}/expected", json=[{"patient_id": "P1"}])
    assert status == 400
    assert said["hint"] == (
        "say it with parameters in the query, as in ?patient_id=…: patient_id, date"
    )
    assert (await ask("GET", f"{base}/expected"))[1]["total"] == 2
    assert await ask("DELETE", f"{base}/expected?patient_id=P1") == (200, {"changed": 1})
    [left] = (await ask("GET", f"{base}/expected"))[1]["items"]
    assert left["patient_id"] == "P2"


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("DELETE", "/pins", "?kind=…: kind, value, issuer"),
        ("GET", "/trash", "?limit=…: limit, offset"),
        ("GET", "/status", "leave it out"),
    ],
)
async def test_the_same_holds_for_all_that_take_none(base, method, path, hint):
    status, said = await ask(method, base + path, json={"value": "1.2"})
    assert status == 400
    assert said["hint"].endswith(hint)


async def test_an_empty_body_is_none(base):
    status, said = await ask("DELETE", f"{base}/expected", headers={"Content-Length": "0"})
    assert (status, said) == (200, {"changed": 0})


async def test_what_is_not_there_is_not_found_whatever_is_sent(base):
    assert (await ask("DELETE", f"{base}/nothing", json={}))[0] == 404
    assert (await ask("DELETE", f"{base}/status", json={}))[0] == 405


def patterns(node):
    """Every pattern of a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            yield from patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from patterns(value)


async def test_no_pattern_lets_a_line_end_stand_behind_it(base):
    _, document = await ask("GET", f"{base}/openapi.json")
    found = list(patterns(document))
    assert len(found) >= 5
    for pattern in found:
        assert pattern == only(pattern.removeprefix("^").removesuffix(r"$(?!\n)"))
        for text in ("", "1.2", "A", "2026-03-10"):
            assert not re.search(pattern, f"{text}\n"), (pattern, text)


@pytest.mark.parametrize("text", ["1.2\n", "A\x1b[2J", "B\\C", "\x9b31m", " ", ""])
async def test_what_is_no_text_of_dicom_is_neither_announced_nor_pinned(base, text):
    for path, body in (
        ("expected", [{"patient_id": text}]),
        ("pins", {"kind": "patient", "value": text}),
        ("pins", {"kind": "study", "value": text}),
    ):
        assert (await ask("POST", f"{base}/{path}", json=body))[0] == 400
    if text.strip(" "):
        issuer = {"kind": "patient", "value": "P1", "issuer": text}
        assert (await ask("POST", f"{base}/pins", json=issuer))[0] == 400
    assert (await ask("GET", f"{base}/pins"))[1] == []


async def test_a_line_end_behind_a_parameter_is_refused(base):
    for path in ("expected?date=2026-03-10%0A", "expected?patient_id=P1%0A", "pins?value=1.2%0A"):
        assert (await ask("DELETE", f"{base}/{path}"))[0] == 400
    assert (await ask("GET", f"{base}/studies/1.2%0A/edits"))[0] == 400


async def test_ten_thousand_announcements_of_one_patient_are_those_that_one_can_have(base):
    many = [{"patient_id": "P1", "issuer": f"I{number}"} for number in range(10_000)]
    assert await ask("POST", f"{base}/expected", json=many) == (200, {"changed": 50})
    assert (await ask("GET", f"{base}/expected"))[1]["total"] == 50


class Numbered(msgspec.Struct, forbid_unknown_fields=True):
    number: int


@pytest.mark.parametrize(
    ("text", "status"), [("38", 200), ("38.0", 200), ("38.5", 400), ('"38"', 400), ("1e400", 400)]
)
async def test_an_integer_may_have_a_point_and_no_fraction(text, status):
    async def told(request):
        wish = await asking.body(request, Numbered)
        return web.json_response(wish.number)

    application = web.Application(middlewares=[errors])
    application.add_routes([web.post("/", told)])
    async with TestServer(application) as server:
        answer = await ask("POST", str(server.make_url("/")), data=f'{{"number": {text}}}')
        assert answer[0] == status
        assert status != 200 or answer[1] == 38


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/worklist"), ("POST", "/expected"), ("POST", "/pins")]
)
@pytest.mark.parametrize("media_type", ["application/json", "application/dicom+json"])
async def test_json_that_is_nested_too_deeply_is_the_callers_fault(base, method, path, media_type):
    for text in (DEEP, b'{"a":' + DEEP + b"}", b'{"00100010":' * 50_000):
        headers = {"Content-Type": media_type}
        status, said = await ask(method, base + path, data=text, headers=headers)
        assert status == 400
        assert len(said["detail"]) < 300


async def test_a_body_that_is_too_long_is_refused_also_if_it_was_compressed_to_little(base):
    long = b" " * (LONGEST + 1) + b"[]"
    assert (await ask("POST", f"{base}/expected", data=long))[0] == 413
    headers = {"Content-Encoding": "gzip"}
    for bomb in (gzip.compress(long), gzip.compress(bytes(200_000_000), 9)):
        assert len(bomb) < LONGEST
        status, said = await ask("POST", f"{base}/expected", data=bomb, headers=headers)
        assert (status, said["detail"]) == (413, f"the request is longer than {LONGEST} bytes")
    fits = gzip.compress(b" " * (LONGEST - 2) + b"[]")
    assert (await ask("POST", f"{base}/expected", data=fits, headers=headers))[0] == 200


async def test_a_body_in_an_unknown_coding_is_no_json(base):
    for coding in ("gzip", "deflate", "rot13", "gzip, gzip"):
        status, _ = await ask(
            "POST", f"{base}/expected", data=b"\xff" * 100, headers={"Content-Encoding": coding}
        )
        assert status == 400, coding


@pytest.mark.parametrize("sent", [b"", b"[", b"[" + b" " * 100])
async def test_a_body_that_does_not_come_ends_with_a_408_and_holds_no_connection(
    base, sent, monkeypatch
):
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    place = urlsplit(base)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"POST {place.path}/expected HTTP/1.1\r\nHost: {place.netloc}\r\n"
    head += f"Authorization: {KEEPER['Authorization']}\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode() + sent)
    async with asyncio.timeout(15):
        answer = await reader.read()  # to the end: the connection is closed
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the request did not come within" in answer


async def test_a_log_in_that_does_not_come_holds_its_connection_for_seconds(monkeypatch):
    """Before it is known who it is, nobody holds a connection for half a minute."""
    assert asking.STRANGERS_SECONDS <= 5
    monkeypatch.setattr(entrance, "STRANGERS_SECONDS", 0.2)

    async def log_in(request):
        await said(request, dict)
        raise AssertionError("nothing was said")

    async def unlock(request):
        await asking.form(request, 100, seconds=0.2)
        raise AssertionError("nothing was said")

    application = web.Application()
    application.add_routes([web.post("/login", log_in), web.post("/unlock", unlock)])
    async with TestServer(application) as server:
        for path in ("/login", "/unlock"):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            head = f"POST {path} HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: 1000\r\n\r\n".encode())
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 "), path
            writer.close()


async def test_a_body_that_drips_is_not_waited_for_either(base, monkeypatch):
    monkeypatch.setattr(asking, "SECONDS", 0.5)

    async def drip():
        for _ in range(1000):
            yield b" "
            await asyncio.sleep(0.02)

    began = asyncio.get_running_loop().time()
    assert (await ask("POST", f"{base}/expected", data=drip()))[0] == 408
    assert asyncio.get_running_loop().time() - began < 15
