"""The port: strangers, slow readers and hung-up callers cost little, and keep nobody out."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import socket
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientSession, web

from edge.access.roles import Identity, Role
from edge.dicomweb import listener
from edge.dicomweb.listener import Limits, Listener
from edge.dicomweb.middleware import IDENTITY
from edge.errors import ConfigError
from tests.dicomweb.conftest import until

HEAD = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"


class Application:
    """Answers, hangs, takes and pours; remembers what became of each."""

    def __init__(self):
        self.begun, self.ended, self.given_up = 0, 0, 0
        self.go_on = asyncio.Event()
        self.web = web.Application()
        self.web.add_routes(
            [
                web.get("/", self.answer),
                web.get("/hang", self.hang),
                web.post("/hang", self.take),
                web.post("/known", self.known),
                web.get("/pour", self.pour),
                web.get("/known", self.known),
                web.get("/download", self.download),
                web.get("/events", self.events),
            ]
        )

    async def answer(self, _):
        return web.Response(text="here")

    async def hang(self, _):
        self.begun += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        self.ended += 1
        return web.Response(text="done")

    async def take(self, request):
        self.begun += 1
        await request.read()
        self.begun -= 1
        return await self.hang(request)

    async def known(self, request):
        request[IDENTITY] = Identity("anna", Role.PHYSICIAN)
        return await self.hang(request)

    async def download(self, request):
        return await self.stream(request, "application/zip")

    async def events(self, request):
        return await self.stream(request, "text/event-stream")

    async def stream(self, request, media_type):
        request[IDENTITY] = Identity("anna", Role.PHYSICIAN)
        response = web.StreamResponse(headers={"Content-Type": media_type})
        await response.prepare(request)
        await self.hang(request)
        return response

    async def pour(self, request):
        self.begun += 1
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(256 * 1024))
        finally:
            self.given_up += 1


@pytest.fixture
async def serving():
    @asynccontextmanager
    async def start(tls=None, listen="127.0.0.1:0", **limits):
        application = Application()
        made = Listener(application.web, listen, tls, limits=Limits(**limits))
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(made.serve(ready=ready))
            waiting = group.create_task(ready.wait())
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            application.listener = made
            try:
                yield application
            finally:
                running.cancel()

    return start


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def connect(application, data=b"", own=None):
    port = application.listener.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=own)
    writer.write(data)
    return reader, writer


async def answer_to(application, data=HEAD):
    reader, writer = await connect(application, data)
    async with asyncio.timeout(5):
        found = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return found


async def test_the_oldest_idle_connection_makes_room(serving):
    async with serving(connections=6) as application:
        idle = [await connect(application, b"GET / HT") for _ in range(3)]
        await until(lambda: application.listener.connections == 3)
        assert (await answer_to(application)).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(5):
            assert await idle[0][0].read() == b""
        idle[2][1].write(HEAD[8:])
        assert (await idle[2][0].readline()).startswith(b"HTTP/1.1 200")
        for _, writer in idle:
            writer.close()


async def test_one_host_never_has_more_than_its_half(serving):
    async with serving(connections=8) as application:
        callers = [await connect(application, HEAD) for _ in range(20)]
        await until(lambda: application.listener.connections <= 4)
        assert (await answer_to(application)).startswith(b"HTTP/1.1 200")
        for _, writer in callers:
            writer.close()


async def test_a_flood_leaves_no_more_files_open_than_connections(serving):
    def flood(port):
        return [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]

    async with serving(connections=8) as application:
        before = open_files()
        callers = await asyncio.to_thread(flood, application.listener.port)
        await until(lambda: application.listener.connections == 4)
        gc.disable()  # what is only forgotten would be closed by it, at some time
        try:
            await until(lambda: open_files() <= before + len(callers) + 4)
        finally:
            gc.enable()
            for caller in callers:
                caller.close()


async def test_who_is_being_answered_is_never_thrown_out(serving):
    async with serving(connections=4) as application:
        waiting = [await connect(application, HEAD.replace(b"/ ", b"/hang ")) for _ in range(2)]
        await until(lambda: application.begun == 2)
        late, writer = await connect(application, HEAD)
        async with asyncio.timeout(5):
            assert await late.read() == b""
        writer.close()
        application.go_on.set()
        for reader, writer in waiting:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_a_head_that_does_not_come_ends_the_connection(serving):
    async with serving(head_seconds=0.3) as application:
        for begin in (b"", b"GET / HTTP/1.1\r\nX: "):
            reader, writer = await connect(application, begin)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()


async def test_a_reader_who_takes_nothing_is_given_up(serving):
    async with serving(stall_seconds=1.0) as application:
        _, writer = await connect(application, HEAD.replace(b"/ ", b"/pour "))
        writer.transport.pause_reading()
        await until(lambda: application.begun == 1)
        await until(lambda: application.given_up == 1, seconds=20)
        assert application.listener.connections == 0
        writer.close()


async def test_little_waits_for_a_slow_reader(serving):
    async with serving() as application:
        _, writer = await connect(application, HEAD.replace(b"/ ", b"/pour "))
        writer.transport.pause_reading()
        await until(lambda: application.begun == 1)
        (connection,) = application.listener._connections.values()
        assert connection.transport.get_write_buffer_limits()[1] <= 64 * 1024
        writer.close()
        await until(lambda: application.given_up == 1)


async def test_work_for_who_hung_up_ends_and_storing_goes_on(serving, caplog):
    async with serving() as application:
        for method in (b"GET", b"POST"):
            head = HEAD.replace(b"GET / ", method + b" /hang ")
            _, writer = await connect(application, head)
            await until(lambda: application.begun)
            application.begun = 0
            writer.close()
            await until(lambda: application.listener.connections == 0)
        await until(lambda: application.given_up == 1)
        application.go_on.set()
        await until(lambda: application.ended == 1)
    assert caplog.records == []


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_port_that_speaks_https_answers(serving, tls, authority):
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(tls) as application, ClientSession() as http:
        url = f"https://127.0.0.1:{application.listener.port}/"
        async with http.get(url, ssl=trusting) as answer:
            assert await answer.text() == "here"


async def test_who_speaks_plain_http_to_it_is_told_so(serving, tls, caplog):
    caplog.set_level(logging.INFO)
    async with serving(tls) as application:
        reader, writer = await connect(application, HEAD)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"https://" in answer
        await until(lambda: application.listener.connections == 0)
    assert [record.getMessage() for record in caplog.records] == [
        "127.0.0.1 speaks plain HTTP to the HTTPS port"
    ]


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\x00\x05hello", b"\x00" * 50, b""])
async def test_what_is_no_handshake_ends_quietly(serving, tls, caplog, rubbish):
    async with serving(tls) as application:
        _, writer = await connect(application, rubbish)
        await writer.drain()
        writer.close()
        await until(lambda: application.listener.connections == 0)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_running_out_of_files_is_one_line_and_heals(serving, caplog):
    async with serving() as application:
        loop = asyncio.get_running_loop()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        reader, first = await connect(application, HEAD)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        spare = os.open("/dev/null", os.O_RDONLY)
        held = [os.dup(spare) for _ in range(200)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, limits[1]))
        try:
            held += _fill(spare)
            os.close(held.pop())  # for the caller; none is left for the port
            caller = socket.socket()
            caller.setblocking(False)
            await loop.sock_connect(caller, ("127.0.0.1", application.listener.port))
            await until(lambda: caplog.records)
            await asyncio.sleep(1.2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for descriptor in (spare, *held):
                os.close(descriptor)
        await loop.sock_sendall(caller, HEAD)
        async with asyncio.timeout(5):
            assert (await loop.sock_recv(caller, 12)) == b"HTTP/1.1 200"
        caller.close()
        first.close()
    assert len(caplog.records) == 1
    assert "no more connections" in caplog.text


def _fill(spare):
    """Every descriptor that is left."""
    held = []
    try:
        while True:
            held.append(os.dup(spare))
    except OSError:
        return held


async def test_a_port_that_is_taken_is_named(serving):
    async with serving() as application:
        taken = f"127.0.0.1:{application.listener.port}"
        with pytest.raises(ConfigError, match=taken):
            await Listener(web.Application(), taken).serve()


async def test_requests_under_way_finish_at_the_end(serving):
    async with serving() as application:
        reader, writer = await connect(application, HEAD.replace(b"/ ", b"/hang "))
        await until(lambda: application.begun == 1)
        asyncio.get_running_loop().call_later(0.2, application.go_on.set)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


NO_BODY = b"POST /hang HTTP/1.1\r\nHost: box\r\nContent-Length: 100\r\n\r\n"


async def test_a_body_that_never_comes_makes_nobody_busy(serving):
    """Anybody may say that there is one; such connections make room as others do."""
    async with serving(connections=4) as application:
        callers = [await connect(application, NO_BODY) for _ in range(2)]
        await until(lambda: application.begun == 2)
        assert (await answer_to(application)).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(5):
            assert await callers[0][0].read() == b""
        for _, writer in callers:
            writer.close()


async def test_who_sent_the_whole_body_or_is_known_is_busy(serving):
    async with serving(connections=4) as application:
        whole = await connect(application, NO_BODY + bytes(100))
        known = await connect(application, NO_BODY.replace(b"/hang", b"/known"))
        await until(lambda: application.begun == 2)
        late, writer = await connect(application, HEAD)
        async with asyncio.timeout(5):
            assert await late.read() == b""
        writer.close()
        application.go_on.set()
        for reader, own in (whole, known):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            own.close()


@pytest.mark.parametrize(
    ("request_line", "is_quiet"),
    [
        (b"POST /known", False),
        (b"GET /download", False),
        (b"GET /events", True),  # it begins again by itself
        (b"GET /known", True),  # it is answered in one piece
        (b"POST /hang", True),  # anybody may send that
    ],
)
async def test_an_upload_and_a_download_of_who_is_known_are_waited_for(
    serving, request_line, is_quiet
):
    async with serving() as application:
        assert application.listener.is_quiet
        head = request_line + b" HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n\r\n"
        reader, writer = await connect(application, head)
        await until(lambda: application.begun == 1)
        assert application.listener.is_quiet == is_quiet
        application.go_on.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await until(lambda: application.listener.is_quiet)
        writer.close()


async def test_a_network_whose_addresses_one_caller_has_is_one_host(serving, monkeypatch):
    monkeypatch.setattr(listener, "network_of", lambda host: f"that of {host[:6]}")
    async with serving(connections=8) as application:
        callers = []
        for number in range(1, 9):
            callers.append(await connect(application, HEAD, (f"127.0.0.{number}", 0)))
            assert (await callers[-1][0].readline()).startswith(b"HTTP/1.1 200")
        await until(lambda: application.listener.connections == 4)
        for _, writer in callers:
            writer.close()
