"""A peer that sends whatever bytes it is told, and an admission that remembers what it got.

Owns PDUs written by hand, right and wrong ones; nothing here uses the code that is tested.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

from edge.cache.admission import Admitted, Outcome, Source
from edge.config import Dimse
from edge.dicom.instance import InstanceRef
from edge.dimse.casebook import CaseBook
from edge.dimse.peers import Peers
from edge.dimse.server import DimseServer

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
PATIENCE = 30.0
"""Seconds after which a test gives up."""

STORE, ECHO, CANCEL = 0x0001, 0x0030, 0x0FFF
RESPONSE = 0x8000


class RecordingAdmission:
    """Keeps instances in memory; fails, waits or answers as it is told."""

    def __init__(self) -> None:
        self.instances: dict[str, bytes] = {}
        self.announced: list[tuple[str, str]] = []
        self.sources: list[Source] = []
        self.discarded: list[BaseException] = []
        self.error: Exception | None = None
        self.error_after = 0
        self.full: Exception | None = None
        self.outcome = Outcome.STORED
        self.pieces = 0
        self.largest_piece = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def _fail_if_told(self, now: bool) -> None:
        if self.error is not None and now:
            raise self.error

    async def store_instance(
        self, chunks, source, *, sop_class_uid=None, sop_uid=None, study_uid=None
    ):
        if self.full is not None:
            raise self.full
        self.started.set()
        self.sources.append(source)
        self.announced.append((sop_class_uid, sop_uid))
        taken = bytearray()
        try:
            async for chunk in chunks:
                assert type(chunk) is bytes
                taken += chunk
                self.pieces += 1
                self.largest_piece = max(self.largest_piece, len(chunk))
                self._fail_if_told(len(taken) >= self.error_after)
                await self.gate.wait()
            self._fail_if_told(True)
        except BaseException as error:
            self.discarded.append(error)
            raise
        self.instances[sop_uid] = bytes(taken)
        return Admitted(InstanceRef("1.1", "1.2", sop_uid), sop_class_uid, self.outcome)


@asynccontextmanager
async def serving(
    admission: Any = None,
    *,
    max_instance_bytes: int = 1 << 32,
    services=(),
    tls=None,
    book=None,
    associations=None,
    **settings: Any,
) -> AsyncIterator[DimseServer]:
    """A server on a free port of loopback; strangers are accepted unless told otherwise.

    With *tls*, a context or what has one, there is a port for TLS beside it.
    """
    settings = {"listen": "127.0.0.1:0", "unknown_peers": "accept"} | settings
    if tls is not None:
        settings = {"tls_listen": "127.0.0.1:0"} | settings
    if isinstance(tls, ssl.SSLContext):
        tls = SimpleNamespace(server=tls)
    dimse = Dimse(**settings)
    server = DimseServer(
        dimse,
        Peers(dimse, book),
        admission or RecordingAdmission(),
        max_instance_bytes=max_instance_bytes,
        services=services,
        tls=tls,
        casebook=CaseBook(dimse, associations),
    )
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(ready=ready))
        await asyncio.wait_for(ready.wait(), PATIENCE)
        try:
            yield server
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; the server tells nobody when it does."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def context_item(context_id: int, abstract: str, syntaxes: Iterable[str]) -> bytes:
    value = struct.pack(">Bxxx", context_id) + item(0x30, abstract.encode())
    return item(0x20, value + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes))


def user_items(max_pdu: int = 16384) -> bytes:
    return item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3") + item(0x55, b"RAW_1")


def role_item(sop_class: str, scu: int, scp: int) -> bytes:
    uid = sop_class.encode()
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes([scu, scp]))


def associate_body(
    contexts: bytes,
    *,
    calling: str | bytes = "RAW",
    called: str | bytes = "EDGE",
    user: bytes | None = None,
    application: bytes = b"1.2.840.10008.3.1.1.1",
    version: int = 1,
) -> bytes:
    titles = b"".join(
        (title.encode() if isinstance(title, str) else title).ljust(16)[:16]
        for title in (called, calling)
    )
    return (
        struct.pack(">HH", version, 0)
        + titles
        + bytes(32)
        + item(0x10, application)
        + contexts
        + item(0x50, user_items() if user is None else user)
    )


DEFAULT_CONTEXTS = context_item(1, VERIFICATION, [IMPLICIT]) + context_item(3, CT, [EXPLICIT])


def fragment(context_id: int, control: int, data: bytes) -> bytes:
    """A PDV: *control* has bit 1 for a command and bit 2 for the last fragment."""
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def p_data(*fragments: bytes) -> bytes:
    return pdu(4, b"".join(fragments))


def element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def short(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


def uid_element(number: int, uid: str) -> bytes:
    value = uid.encode()
    return element(number, value + b"\0" * (len(value) % 2))


def command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body))) + body


def echo_command(message_id: int = 1) -> bytes:
    return command_set(
        uid_element(0x0002, VERIFICATION),
        short(0x0100, ECHO),
        short(0x0110, message_id),
        short(0x0800, 0x0101),
    )


def store_command(
    sop_uid: str = "1.2.3.4", *, sop_class: str = CT, message_id: int = 1, data_set: int = 1
) -> bytes:
    return command_set(
        uid_element(0x0002, sop_class),
        short(0x0100, STORE),
        short(0x0110, message_id),
        short(0x0700, 0),
        short(0x0800, data_set),
        uid_element(0x1000, sop_uid),
    )


class RawPeer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; (0, b"") at the end of the connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                kind, length = struct.unpack(">BxI", await self.reader.readexactly(6))
                return kind, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""

    async def associate(self, contexts: bytes = DEFAULT_CONTEXTS, **fields: Any) -> bytes:
        """Have an A-ASSOCIATE-RQ accepted; the body of the answer."""
        self.send(pdu(1, associate_body(contexts, **fields)))
        kind, body = await self.read_pdu()
        assert kind == 2, (kind, body)
        return body

    async def refused(self, contexts: bytes = DEFAULT_CONTEXTS, **fields: Any) -> bytes:
        """Have an A-ASSOCIATE-RQ rejected; result, source, reason."""
        self.send(pdu(1, associate_body(contexts, **fields)))
        kind, body = await self.read_pdu()
        assert kind == 3, (kind, body)
        return body[1:]

    async def aborted(self) -> tuple[int, int]:
        """Source and reason of the A-ABORT that comes next, before the connection ends."""
        kind, body = await self.read_pdu()
        assert kind == 7, (kind, body)
        return body[2], body[3]

    async def aborted_while_sending(self, pieces: Iterable[bytes], pause: float) -> tuple[int, int]:
        """Send piece after piece until A-ABORT comes; its source and reason."""
        answer = asyncio.ensure_future(self.aborted())
        for piece in pieces:
            self.send(piece)
            await asyncio.wait([answer], timeout=pause)
            if answer.done():
                break
        return await answer

    async def response(self) -> dict[int, bytes]:
        """The command set that comes next, in however many PDUs."""
        command = b""
        while True:
            kind, body = await self.read_pdu()
            assert kind == 4, (kind, body)
            length, _, control = struct.unpack_from(">IBB", body)
            assert length == len(body) - 4
            command += body[6:]
            if control & 2:
                break
        elements, offset = {}, 0
        while offset < len(command):
            _, number, size = struct.unpack_from("<HHI", command, offset)
            elements[number] = command[offset + 8 : offset + 8 + size]
            offset += 8 + size
        return elements

    async def status(self) -> int:
        return int.from_bytes((await self.response())[0x0900], "little")

    async def echo(self, message_id: int = 1) -> int:
        self.send(p_data(fragment(1, 3, echo_command(message_id))))
        return await self.status()

    def store(self, data: bytes, sop_uid: str = "1.2.3.4", *, size: int = 16000, **fields: Any):
        """A whole C-STORE on context 3."""
        self.send(p_data(fragment(3, 3, store_command(sop_uid, **fields))))
        for start in range(0, len(data) or 1, size):
            last = 2 if start + size >= len(data) else 0
            self.send(p_data(fragment(3, last, data[start : start + size])))

    async def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        kind, body = await self.read_pdu()
        assert (kind, body) == (6, bytes(4))

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """End the connection with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
        self.writer.transport.abort()


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    peer = RawPeer(reader, writer)
    try:
        yield peer
    finally:
        await peer.close()
