"""The DICOM port of a locked box: rejected for now, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from edge.config import Dimse
from edge.dimse import shut
from edge.dimse.shut import ShutDoor
from edge.errors import ConfigError
from tests.dimse import raw

REJECTED_FOR_NOW = bytes([3, 0, 0, 0, 0, 4, 0, 2, 3, 1])


@asynccontextmanager
async def serving(listen="127.0.0.1:0"):
    door, ready = ShutDoor(Dimse(listen=listen, tls_listen="127.0.0.1:1")), asyncio.Event()
    task = asyncio.create_task(door.serve(ready=ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if task.done():
            task.result()
        yield door
    finally:
        task.cancel()
        await asyncio.wait([task])


async def said(port, *pieces):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    try:
        return await reader.read()
    except ConnectionResetError:  # what was sent was not read
        return b""
    finally:
        writer.close()


async def test_an_association_is_rejected_for_now(caplog):
    request = raw.pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS))
    async with serving() as door:
        assert await said(door.port, request) == REJECTED_FOR_NOW
        assert await said(door.port, request[:9], request[9:]) == REJECTED_FOR_NOW
    assert "rejected for now: the box is locked" in caplog.text


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\xa5" + bytes(165), b"\x01\0\xff\xff\xff\xff"],
    ids=["http", "tls", "far too long"],
)
async def test_what_is_no_request_for_an_association_is_hung_up_on(sent):
    async with serving() as door:
        assert await said(door.port, sent) == b""


async def test_who_says_nothing_is_hung_up_on_and_keeps_nobody_out(monkeypatch):
    monkeypatch.setattr(shut, "_SECONDS", 0.3)
    async with serving() as door:
        reader, silent = await asyncio.open_connection("127.0.0.1", door.port)
        assert (
            await said(door.port, raw.pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS)))
            == REJECTED_FOR_NOW
        )
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        silent.close()


async def test_a_crowd_is_bounded(monkeypatch):
    monkeypatch.setattr(shut, "_CONNECTIONS", 2)
    async with serving() as door:
        held = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
        await raw.until(door._slots.locked)
        assert await said(door.port) == b""
        for _, writer in held:
            writer.close()


async def test_without_a_plain_port_nobody_listens():
    async with serving(listen="") as door:
        assert door.port == 0


async def test_a_port_that_is_taken_is_an_error():
    async with serving() as door:
        with pytest.raises(ConfigError, match="can't be listened on"):
            async with serving(f"127.0.0.1:{door.port}"):
                pass
