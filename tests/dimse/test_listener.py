import asyncio
import errno
import logging
import os
from contextlib import asynccontextmanager

import pytest

from edge.dimse import listener as listener_module
from edge.dimse.listener import Listener
from tests.dimse import raw


@pytest.fixture
def accepted():
    found = []
    yield found
    for connection, _ in found:
        connection.close()


@pytest.fixture
async def connect():
    """Connects to a port of loopback; all end with the test."""
    writers = []

    async def connect(port, host="127.0.0.1"):
        _, writer = await asyncio.open_connection(host, port)
        writers.append(writer)

    yield connect
    for writer in writers:
        writer.close()


@asynccontextmanager
async def accepting(listener):
    task = asyncio.ensure_future(listener.accept())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_every_address_of_a_name_is_listened_on_at_one_port(accepted, connect):
    async with Listener(lambda *peer: accepted.append(peer), lambda: None) as listener:
        port = await listener.bind("localhost", 0)
        hosts = {bound.getsockname()[0] for bound in listener._sockets}
        async with accepting(listener):
            for host in hosts:
                await connect(port, host)
            await raw.until(lambda: len(accepted) == len(hosts))
        assert {host for _, host in accepted} == hosts
    with pytest.raises(ConnectionError):
        await connect(port)


class Failing:
    """A listening socket that fails so many times, and then does not."""

    def __init__(self, real, number, times):
        self.real, self.number, self.times = real, number, times

    def accept(self):
        if self.times:
            self.times -= 1
            raise OSError(self.number, os.strerror(self.number))
        return self.real.accept()

    def __getattr__(self, name):
        return getattr(self.real, name)


async def test_without_file_descriptors_few_lines_are_written_and_nobody_is_forgotten(
    accepted, connect, monkeypatch, caplog
):
    monkeypatch.setattr(listener_module, "PAUSE", 0.0)
    called = []
    async with Listener(lambda *peer: accepted.append(peer), lambda: called.append(1)) as listener:
        port = await listener.bind("127.0.0.1", 0)
        listener._sockets[0] = Failing(listener._sockets[0], errno.EMFILE, 5000)
        async with accepting(listener):
            await connect(port)
            await raw.until(lambda: accepted)
    assert len(called) == 5000
    assert len(caplog.records) < 50
    assert "the DICOM port: nobody can connect now: Too many open files" in caplog.messages
    assert all(record.levelno >= logging.WARNING for record in caplog.records)


async def test_a_connection_that_broke_before_it_was_accepted_is_no_end(accepted, connect):
    async with Listener(lambda *peer: accepted.append(peer), lambda: None) as listener:
        port = await listener.bind("127.0.0.1", 0)
        listener._sockets[0] = Failing(listener._sockets[0], errno.EPROTO, 3)
        async with accepting(listener):
            await connect(port)
            await raw.until(lambda: accepted)
    assert not accepted[0][0].getblocking()
