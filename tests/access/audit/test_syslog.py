"""Every entry reaches the other machine, over TLS alone, however often the line breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from xml.etree import ElementTree as ET

import pytest
import trustme

from edge.access.audit import syslog
from edge.access.audit.entry import Event, Outcome
from edge.access.audit.messages import Messages
from edge.access.audit.recorder import Audit
from edge.access.audit.syslog import Forwarded, Forwarder, frame, read_forwarded
from edge.others import Syslog
from tests.access.audit.grammar import faults
from tests.fakes.syslog import SyslogServer


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    """The authority, and a certificate of ours, as files."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("box.example.org")
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path


def server_context(authority, *, wants_certificate=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("log.example.org", "127.0.0.1").configure_cert(context)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


@pytest.fixture
async def server(authority):
    server = SyslogServer(server_context(authority))
    await server.start()
    yield server
    if server._server is not None:
        await server.stop()
    assert server.errors == []


@pytest.fixture
def settings(server, files):
    def made(**fields):
        fields = {"tls_ca": files / "ca.pem", **fields}
        return Syslog(f"127.0.0.1:{server.port}", **fields)

    return made


@pytest.fixture
def audit(open_folder, memory):
    return Audit(open_folder(), memory)


@contextlib.asynccontextmanager
async def forwarding(audit, settings):
    async with asyncio.TaskGroup() as group:
        forwarder = Forwarder(settings, audit, box="box", ae_title="EDGE")
        task = group.create_task(forwarder.run())
        yield task
        task.cancel()


async def until_state(audit, fits):
    """What the service wrote of it, once it is as wanted."""
    async with asyncio.timeout(60):
        while not fits(  # noqa: ASYNC110 - files tell nobody
            state := await asyncio.to_thread(read_forwarded, audit.folder)
        ):
            await asyncio.sleep(0.02)
    return state


async def until_forwarded(audit, number):
    return await until_state(audit, lambda state: state.number >= number)


async def until_trouble(audit):
    return await until_state(audit, lambda state: state.trouble)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(syslog, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(syslog, "_LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(syslog, "_SURVIVE", 0.1)


async def test_every_entry_comes_as_a_dicom_message(audit, entry, server, settings):
    async with audit:
        await audit.record(*(entry(query="ä" * number) for number in range(50)))
        async with forwarding(audit, settings()):
            assert await server.until(50) == list(range(1, 51))
            await audit.record(entry(event=Event.RECORD_DAMAGED, outcome=Outcome.GRAVE))
            await server.until(51)
            await until_forwarded(audit, 51)
    first, last = server.messages[0], server.messages[-1]
    assert (first.pri, last.pri) == (85, 84)
    assert first.message_id == "DICOM+RFC3881"
    for message in server.messages:
        assert faults(ET.fromstring(message.text)) == []
    assert server.connections == 1


async def test_what_was_written_while_it_was_away_comes_later_and_once(
    audit, entry, server, settings
):
    async with audit:
        await server.stop()
        await audit.record(*(entry() for _ in range(500)))
        async with forwarding(audit, settings()):
            await until_trouble(audit)
            await server.start()
            assert await server.until(500) == list(range(1, 501))
            assert await until_forwarded(audit, 500) == Forwarded(500)
        async with forwarding(audit, settings()):  # a restart sends nothing again
            await audit.record(entry())
            assert await server.until(501) == list(range(1, 502))


async def test_a_connection_that_breaks_in_the_middle_leaves_nothing_out(
    audit, entry, server, settings
):
    async with audit:
        server.hang_up_after = 37
        await audit.record(*(entry() for _ in range(500)))
        async with forwarding(audit, settings()):
            numbers = await server.until(500)
            await until_forwarded(audit, 500)
    assert set(numbers) == set(range(1, 501))
    assert server.connections >= 2


@pytest.mark.parametrize("said", [b"", b"\x17\x03\x03\x00\x05bytes", b"HTTP/1.1 400 Bad"])
async def test_a_server_that_breaks_off_or_says_nonsense_while_nothing_is_sent_is_called_again(
    audit, entry, server, settings, said
):
    async with audit:
        await audit.record(entry())
        async with forwarding(audit, settings()) as task:
            await until_forwarded(audit, 1)
            (writer,) = server._writers
            raw = writer.get_extra_info("socket")
            os.write(raw.fileno(), said)  # behind the back of TLS
            if not said:
                # Not an end, but a reset.
                linger = struct.pack("ii", 1, 0)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            while writer in server._writers:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
            await audit.record(entry())
            await server.until(2)
            assert not task.done()


async def test_a_server_that_reads_nothing_has_nothing(audit, entry, server, settings, monkeypatch):
    monkeypatch.setattr(syslog, "_SEND", 0.5)
    server.reads = False
    async with audit:
        await audit.record(*(entry(query="x" * 900) for _ in range(10_000)))
        async with forwarding(audit, settings()):
            state = await until_trouble(audit)
    assert state.trouble == "it does not answer"
    assert state.number < 10_000


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "other.example.org"}, "not vouched for"),
        ({"name": "log.example.org"}, ""),
        ({"tls_ca": "other"}, "not vouched for"),
    ],
    ids=["another name", "its name", "another authority"],
)
async def test_only_a_server_that_is_vouched_for_by_name_hears_anything(
    audit, entry, server, settings, files, fields, why
):
    if "tls_ca" in fields:
        trustme.CA().cert_pem.write_to_path(files / "other.pem")
        fields = {"tls_ca": files / "other.pem"}
    async with audit:
        await audit.record(entry())
        async with forwarding(audit, settings(**fields)):
            state = await until_state(audit, lambda state: state.trouble or state.number)
    assert why in state.trouble
    assert bool(server.messages) is not bool(why)


async def test_a_server_that_wants_a_certificate_is_shown_ours(
    audit, entry, server, settings, authority, files
):
    server.context = server_context(authority, wants_certificate=True)
    await server.stop()
    await server.start()
    ours = {"tls_certificate": files / "cert.pem", "tls_key": files / "key.pem"}
    async with audit:
        await audit.record(entry())
        async with forwarding(audit, settings()):
            await until_trouble(audit)
        assert server.messages == []
        async with forwarding(audit, settings(**ours)):
            await server.until(1)


async def test_a_server_without_tls_hears_nothing(audit, entry, settings, files):
    heard = []

    async def plain(reader, writer):
        heard.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as listening, audit:
        port = listening.sockets[0].getsockname()[1]
        await audit.record(entry(query="Verysecret"))
        wanted = Syslog(f"127.0.0.1:{port}", tls_ca=files / "ca.pem")
        async with forwarding(audit, wanted):
            await until_trouble(audit)
    assert all(said.startswith(b"\x16") and b"Verysecret" not in said for said in heard)


@pytest.mark.blocks  # the test changes the file
async def test_a_cursor_that_was_changed_has_everything_sent_again(audit, entry, server, settings):
    async with audit:
        await audit.record(*(entry() for _ in range(5)))
        async with forwarding(audit, settings()):
            await until_forwarded(audit, 5)
        path = audit.folder.path / "forwarded"
        path.write_bytes(path.read_bytes().replace(b'"number":5', b'"number":9'))
        assert read_forwarded(audit.folder) == Forwarded()
        async with forwarding(audit, settings()):
            await until_forwarded(audit, 5)
    assert [one.sequence for one in server.messages] == [1, 2, 3, 4, 5] * 2


def test_a_message_has_a_longest_length(entry):
    detail = {str(number): "\x01" * 250 for number in range(200)}
    made = frame(entry(detail=detail, query="\x01" * 20_000, number=7), Messages("box", "EDGE"))
    length, _, body = made.partition(b" ")
    assert int(length) == len(body) <= 32768


def test_a_sequence_id_begins_again_where_the_standard_says(entry):
    made = frame(entry(number=2147483648), Messages("box", "EDGE"))
    assert b'sequenceId="1"' in made
