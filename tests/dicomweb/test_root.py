"""What all answers share, whichever door gives them, and those that no door gives."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.middleware import access
from edge.dicomweb.protocol import Protocol
from edge.dicomweb.root import create_root
from edge.errors import StorageFull
from tests.dicomweb.doubles import authorise

READER = {"Authorization": "Bearer read"}


def door():
    """One that answers in every way."""

    async def word(request):
        return web.Response(text="x" * int(request.query.get("length", "1")))

    async def full(_):
        raise StorageFull("the disk is full", hint="bring the line up")

    async def defect(_):
        raise RuntimeError("DOE^JANE")

    async def body(request):
        return web.Response(text=str(len(await request.read())))

    application = web.Application(middlewares=[access(authorise)])
    application.add_routes(
        [
            web.get("/word", word),
            web.get("/full", full),
            web.get("/defect", defect),
            web.post("/body", body),
        ]
    )
    return application


async def opened(_):
    return web.json_response({})


@pytest.fixture
async def client():
    root = create_root({"/door": door()})
    root.router.add_get("/open", opened)
    async with TestClient(TestServer(root)) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/door", 404),
        ("GET", "/door/nothing", 404),
        ("GET", "/door/full", 507),
        ("GET", "/door/defect", 500),
        ("DELETE", "/door/word", 405),
        ("PROPFIND", "/door/word", 405),
        ("POST", "/open", 405),
    ],
)
async def test_every_error_is_a_problem_document_that_names_its_request(
    client, method, path, status
):
    headers = {**READER, "X-Request-ID": "mine-1"}
    async with client.request(method, path, headers=headers) as answer:
        assert answer.status == status
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Request-ID"] == "mine-1"
        document = await answer.json(content_type=None)
    assert document["status"] == status
    assert document["request_id"] == "mine-1"
    assert document["title"]
    assert "DOE" not in json.dumps(document)


@pytest.mark.parametrize("path", ["/open", "/door/word", "/door/full", "/nothing", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_every_answer_names_its_request_and_is_not_to_be_guessed_at(client, path, method):
    names = set()
    for _ in range(2):
        async with client.request(method, path, headers=READER) as answer:
            names.add(answer.headers["X-Request-ID"])
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "private"
            assert answer.headers["Server"] == "edge"
    assert len(names) == 2


async def test_a_door_keeps_its_lock_for_paths_that_it_does_not_know(client):
    for path in ("/door/word", "/door/nothing"):
        async with client.get(path) as answer:
            assert answer.status == 401
    async with client.get("/open") as answer:
        assert answer.status == 200


async def test_a_body_that_is_too_long_for_its_door_is_a_problem(client):
    headers = {"Authorization": "Bearer store"}
    async with client.post("/door/body", data=b"x" * 2_000_000, headers=headers) as answer:
        assert answer.status == 413
        assert answer.content_type == "application/problem+json"


@pytest.fixture
async def port():
    """Where a service listens whose connections speak our protocol."""
    runner = web.AppRunner(create_root({"/door": door()}), access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(runner.server), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await runner.cleanup()


async def say(port, request):
    """Send bytes, and read the answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "request_",
    [
        b"DOE^JANE\r\n\r\n",
        b"GET /door/word?PatientName=DOE HTTP/9.9\r\n\r\n",
        b"GET /door/word HTTP/1.1\r\nDOE JANE: x\r\n\r\n",
        b"GET /door/word HTTP/1.1\r\nContent-Length: DOE\r\n\r\n",
        b"GET /door/word HTTP/1.1\r\nHost: a\r\nX: " + b"D" * 20000 + b"\r\n\r\n",
        b"GET /DOE" + b"/" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_by_a_problem_and_quoted_nowhere(port, request_, caplog):
    with caplog.at_level(logging.DEBUG):
        status, headers, body = await say(port, request_)
    document = json.loads(body)
    assert status == document["status"] == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Request-ID"] == document["request_id"]
    assert b"DOE" not in body
    records = [record for record in caplog.records if record.name.startswith("edge")]
    assert [document["request_id"] in record.getMessage() for record in records] == [True]
    assert "DOE" not in caplog.text


async def test_an_expectation_that_can_not_be_met_is_a_problem(port):
    status, headers, body = await say(
        port, b"GET /door/word HTTP/1.1\r\nHost: a\r\nExpect: DOE\r\nConnection: close\r\n\r\n"
    )
    document = json.loads(body)
    assert status == document["status"] == 417
    assert headers["X-Request-ID"] == document["request_id"] != ""
    assert b"DOE" not in body


async def test_who_puts_too_much_into_a_line_is_told(port):
    _, _, body = await say(port, b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "too long" in json.loads(body)["hint"]
