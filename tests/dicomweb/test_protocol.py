"""What a client is told whose request can't be read, or reaches no application."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from aiohttp import web

from edge.dicomweb.protocol import Protocol
from edge.dicomweb.root import create_root


async def word(_):
    return web.Response(text="word")


@pytest.fixture
async def port():
    """Where a service listens whose connections speak our protocol."""
    application = create_root({})
    application.router.add_get("/word", word)
    runner = web.AppRunner(application, access_log=None)
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
        b"GET /word?PatientName=DOE HTTP/9.9\r\n\r\n",
        b"GET /word HTTP/1.1\r\nDOE JANE: x\r\n\r\n",
        b"GET /word HTTP/1.1\r\nContent-Length: DOE\r\n\r\n",
        b"GET /word HTTP/1.1\r\nHost: a\r\nX: " + b"D" * 20000 + b"\r\n\r\n",
        b"GET /DOE" + b"/" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /word HTTP/1.1\r\nHost: a\r\nExpect: DOE\x80\r\n\r\n",
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
        port, b"GET /word HTTP/1.1\r\nHost: a\r\nExpect: DOE\r\nConnection: close\r\n\r\n"
    )
    document = json.loads(body)
    assert status == document["status"] == 417
    assert headers["X-Request-ID"] == document["request_id"] != ""
    assert b"DOE" not in body


async def test_who_puts_too_much_into_a_line_is_told(port):
    _, _, body = await say(port, b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "too long" in json.loads(body)["hint"]
