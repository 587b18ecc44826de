"""A DICOM peer that takes images and keeps nothing: as requestor of a C-GET, or as a destination.

Written by hand and lean, so that it bounds nobody: it reads from its socket into one buffer, looks
at command sets, and counts the bytes of data sets. The same one serves every server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.workplace import BenchError
from tests.dimse import raw

__all__ = ["DESTINATION", "TITLE", "Taken", "destination", "get_study"]

TITLE, DESTINATION = "BENCH", "DEST"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
_PDU = 128 * 1024
_STORE, _STORED, _GOT = 0x0001, 0x8001, 0x8010
_PATIENCE = 120.0


@dataclass
class Taken:
    """What came."""

    instances: int = 0
    length: int = 0
    """Bytes of data sets."""
    status: int = -1
    """Of the last response, of a C-GET."""


class _Peer:
    """One association, after its beginning."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_PATIENCE)
        self._connection = connection
        self._buffer = bytearray(4 * _PDU)
        self._begin = self._end = 0
        self.taken = Taken()

    def pdu(self) -> tuple[int, memoryview]:
        """Type and body of the next PDU; the body is valid until the one after."""
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, length: int) -> memoryview:
        if self._end - self._begin < length:
            waiting = self._end - self._begin
            self._buffer[:waiting] = self._buffer[self._begin : self._end]
            self._begin, self._end = 0, waiting
            if length > len(self._buffer):
                self._buffer.extend(bytes(length))
            view = memoryview(self._buffer)
            while self._end < length:
                count = self._connection.recv_into(view[self._end :])
                if not count:
                    raise ConnectionError("the server closed the connection")
                self._end += count
        start = self._begin
        self._begin += length
        return memoryview(self._buffer)[start : self._begin]

    def send(self, data: bytes) -> None:
        """As it is."""
        self._connection.sendall(data)

    def take(self) -> None:
        """Answer C-STORE until the end: a release, or the last response to what was asked."""
        command, asked = bytearray(), (0, "", "", 0)
        while True:
            kind, body = self.pdu()
            if kind == 5:
                self.send(raw.pdu(6, bytes(4)))
                return
            if kind != 4:
                raise BenchError(f"a PDU of type {kind} came")
            position = 0
            while position < len(body):
                length, context, control = struct.unpack_from(">IBB", body, position)
                data = body[position + 6 : position + 4 + length]
                position += 4 + length
                if not control & 1:
                    self.taken.length += len(data)
                    if control & 2 and asked[0]:
                        self._answer(context, asked)
                    continue
                command += data
                if control & 2:
                    found = _command(command)
                    command = bytearray()
                    if found.field == _STORE:
                        asked = found.message_id, found.sop_class, found.sop_uid, context
                    elif found.field == _GOT and found.status not in (0xFF00, 0xFF01):
                        self.taken.status = found.status
                        return

    def _answer(self, context: int, asked: tuple[int, str, str, int]) -> None:
        self.taken.instances += 1
        message_id, sop_class, sop_uid, _ = asked
        answer = raw.command_set(
            raw.uid_element(0x0002, sop_class),
            raw.short(0x0100, _STORED),
            raw.short(0x0120, message_id),
            raw.short(0x0800, 0x0101),
            raw.short(0x0900, 0),
            raw.uid_element(0x1000, sop_uid),
        )
        self.send(raw.p_data(raw.fragment(context, 3, answer)))


@dataclass
class _Command:
    field: int
    message_id: int
    status: int
    sop_class: str
    sop_uid: str


def _command(data: bytearray) -> _Command:
    elements, offset = dict[int, bytes](), 0
    while offset < len(data):
        _, number, size = struct.unpack_from("<HHI", data, offset)
        elements[number] = bytes(data[offset + 8 : offset + 8 + size])
        offset += 8 + size

    def number(tag: int) -> int:
        return int.from_bytes(elements.get(tag, b"\xff\xff"), "little")

    def uid(tag: int) -> str:
        return elements.get(tag, b"").decode("ascii").rstrip("\0 ")

    return _Command(number(0x0100), number(0x0110), number(0x0900), uid(0x0002), uid(0x1000))


def get_study(port: int, called: str, study_uid: str) -> Taken:
    """C-GET of a CT study, in explicit VR little endian.

    Raises:
        BenchError: It does not come to its end.
    """
    contexts = raw.context_item(1, GET, [raw.EXPLICIT]) + raw.context_item(
        3, raw.CT, [raw.EXPLICIT]
    )
    user = raw.user_items(_PDU) + raw.role_item(raw.CT, 0, 1)
    request = raw.associate_body(contexts, calling=TITLE, called=called, user=user)
    uid = study_uid.encode() + b"\0" * (len(study_uid) % 2)
    identifier = (
        struct.pack("<HH2sH", 0x0008, 0x0052, b"CS", 6)
        + b"STUDY "
        + struct.pack("<HH2sH", 0x0020, 0x000D, b"UI", len(uid))
        + uid
    )
    command = raw.command_set(
        raw.uid_element(0x0002, GET),
        raw.short(0x0100, 0x0010),
        raw.short(0x0110, 1),
        raw.short(0x0700, 0),
        raw.short(0x0800, 1),
    )
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
            peer = _Peer(connection)
            peer.send(raw.pdu(1, request))
            kind, _ = peer.pdu()
            if kind != 2:
                raise BenchError(f"{called} does not associate for C-GET (PDU {kind})")
            peer.send(raw.p_data(raw.fragment(1, 3, command), raw.fragment(1, 2, identifier)))
            peer.take()
            peer.send(raw.pdu(5, bytes(4)))
            with contextlib.suppress(OSError):
                peer.pdu()
            return peer.taken
    except OSError as error:
        raise BenchError(f"{called}: C-GET broke off: {error}") from error


@contextmanager
def destination() -> Iterator[int]:
    """Listens as a process of its own; the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_serve, args=(listening,), daemon=True)
        process.start()
        port = int(listening.getsockname()[1])
    try:
        yield port
    finally:
        process.kill()
        process.join()


def _serve(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_attend, args=(connection,), daemon=True).start()


def _attend(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        peer = _Peer(connection)
        kind, body = peer.pdu()
        if kind != 1:
            return
        peer.send(raw.pdu(2, _accepted(bytes(body))))
        peer.take()


def _accepted(request: bytes) -> bytes:
    """The answer to an A-ASSOCIATE-RQ: every context, in its first transfer syntax."""
    answers, position = b"", 68
    while position < len(request):
        kind, length = struct.unpack_from(">BxH", request, position)
        if kind == 0x20:
            start, syntax = position + 8, b""
            while start < position + 4 + length:
                inner, size = struct.unpack_from(">BxH", request, start)
                if inner == 0x40 and not syntax:
                    syntax = request[start + 4 : start + 4 + size]
                start += 4 + size
            context = struct.pack(">Bxxx", request[position + 4])
            answers += raw.item(0x21, context + raw.item(0x40, syntax))
        position += 4 + length
    application = raw.item(0x10, b"1.2.840.10008.3.1.1.1")
    return request[:68] + application + answers + raw.item(0x50, raw.user_items(_PDU))
