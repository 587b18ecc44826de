"""The record on another machine: each entry as a DICOM audit message, by syslog over TLS.

PS3.15 A.6: RFC 5424 in the framing of RFC 5425, with facility 10 and MSGID ``DICOM+RFC3881``. The
number of an entry in the record is the sequenceId of its message (RFC 5424 7.3.1), so that who has
both can compare them: what is missing here, or was written anew here, is still there.

The spool is the record itself, with a cursor: a line that is down for weeks loses nothing that the
record keeps. Syslog has no acknowledgement: the cursor moves once the other side's TCP has
acknowledged every byte and the connection lives on; what was under way when it broke is sent again.
So a message may come twice, with the same number, and none is left out.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import hmac
import logging
import os
import socket
import ssl
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from edge import __version__
from edge.access.audit.entry import Entry, Outcome, moment
from edge.access.audit.folder import AuditFolder
from edge.access.audit.messages import Messages
from edge.access.audit.recorder import Audit
from edge.access.audit.search import Asked, entries
from edge.addresses import host_and_port
from edge.cloud.ciphers import CIPHERS
from edge.crypto.durable import write_file
from edge.errors import ConfigError
from edge.others import Syslog as Settings

__all__ = ["Forwarded", "Forwarder", "frame", "read_forwarded"]

log = logging.getLogger(__name__)

_FILE: Final = "forwarded"
_FACILITY: Final = 10
_NOTICE, _WARNING = 5, 4
_MSGID: Final = "DICOM+RFC3881"
_BOM: Final = b"\xef\xbb\xbf"
_BATCH: Final = 200
_IDLE: Final = 30.0
"""Seconds after which the record is looked at without having been told that it grew."""
_CONNECT: Final = 15.0
_SEND: Final = 30.0
"""Seconds that a batch may take until its last byte is acknowledged."""
_SURVIVE: Final = 0.5
"""Seconds that a connection must live on behind a batch: who refuses it closes."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_LONGEST: Final = 32768
"""Bytes of a message that every server takes (PS3.15 A.6)."""
_CUT: Final = 1000
_MOST_NUMBER: Final = 2147483647
"""A sequenceId then begins again (RFC 5424 7.3.1)."""
_UNPRINTABLE: Final = str.maketrans({chr(code): "_" for code in (*range(33), 127)})


@dataclass(frozen=True, slots=True)
class Forwarded:
    """How far the other machine has it."""

    number: int = 0
    """Of the last entry that was sent."""
    trouble: str = ""
    """Why no more are; empty if nothing is wrong."""
    since: float = 0.0
    """Since when; POSIX seconds."""


class Forwarder:
    """Sends what the other machine does not have.

    Args:
        settings: ``[audit.syslog]``.
        audit: The record.
        box: What the box is called.
        ae_title: Its own.
    """

    def __init__(self, settings: Settings, audit: Audit, *, box: str, ae_title: str) -> None:
        self._settings = settings
        self._audit = audit
        self._folder = audit.folder
        self._messages = Messages(box, ae_title)
        self._state = Forwarded()
        self._pause = _FIRST_PAUSE
        self._host, self._port = host_and_port(settings.server)

    async def run(self) -> None:
        """Send, until cancelled."""
        self._state = await asyncio.to_thread(read_forwarded, self._folder)
        while True:
            try:
                async with self._connected() as stream:
                    await self._serve(stream)
            except (OSError, TimeoutError, ConfigError) as error:
                await self._failed(error)
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _serve(self, stream: _Stream) -> None:
        """Send what there is, and what comes, while the connection lives."""
        written = self._audit.written
        while True:
            written.clear()
            while batch := await asyncio.to_thread(self._next):
                await stream.send([self._frame(entry) for entry in batch])
                await self._keep(Forwarded(batch[-1].number))
                self._pause = _FIRST_PAUSE
            if self._state.trouble:
                await self._keep(Forwarded(self._state.number))
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE):
                    await stream.closed_or(written)
            if stream.is_closed:
                return  # it is called again as soon as there is something to say

    def _next(self) -> list[Entry]:
        return list(islice(entries(self._folder, Asked(), self._state.number), _BATCH))

    def _frame(self, entry: Entry) -> bytes:
        return frame(entry, self._messages)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Stream]:
        """A connection, once there is anything to send."""
        while not await asyncio.to_thread(self._next):
            self._audit.written.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE):
                    await self._audit.written.wait()
        context = await asyncio.to_thread(_context, self._settings)
        async with asyncio.timeout(_CONNECT):
            reader, writer = await asyncio.open_connection(
                self._host,
                self._port,
                ssl=context,
                server_hostname=self._settings.name or self._host,
            )
        stream = _Stream(reader, writer)
        try:
            # With TLS 1.3 a server that refuses our certificate says so after the handshake.
            await stream.heard(_SURVIVE)
            yield stream
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT):
                    await writer.wait_closed()

    async def _keep(self, state: Forwarded) -> None:
        self._state = state
        await asyncio.to_thread(_write, self._folder, state)

    async def _failed(self, error: Exception) -> None:
        why = _why(error)
        known = self._state
        if why != known.trouble:
            log.warning("the audit can't be sent to %s: %s", self._settings.server, why)
            await self._keep(Forwarded(known.number, why, known.since or self._audit.clock()))


class _Stream:
    """A connection to a syslog server, which never says anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        raw = writer.get_extra_info("socket")
        self._descriptor: int = raw.fileno()

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send them, and wait until the other side has every byte, and lives on.

        Raises:
            OSError: It is gone; whether it has them is not known.
            TimeoutError: It takes nothing.
        """
        async with asyncio.timeout(_SEND):
            for one in frames:
                self._writer.write(one)
                await self._writer.drain()
            while self._left():
                await self.heard(0.02)
        await self.heard(_SURVIVE)

    async def closed_or(self, event: asyncio.Event) -> None:
        """Wait until something happens: the other side closes, or there is more to send."""
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(self._end()), group.create_task(_set(event))]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    async def heard(self, seconds: float) -> None:
        """Wait so long; raise if the other side closes meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._read()
        if self.is_closed:
            raise ConnectionResetError("the server closed the connection")

    async def _end(self) -> None:
        # However it ends, torn off or by what is no TLS: it is called again.
        with suppress(OSError):
            await self._read()

    async def _read(self) -> None:
        while await self._reader.read(4096):
            pass  # whatever it is, it is no part of the protocol

    def _left(self) -> int:
        """Bytes that the other side's TCP has not acknowledged."""
        transport = self._writer.transport
        held = transport.get_write_buffer_size()
        try:
            answer = fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, bytes(4))
        except OSError:
            return int(held)
        return int(held) + int(struct.unpack("i", answer)[0])


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def frame(entry: Entry, messages: Messages) -> bytes:
    """A message as it goes over the line: octet counting (RFC 5425 4.3), RFC 5424 6."""
    sequence = (entry.number - 1) % _MOST_NUMBER + 1
    severity = _WARNING if entry.outcome >= Outcome.FAILED else _NOTICE
    header = " ".join(
        (
            f"<{_FACILITY * 8 + severity}>1",
            moment(entry.at),
            _word(socket.gethostname(), 255),
            "edge",
            str(os.getpid()),
            _MSGID,
            f'[meta sequenceId="{sequence}"][origin software="edge" swVersion="{__version__}"]',
        )
    )
    body = header.encode() + b" " + _BOM + messages.xml(entry).encode()
    if len(body) > _LONGEST and (entry.detail or len(entry.query) > _CUT):
        cut = msgspec.structs.replace(entry, detail={}, query=entry.query[:_CUT])
        return frame(cut, messages)
    return b"%d %s" % (len(body), body)


def read_forwarded(folder: AuditFolder) -> Forwarded:
    """How far the other machine has it, as the service last wrote; from the beginning if unknown.

    Blocks.
    """
    try:
        proof, _, text = _path(folder).read_bytes().partition(b"\n")
    except OSError:
        return Forwarded()
    if not hmac.compare_digest(proof, _proof(folder, text)):
        return Forwarded()  # it was changed: all that is here is sent again
    return msgspec.json.decode(text, type=Forwarded)


def _write(folder: AuditFolder, state: Forwarded) -> None:
    text = msgspec.json.encode(state)
    with suppress(OSError):  # what is not known to be there is sent again
        write_file(_path(folder), _proof(folder, text) + b"\n" + text)


def _path(folder: AuditFolder) -> Path:
    return folder.path / _FILE


def _proof(folder: AuditFolder, text: bytes) -> bytes:
    proof = hmac.new(folder.key, b"edge/1 forwarded " + text, hashlib.sha256)
    return proof.hexdigest().encode()


def _context(settings: Settings) -> ssl.SSLContext:
    """TLS to the server: it must be vouched for, by name.

    Raises:
        ConfigError: A file can't be used.
    """
    try:
        ca = None if settings.tls_ca == Path() else str(settings.tls_ca)
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        # Python 3.13 asks more of an authority than clinics' own ones have: a use of its key, say.
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
        if settings.tls_certificate != Path():
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"audit.syslog: a certificate can't be used: {error}") from error
    return context


def _why(error: Exception) -> str:
    """In words that a person can act on."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not vouched for: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _word(text: str, most: int) -> str:
    """A field of the header: printable ASCII without blanks (RFC 5424 6)."""
    word = text.translate(_UNPRINTABLE).encode("ascii", "replace").decode()[:most]
    return word or "-"
