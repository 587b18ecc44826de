"""The upper layer protocol of the acceptor (PS3.8 9) over one TCP connection.

Owns the framing: bytes become PDUs, P-DATA becomes fragments of messages that are handed on as they
arrive, and nothing is collected that a peer merely announces. Every length is checked before it is
believed. Which PDU may come when, aborts, and the quiet end of a connection are here too; who may
associate, what is negotiated, and how long anything may take is the user's (`Association`).

States (PS3.8 9.2): OPEN is Sta2 and Sta3, ESTABLISHED is Sta6, CLOSING is Sta13, CLOSED is Sta1.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Protocol, cast

from edge.dimse.data_set import Intake
from edge.errors import PeerError

__all__ = ["MAX_ASSOCIATE_BYTES", "AbortReason", "UpperLayer", "UpperLayerUser"]

MAX_ASSOCIATE_BYTES = 128 * 1024
"""Of an A-ASSOCIATE-RQ; 128 contexts with 30 transfer syntaxes each still fit."""
MAX_PDU_TOLERANCE = 64
"""Some senders leave headers out when they count against the maximum that we offer."""
LINGER_SECONDS = 5.0
"""After our last PDU the peer is to close the connection (ARTIM, PS3.8 9.1.5); then we do."""

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_P_DATA = struct.Struct(">BxIIBB")
_FIXED = struct.Struct(">BxIxBBB")


class PduType(IntEnum):
    """PDU types (PS3.8 9.3)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Why the association is aborted: source in the high byte, reason in the low (PS3.8 9.3.8)."""

    USER = 0x0000
    NOT_SPECIFIED = 0x0200
    UNRECOGNISED_PDU = 0x0201
    UNEXPECTED_PDU = 0x0202
    INVALID_PARAMETER = 0x0206


class State(IntEnum):
    """Where the connection stands; see above."""

    OPEN = 0
    ESTABLISHED = 1
    CLOSING = 2
    CLOSED = 3


class UpperLayerUser(Protocol):
    """Who is told what comes in: an `Association`, or a fake.

    All are called in the event loop and do not wait. A `PeerError` that one raises aborts.
    """

    def on_connected(self) -> None:
        """The connection is up."""

    def on_associate(self, body: bytes) -> None:
        """A-ASSOCIATE-RQ came; *body* is it without its first 6 bytes."""

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """A PDV begins; its bytes follow by `on_data`."""

    def on_data(self, data: memoryview) -> None:
        """The next bytes of that PDV; valid until this returns."""

    def on_fragment_end(self, *, is_last: bool) -> None:
        """That PDV is complete; *is_last*: the command or data set is, too."""

    def on_progress(self) -> None:
        """One or more PDUs ended or began; `UpperLayer.is_in_pdu` tells how it stands now."""

    def on_release(self) -> None:
        """A-RELEASE-RQ came."""

    def on_closed(self, error: PeerError) -> None:
        """Nothing more will come, and it was not a release. Called once at the most."""

    def on_disconnected(self) -> None:
        """The connection is gone, after whatever end."""


class UpperLayer(asyncio.BufferedProtocol):
    """One connection; made by the listener for each peer that connects.

    Args:
        user: Who is told what comes in.
        intake: Has the receive buffer.
        max_pdu: What was offered as the longest P-DATA PDU, in bytes.
        send_seconds: How long a peer may take to read what we send.
    """

    def __init__(
        self, user: UpperLayerUser, intake: Intake, *, max_pdu: int, send_seconds: float
    ) -> None:
        self._user = user
        self._intake = intake
        self._max_pdu = max_pdu + MAX_PDU_TOLERANCE
        self._send_seconds = send_seconds
        self._fragment_size = 0
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_write_paused = False
        self._is_requested = False
        self._is_told = False
        self._state = State.OPEN
        # Of the PDU that is being received.
        self._in_pdu = False
        self._pdu_type = 0
        self._pdu_left = 0
        self._fragment_left = 0
        self._fragment_is_last = False
        self._head = bytearray()
        self._need = _PDU_HEADER.size
        self._then: Callable[[bytearray], None] = self._pdu_header

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection: TLS has shaken hands, and the end has not come."""
        return self._transport is not None and self._state is not State.CLOSED

    @property
    def is_established(self) -> bool:
        """Whether P-DATA may be sent."""
        return self._state is State.ESTABLISHED

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is taken, and the end of the connection is awaited."""
        return self._state >= State.CLOSING

    @property
    def is_in_pdu(self) -> bool:
        """Whether a PDU has begun to arrive and is not complete."""
        return self._in_pdu

    # What the user asks for.

    def accept(self, pdu: bytes, *, fragment_size: int) -> None:
        """Send A-ASSOCIATE-AC; from now on P-DATA may come.

        Args:
            pdu: All of it.
            fragment_size: The most bytes of a message in one PDV that we send (PS3.8 D.1).
        """
        if self._state is State.OPEN:
            self._fragment_size = fragment_size
            self._state = State.ESTABLISHED
            self._write(pdu)

    def reject(self, result: int, source: int, reason: int) -> None:
        """Send A-ASSOCIATE-RJ (PS3.8 9.3.4) and await the end of the connection."""
        self._is_told = True
        self._finish(_FIXED.pack(PduType.ASSOCIATE_RJ, 4, result, source, reason))

    def release(self) -> None:
        """Send A-RELEASE-RP and await the end of the connection."""
        self._is_told = True
        self._finish(_FIXED.pack(PduType.RELEASE_RP, 4, 0, 0, 0))

    def abort(self, reason: AbortReason, error: PeerError) -> None:
        """Send A-ABORT, unless nobody has associated: then just close (PS3.8 9.2.3, AA-2)."""
        if self._state >= State.CLOSING:
            return
        if self._is_requested or self._in_pdu:
            self._finish(_FIXED.pack(PduType.ABORT, 4, 0, reason >> 8, reason & 0xFF))
        elif self._transport is not None:
            self._state = State.CLOSING
            self._transport.abort()
        self._tell(error)

    def disconnect(self, error: PeerError | None = None) -> None:
        """Drop the connection at once; *error* says why, if the user is to be told."""
        if error is not None:
            self._tell(error)
        if self._transport is not None:
            self._transport.abort()

    async def send(self, context_id: int, payload: bytes, *, is_command: bool) -> None:
        """Send a command set or a data set, in as many PDUs as the peer's maximum asks for.

        Raises:
            PeerError: The association is no more, or the peer does not read.
        """
        size, end = self._fragment_size, len(payload)
        for start in range(0, end or 1, size):
            part = payload[start : start + size] if end > size else payload
            control = is_command | (start + size >= end) << 1
            header = _P_DATA.pack(PduType.P_DATA, len(part) + 6, len(part) + 2, context_id, control)
            if not self.is_established:
                raise PeerError("the association ended before an answer was sent")
            self._write(header + part)
            if self._is_write_paused:
                await self._drain()

    def pause_reading(self) -> None:
        """Let the peer wait; TCP tells it so."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")
        self._user.on_connected()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The one buffer of the server: `buffer_updated` follows before anything else runs."""
        return self._intake.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        if self._state >= State.CLOSING:
            return
        try:
            self._consume(self._intake.buffer[:nbytes])
        except PeerError as error:
            self.abort(AbortReason.USER, error)
        self._acknowledge()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._state = State.CLOSED
        if self._linger is not None:
            self._linger.cancel()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        how = f"broke: {exc}" if exc else "was closed by the peer"
        self._tell(PeerError(f"the connection {how}, without a release"))
        self._user.on_disconnected()

    def pause_writing(self) -> None:
        """The peer does not read what we send."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _acknowledge(self) -> None:
        """Have TCP acknowledge at once what was received.

        Most senders leave Nagle's algorithm on: a small segment of theirs waits for our ACK, which
        Linux would delay by 40 ms, for every instance. The option wears off, so it is set again.
        """
        if self._socket is not None and _QUICKACK is not None:
            with suppress(OSError):  # the connection broke just now; asyncio will tell
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    # Framing.

    def _consume(self, data: memoryview) -> None:
        offset, end = 0, len(data)
        crossed = False
        while offset < end and self._state < State.CLOSING:
            if self._fragment_left:
                take = min(self._fragment_left, end - offset)
                self._user.on_data(data[offset : offset + take])
                offset += take
                self._fragment_left -= take
                if not self._fragment_left:
                    self._fragment_end()
                continue
            if not self._in_pdu:
                self._in_pdu = crossed = True
            take = min(self._need - len(self._head), end - offset)
            self._head += data[offset : offset + take]
            offset += take
            if len(self._head) == self._need:
                head, self._head = self._head, bytearray()
                self._then(head)
        if (crossed or not self._in_pdu) and self._state < State.CLOSING:
            self._user.on_progress()

    def _expect(self, need: int, then: Callable[[bytearray], None]) -> None:
        self._need, self._then = need, then

    def _pdu_header(self, head: bytearray) -> None:
        kind, length = _PDU_HEADER.unpack(head)
        if not PduType.ASSOCIATE_RQ <= kind <= PduType.ABORT:
            strange = f"a PDU of type {kind:02X} came"
            if not self._is_requested:
                strange = _other_protocol(head) or strange
            self._violated(AbortReason.UNRECOGNISED_PDU, strange)
        elif not self._is_expected(kind):
            name = PduType(kind).name.replace("_", "-")
            self._violated(AbortReason.UNEXPECTED_PDU, f"{name} came at the wrong time")
        elif not self._is_plausible(kind, length):
            name = PduType(kind).name.replace("_", "-")
            self._violated(AbortReason.INVALID_PARAMETER, f"{name} of {length} bytes came")
        elif kind == PduType.P_DATA:
            self._pdu_left = length
            self._expect(_PDV_HEADER.size, self._pdv_header)
        else:
            self._pdu_type = kind
            self._expect(length, self._pdu_body)

    def _is_expected(self, kind: int) -> bool:
        if kind == PduType.ABORT:
            return True
        if self._state is State.OPEN:
            return kind == PduType.ASSOCIATE_RQ and not self._is_requested
        return kind in (PduType.P_DATA, PduType.RELEASE_RQ)

    def _is_plausible(self, kind: int, length: int) -> bool:
        if kind == PduType.P_DATA:
            return _PDV_HEADER.size <= length <= self._max_pdu
        if kind == PduType.ASSOCIATE_RQ:
            return length <= MAX_ASSOCIATE_BYTES
        return length == 4

    def _pdv_header(self, head: bytearray) -> None:
        length, context_id, control = _PDV_HEADER.unpack(head)
        self._pdu_left -= 4 + length
        if length < 2 or self._pdu_left < 0:
            self._violated(AbortReason.INVALID_PARAMETER, "a PDV reaches past the end of its PDU")
            return
        # PS3.8 E.2: bits 2 to 7 are not checked.
        self._fragment_is_last = bool(control & 2)
        self._fragment_left = length - 2
        self._user.on_fragment(context_id, is_command=bool(control & 1))
        if not self._fragment_left:
            self._fragment_end()

    def _fragment_end(self) -> None:
        if not self._pdu_left:
            self._pdu_end()
        elif self._pdu_left < _PDV_HEADER.size:
            self._violated(AbortReason.INVALID_PARAMETER, "a P-DATA PDU ends inside a PDV")
            return
        else:
            self._expect(_PDV_HEADER.size, self._pdv_header)
        self._user.on_fragment_end(is_last=self._fragment_is_last)

    def _pdu_body(self, body: bytearray) -> None:
        self._pdu_end()
        if self._pdu_type == PduType.ASSOCIATE_RQ:
            self._is_requested = True
            self._user.on_associate(bytes(body))
        elif self._pdu_type == PduType.RELEASE_RQ:
            self._user.on_release()
        else:
            self._state = State.CLOSING
            self._tell(PeerError("the peer aborted the association"))
            self.disconnect()

    def _pdu_end(self) -> None:
        self._in_pdu = False
        self._expect(_PDU_HEADER.size, self._pdu_header)

    # The end.

    def _violated(self, reason: AbortReason, what: str) -> None:
        self.abort(reason, PeerError(what))

    def _tell(self, error: PeerError) -> None:
        if not self._is_told:
            self._is_told = True
            self._user.on_closed(error)

    def _finish(self, pdu: bytes) -> None:
        if self._state >= State.CLOSING or self._transport is None:
            return
        self._write(pdu)
        self._state = State.CLOSING
        # The peer may be paused; it must be read, or its end would never be seen.
        self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER_SECONDS, self._transport.abort)

    def _write(self, pdu: bytes) -> None:
        if self._transport is not None:
            self._transport.write(pdu)

    async def _drain(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._writable
        except TimeoutError as error:
            lost = PeerError(f"the peer did not read an answer within {self._send_seconds:g} s")
            self._tell(lost)
            self.disconnect()
            raise lost from error
        finally:
            self._writable = None


_HTTP = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"PATCH ",
    b"DELETE",
    b"OPTION",
    b"CONNEC",
    b"PRI * ",
)
_TLS = b"\x16\x03"
"""A record of type handshake, of any version (RFC 8446, 5.1)."""


def _other_protocol(head: bytearray) -> str:
    """What somebody speaks whose first 6 bytes are no PDU header, if it is well known."""
    if head.startswith(_HTTP):
        return "it speaks HTTP: browsers and DICOMweb need the port of http.listen"
    if head.startswith(_TLS):
        return "it speaks TLS, which this port does not: switch it off there, or use another port"
    return ""
