"""The upper layer protocol (PS3.8 9) over one TCP connection, as acceptor and as requestor.

Owns the states of a connection: which PDU may come when, what is sent, aborts, and its quiet end.
Bytes become PDUs in `framing`; who may associate, what is negotiated, and how long anything may
take is the user's (`Association`, `Requestor`).

States (PS3.8 9.2), acceptor and requestor: OPEN is Sta2 and Sta3, or Sta4 and Sta5; ESTABLISHED is
Sta6; RELEASING is Sta7, Sta9 and Sta11 of a requestor; CLOSING is Sta13; CLOSED is Sta1.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterable
from contextlib import suppress
from enum import IntEnum
from typing import Protocol, cast

from edge.dimse.data_set import Intake
from edge.dimse.framing import AbortReason, Framing, PduType
from edge.errors import How, PeerError, PeerRefused

__all__ = ["UpperLayer", "UpperLayerUser"]

LINGER_SECONDS = 5.0
"""After our last PDU the peer is to close the connection (ARTIM, PS3.8 9.1.5); then we do."""

_TOGETHER = 256 * 1024
"""Bytes that are written at once."""
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_P_DATA = struct.Struct(">BxIIBB")
_FIXED = struct.Struct(">BxIxBBB")


class State(IntEnum):
    """Where the connection stands; see above."""

    OPEN = 0
    ESTABLISHED = 1
    RELEASING = 2
    CLOSING = 3
    CLOSED = 4


class UpperLayerUser(Protocol):
    """Who is told what comes in: an `Association`, a `Requestor`, or a fake.

    All are called in the event loop and do not wait. A `PeerError` that one raises aborts.
    """

    def on_connected(self) -> None:
        """The connection is up."""

    def on_associate(self, body: bytes) -> None:
        """A-ASSOCIATE-RQ came, or -AC if we asked; *body* is it without its first 6 bytes."""

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """A PDV begins; its bytes follow by `on_data`."""

    def on_data(self, data: memoryview) -> None:
        """The next bytes of that PDV; valid until this returns."""

    def on_fragment_end(self, *, is_last: bool) -> None:
        """That PDV is complete; *is_last*: the command or data set is, too."""

    def on_progress(self) -> None:
        """One or more PDUs ended or began; `UpperLayer.is_in_pdu` tells how it stands now."""

    def on_release(self) -> None:
        """A-RELEASE-RQ came; or, if we asked, A-RELEASE-RP."""

    def on_closed(self, error: PeerError) -> None:
        """Nothing more will come, and it was not a release. Called once at the most."""

    def on_disconnected(self) -> None:
        """The connection is gone, after whatever end."""


class UpperLayer(asyncio.BufferedProtocol):
    """One connection.

    Args:
        user: Who is told what comes in.
        intake: Has the receive buffer.
        max_pdu: What was offered as the longest P-DATA PDU, in bytes.
        send_seconds: How long a peer may take to read what we send.
        is_requestor: We ask for the association.
    """

    def __init__(
        self,
        user: UpperLayerUser,
        intake: Intake,
        *,
        max_pdu: int,
        send_seconds: float,
        is_requestor: bool = False,
    ) -> None:
        self._user = user
        self._intake = intake
        self._framing = Framing(self, max_pdu=max_pdu)
        self._send_seconds = send_seconds
        self._is_requestor = is_requestor
        self._fragment_size = 0
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_write_paused = False
        self._sending = asyncio.Lock()
        self._is_requested = False
        self._is_told = False
        self._state = State.OPEN
        # Straight to the user, for they are many.
        self.on_fragment = user.on_fragment
        self.on_data = user.on_data
        self.on_fragment_end = user.on_fragment_end
        self.on_progress = user.on_progress

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
        return self._framing.is_in_pdu

    # What the user asks for.

    def request(self, pdu: bytes) -> None:
        """Send A-ASSOCIATE-RQ; its answer comes by `UpperLayerUser.on_associate`, or as an end."""
        self._is_requested = True
        self._write(pdu)

    def establish(self, *, fragment_size: int) -> None:
        """A-ASSOCIATE-AC came and will do; see `accept`."""
        if self._state is State.OPEN:
            self._fragment_size = fragment_size
            self._state = State.ESTABLISHED

    def accept(self, pdu: bytes, *, fragment_size: int) -> None:
        """Send A-ASSOCIATE-AC; from now on P-DATA may come.

        Args:
            pdu: All of it.
            fragment_size: The most bytes of a message in one PDV that we send (PS3.8 D.1).
        """
        if self._state is State.OPEN:
            self.establish(fragment_size=fragment_size)
            self._write(pdu)

    def reject(self, result: int, source: int, reason: int) -> None:
        """Send A-ASSOCIATE-RJ (PS3.8 9.3.4) and await the end of the connection."""
        self._is_told = True
        self._finish(_FIXED.pack(PduType.ASSOCIATE_RJ, 4, result, source, reason))

    def release(self) -> None:
        """Send A-RELEASE-RP and await the end of the connection."""
        self._is_told = True
        self._finish(_FIXED.pack(PduType.RELEASE_RP, 4, 0, 0, 0))

    def request_release(self) -> None:
        """Send A-RELEASE-RQ; its answer comes by `UpperLayerUser.on_release`."""
        if self._state is State.ESTABLISHED:
            self._state = State.RELEASING
            self._write(_FIXED.pack(PduType.RELEASE_RQ, 4, 0, 0, 0))

    def abort(self, reason: AbortReason, error: PeerError) -> None:
        """Send A-ABORT, unless nobody has associated: then just close (PS3.8 9.2.3, AA-2)."""
        if self._state >= State.CLOSING:
            return
        if self._is_requested or self.is_in_pdu:
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

    async def send(
        self,
        context_id: int,
        command: bytes,
        data_set: bytes | memoryview | AsyncIterable[bytes] = b"",
    ) -> None:
        """Send a message, in as many PDUs as the peer's maximum asks for; never amid another.

        A data set that comes piece by piece is sent as it comes. If it breaks off, or the sender is
        cancelled, the association is aborted: the peer could not tell where the message ends.

        Args:
            context_id: Presentation context.
            command: The command set.
            data_set: In the context's transfer syntax; empty bytes: none.

        Raises:
            PeerError: The association is no more, or the peer does not read.
        """
        async with self._sending:
            # What goes out at once wakes the peer once.
            begin = self._pdus(context_id, command, is_command=True, is_last=True)
            if isinstance(data_set, bytes | memoryview):
                if data_set:
                    begin += self._pdus(context_id, data_set, is_command=False, is_last=True)
                await self._send_pdus(begin)
                return
            await self._send_pdus(begin)
            try:
                await self._send_stream(context_id, data_set)
            except PeerError:
                raise
            except BaseException:
                why = PeerError("a message broke off on our side", how=How.OURS)
                self.abort(AbortReason.USER, why)
                raise

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
            self._framing.consume(self._intake.buffer[:nbytes])
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
        self._tell(PeerError(f"the connection {how}, without a release", how=How.BROKEN))
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

    # What the framing tells.

    def is_expected(self, kind: PduType) -> bool:
        """See `Receiver`."""
        if kind is PduType.ABORT:
            return True
        if self._state is State.OPEN:
            if self._is_requestor:
                answers = (PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ)
                return self._is_requested and kind in answers
            return kind is PduType.ASSOCIATE_RQ and not self._is_requested
        if kind is PduType.RELEASE_RP:
            return self._state is State.RELEASING
        return kind in (PduType.P_DATA, PduType.RELEASE_RQ)

    def on_pdu(self, kind: PduType, body: bytes) -> None:
        """See `Receiver`."""
        if kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
            self._is_requested = True
            self._user.on_associate(body)
        elif kind is PduType.ASSOCIATE_RJ:
            self._end(PeerRefused(result=body[1], source=body[2], reason=body[3]))
        elif kind is PduType.ABORT:
            self._end(PeerError("the peer aborted the association", how=How.ABORTED))
        elif kind is PduType.RELEASE_RP:
            self._is_told = True
            self._user.on_release()
            self._end()
        elif self._state is State.RELEASING:
            # Both asked at once: the requestor answers first (PS3.8 9.2.3, AR-8 and AR-9).
            self._write(_FIXED.pack(PduType.RELEASE_RP, 4, 0, 0, 0))
        else:
            self._user.on_release()

    def on_violation(self, reason: AbortReason, what: str) -> None:
        """See `Receiver`."""
        is_strange = reason is AbortReason.UNRECOGNISED_PDU
        self.abort(reason, PeerError(what, how=How.OTHER_PROTOCOL if is_strange else How.VIOLATION))

    # Sending.

    def _pdus(
        self, context_id: int, payload: bytes | memoryview, *, is_command: bool, is_last: bool
    ) -> list[bytes | memoryview]:
        """P-DATA PDUs with a command or some of a data set: headers and fragments in turn."""
        size, end = self._fragment_size, len(payload)
        view = memoryview(payload)
        parts: list[bytes | memoryview] = []
        for start in range(0, end or 1, size):
            part = view[start : start + size]
            control = is_command | (is_last and start + size >= end) << 1
            length = len(part)
            parts.append(_P_DATA.pack(PduType.P_DATA, length + 6, length + 2, context_id, control))
            parts.append(part)
        return parts

    async def _send_pdus(self, parts: list[bytes | memoryview]) -> None:
        """Write them, as many at once as is good, and wait where the peer does not read."""
        together: list[bytes | memoryview] = []
        held = 0
        for number, part in enumerate(parts, 1):
            together.append(part)
            held += len(part)
            if held < _TOGETHER and number < len(parts):
                continue
            if not self.is_established:
                raise PeerError("the association ended before all was sent")
            self._write(b"".join(together))
            together.clear()
            held = 0
            if self._is_write_paused:
                await self._drain()

    async def _send_stream(self, context_id: int, pieces: AsyncIterable[bytes]) -> None:
        """All but the end goes out in full fragments; what is left waits for more."""
        size = self._fragment_size
        left = bytearray()
        async for piece in pieces:
            left += piece
            if len(left) > size:
                whole = (len(left) - 1) // size * size  # what is left may be the last fragment
                out = bytes(left[:whole])
                del left[:whole]
                await self._send_pdus(self._pdus(context_id, out, is_command=False, is_last=False))
        await self._send_pdus(self._pdus(context_id, bytes(left), is_command=False, is_last=True))

    async def _drain(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._send_seconds):
                await self._writable
        except TimeoutError as error:
            why = f"the peer did not read what was sent within {self._send_seconds:g} s"
            lost = PeerError(why, how=How.STALLED)
            self._tell(lost)
            self.disconnect()
            raise lost from error
        finally:
            self._writable = None

    def _write(self, pdu: bytes) -> None:
        if self._transport is not None:
            self._transport.write(pdu)

    # The end.

    def _tell(self, error: PeerError) -> None:
        if not self._is_told:
            self._is_told = True
            self._user.on_closed(error)

    def _end(self, error: PeerError | None = None) -> None:
        """The peer said its last."""
        self._state = State.CLOSING
        self.disconnect(error)

    def _finish(self, pdu: bytes) -> None:
        if self._state >= State.CLOSING or self._transport is None:
            return
        self._write(pdu)
        self._state = State.CLOSING
        # The peer may be paused; it must be read, or its end would never be seen.
        self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER_SECONDS, self._transport.abort)
