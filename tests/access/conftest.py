"""What the tests of access share: a clock that is set, and handshakes over real TLS."""

import asyncio
import datetime as dt
import ssl

import pytest

from edge.index.database import Database
from tests.access.people import World


class SetClock:
    """A clock that says what it is told."""

    def __init__(self):
        self.now = dt.datetime.now(dt.UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def handshake():
    """Shakes hands over loopback; gives the client's view, or raises what the client raised."""

    async def shake(server_context, client_context, name="localhost"):
        async def greet(reader, writer):
            writer.write(b"hello")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context, server_hostname=name
            )
            assert await reader.read() == b"hello"
            view = writer.get_extra_info("ssl_object")
            writer.close()
        return view

    # The files of the test are read outside of the event loop, as app does it.
    return lambda *arguments: asyncio.run(shake(*arguments))


@pytest.fixture
def trusting():
    """A client that trusts the one authority in a file, and nobody else."""

    def trust(path):
        return ssl.create_default_context(cafile=str(path))

    return trust


@pytest.fixture
async def database(tmp_path):
    """An index, empty."""
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


@pytest.fixture
async def world(database):
    """People and what lets them in."""
    return World(database)
