"""The framing of PDUs (PS3.8 9.3): bytes become PDUs, and P-DATA becomes fragments of messages.

Fragments are handed on as they arrive, and nothing is collected that a peer merely announces: every
length is checked before it is believed. Which PDU may come when is the upper layer's (`Receiver`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

__all__ = ["MAX_ASSOCIATE_BYTES", "AbortReason", "Framing", "PduType", "Receiver"]

MAX_ASSOCIATE_BYTES = 128 * 1024
"""Of an A-ASSOCIATE-RQ or -AC; 128 contexts with 30 transfer syntaxes each still fit."""
MAX_PDU_TOLERANCE = 64
"""Some senders leave headers out when they count against the maximum that we offer."""

_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")


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


class Receiver(Protocol):
    """Who is told what was framed: an `UpperLayer`. What is raised passes through `consume`."""

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is wanted."""

    def is_expected(self, kind: PduType) -> bool:
        """Whether such a PDU may come now."""

    def on_pdu(self, kind: PduType, body: bytes) -> None:
        """A PDU other than P-DATA is complete; *body* is it without its first 6 bytes."""

    def on_violation(self, reason: AbortReason, what: str) -> None:
        """The peer broke the protocol."""

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """A PDV begins; its bytes follow by `on_data`."""

    def on_data(self, data: memoryview) -> None:
        """The next bytes of that PDV; valid until this returns."""

    def on_fragment_end(self, *, is_last: bool) -> None:
        """That PDV is complete; *is_last*: the command or data set is, too."""

    def on_progress(self) -> None:
        """One or more PDUs ended or began."""


class Framing:
    """What comes over one connection.

    Args:
        receiver: Who is told.
        max_pdu: What was offered as the longest P-DATA PDU, in bytes.
    """

    def __init__(self, receiver: Receiver, *, max_pdu: int) -> None:
        self._receiver = receiver
        self._max_pdu = max_pdu + MAX_PDU_TOLERANCE
        self._is_first = True
        self._in_pdu = False
        self._pdu_type = PduType.P_DATA
        self._pdu_left = 0
        self._fragment_left = 0
        self._fragment_is_last = False
        self._head = bytearray()
        self._need = _PDU_HEADER.size
        self._then: Callable[[bytearray], None] = self._pdu_header

    @property
    def is_in_pdu(self) -> bool:
        """Whether a PDU has begun to arrive and is not complete."""
        return self._in_pdu

    def consume(self, data: memoryview) -> None:
        """Take the next bytes."""
        receiver = self._receiver
        offset, end = 0, len(data)
        crossed = False
        while offset < end and not receiver.is_ending:
            if self._fragment_left:
                take = min(self._fragment_left, end - offset)
                receiver.on_data(data[offset : offset + take])
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
        if (crossed or not self._in_pdu) and not receiver.is_ending:
            receiver.on_progress()

    def _expect(self, need: int, then: Callable[[bytearray], None]) -> None:
        self._need, self._then = need, then

    def _pdu_header(self, head: bytearray) -> None:
        number, length = _PDU_HEADER.unpack(head)
        is_first, self._is_first = self._is_first, False
        violated = self._receiver.on_violation
        if not PduType.ASSOCIATE_RQ <= number <= PduType.ABORT:
            strange = f"a PDU of type {number:02X} came"
            if is_first:
                strange = _other_protocol(head) or strange
            violated(AbortReason.UNRECOGNISED_PDU, strange)
            return
        kind = PduType(number)
        name = kind.name.replace("_", "-")
        if not self._receiver.is_expected(kind):
            violated(AbortReason.UNEXPECTED_PDU, f"{name} came at the wrong time")
        elif not self._is_plausible(kind, length):
            violated(AbortReason.INVALID_PARAMETER, f"{name} of {length} bytes came")
        elif kind is PduType.P_DATA:
            self._pdu_left = length
            self._expect(_PDV_HEADER.size, self._pdv_header)
        else:
            self._pdu_type = kind
            self._expect(length, self._pdu_body)

    def _is_plausible(self, kind: PduType, length: int) -> bool:
        if kind is PduType.P_DATA:
            return _PDV_HEADER.size <= length <= self._max_pdu
        if kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
            return 0 < length <= MAX_ASSOCIATE_BYTES
        return length == 4

    def _pdv_header(self, head: bytearray) -> None:
        length, context_id, control = _PDV_HEADER.unpack(head)
        self._pdu_left -= 4 + length
        if length < 2 or self._pdu_left < 0:
            reason = AbortReason.INVALID_PARAMETER
            self._receiver.on_violation(reason, "a PDV reaches past the end of its PDU")
            return
        # PS3.8 E.2: bits 2 to 7 are not checked.
        self._fragment_is_last = bool(control & 2)
        self._fragment_left = length - 2
        self._receiver.on_fragment(context_id, is_command=bool(control & 1))
        if not self._fragment_left:
            self._fragment_end()

    def _fragment_end(self) -> None:
        if not self._pdu_left:
            self._pdu_end()
        elif self._pdu_left < _PDV_HEADER.size:
            reason = AbortReason.INVALID_PARAMETER
            self._receiver.on_violation(reason, "a P-DATA PDU ends inside a PDV")
            return
        else:
            self._expect(_PDV_HEADER.size, self._pdv_header)
        self._receiver.on_fragment_end(is_last=self._fragment_is_last)

    def _pdu_body(self, body: bytearray) -> None:
        self._pdu_end()
        self._receiver.on_pdu(self._pdu_type, bytes(body))

    def _pdu_end(self) -> None:
        self._in_pdu = False
        self._expect(_PDU_HEADER.size, self._pdu_header)


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
