"""DIMSE command sets: read and written here (PS3.7 6.3 and Annex E), because every message pays.

Owns the command group, its fields and the statuses that the edge answers with. A command set is
implicit VR little endian whatever the context's transfer syntax is, and it comes from a stranger:
lengths are checked against the bytes that are there, and whatever can't be read is a `PeerError`.
Nothing here knows of associations, and data sets never come this way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from edge.errors import PeerError

__all__ = [
    "MAX_COMMAND_BYTES",
    "NO_DATA_SET",
    "Command",
    "CommandField",
    "Element",
    "Status",
    "build_command",
    "name_of",
    "parse_command",
]

MAX_COMMAND_BYTES = 64 * 1024
"""A longer command set is refused; real ones have some hundred bytes."""
NO_DATA_SET = 0x0101
"""Command Data Set Type (0000,0800) of a message without a data set; any other value: with one."""
PENDING = frozenset({0xFF00, 0xFF01})
"""Statuses after which more responses follow (PS3.7 C.3)."""
RESPONSE = 0x8000
"""The bit of Command Field (0000,0100) that makes a response of a request."""

_MAX_ELEMENTS = 256
_HEADER = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")
_SHORT_ELEMENT = struct.Struct("<HHIH")


class CommandField(IntEnum):
    """Command Field (0000,0100) of the requests (PS3.7 E.1)."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


def name_of(field: CommandField) -> str:
    """As the Standard writes it: ``C-STORE``."""
    return field.name.replace("_", "-")


class Element(IntEnum):
    """Element numbers of group 0000 (PS3.7 E.1)."""

    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    REMAINING_SUBOPERATIONS = 0x1020
    COMPLETED_SUBOPERATIONS = 0x1021
    FAILED_SUBOPERATIONS = 0x1022
    WARNING_SUBOPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


_UIDS = frozenset(
    {
        Element.AFFECTED_SOP_CLASS_UID,
        Element.REQUESTED_SOP_CLASS_UID,
        Element.AFFECTED_SOP_INSTANCE_UID,
        Element.REQUESTED_SOP_INSTANCE_UID,
    }
)


class Status(IntEnum):
    """Status (0000,0900): those that the edge answers with (PS3.7 C; PS3.4 B.2.3, C.4)."""

    SUCCESS = 0x0000
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
    NO_SUCH_ATTRIBUTE = 0x0105
    INVALID_ATTRIBUTE_VALUE = 0x0106
    ATTRIBUTE_LIST_ERROR = 0x0107
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    NO_SUCH_ARGUMENT = 0x0114
    INVALID_ARGUMENT_VALUE = 0x0115
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    CLASS_INSTANCE_CONFLICT = 0x0119
    MISSING_ATTRIBUTE = 0x0120
    MISSING_ATTRIBUTE_VALUE = 0x0121
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORISED = 0x0124
    UNRECOGNISED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    UNABLE_TO_COUNT = 0xA701
    UNABLE_TO_PERFORM = 0xA702
    DESTINATION_UNKNOWN = 0xA801
    DATA_SET_DOES_NOT_MATCH = 0xA900
    WARNING = 0xB000
    CANNOT_UNDERSTAND = 0xC000
    UNABLE_TO_PROCESS = 0xC001
    CANCELLED = 0xFE00
    PENDING = 0xFF00
    PENDING_KEYS_NOT_SUPPORTED = 0xFF01
    """Some optional keys are not matched, or never have a value (PS3.4 C.4.1.1.4)."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command set that was received."""

    field: int
    """Command Field (0000,0100); with the bit 8000 it is a response."""
    message_id: int
    """Message ID (0000,0110); of a response and of C-CANCEL the ID that it is about (0000,0120)."""
    has_data_set: bool
    elements: Mapping[int, bytes]
    """Element number of group 0000 to the value as it came."""

    @property
    def name(self) -> str:
        """``C-STORE``, ``C-STORE response``, or the number in hexadecimal."""
        try:
            name = name_of(CommandField(self.field & ~RESPONSE))
        except ValueError:
            return f"command {self.field:04X}"
        return f"{name} response" if self.field & RESPONSE else name

    def text(self, element: Element) -> str:
        """A value as text without its padding; empty if it is absent or not ASCII."""
        value = self.elements.get(element, b"")
        return value.decode("ascii").strip(" \x00") if value.isascii() else ""

    def number(self, element: Element) -> int | None:
        """The value of a US element; None if it is absent or has another length."""
        value = self.elements.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None


def parse_command(data: bytes | bytearray) -> Command:
    """Read a command set.

    An absent or wrong Command Group Length (0000,0000) is let through, and so is any order of the
    elements: nothing depends on them.

    Raises:
        PeerError: An element reaches past the end, is of another group, or Command Field, Message
            ID or Command Data Set Type are missing.
    """
    elements: dict[int, bytes] = {}
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 8:
            raise PeerError("a command set ends in the middle of an element")
        group, element, length = _HEADER.unpack_from(data, offset)
        offset += 8
        if group != 0:
            raise PeerError(f"a command set has an element of group {group:04X}")
        if length > end - offset:
            raise PeerError("an element of a command set is longer than the command set")
        elements[element] = bytes(data[offset : offset + length])
        offset += length
        if len(elements) > _MAX_ELEMENTS:
            raise PeerError("a command set has too many elements")
    field = _required(elements, Element.COMMAND_FIELD)
    answers = field & RESPONSE or field == CommandField.C_CANCEL
    return Command(
        field=field,
        message_id=_required(
            elements, Element.MESSAGE_ID_BEING_RESPONDED_TO if answers else Element.MESSAGE_ID
        ),
        has_data_set=_required(elements, Element.COMMAND_DATA_SET_TYPE) != NO_DATA_SET,
        elements=elements,
    )


def build_command(values: Mapping[Element, int | str | bytes]) -> bytes:
    """Write a command set, its group length first.

    Args:
        values: Numbers become US; text becomes ASCII, padded with NUL if it is a UID and with a
            space otherwise (PS3.5 6.2); bytes go as they are and must be of even length.

    Raises:
        ValueError: Text is not ASCII, or a number does not fit 16 bits.
    """
    parts = []
    for element in sorted(values):
        value = values[element]
        if isinstance(value, int):
            try:
                parts.append(_SHORT_ELEMENT.pack(0, element, 2, value))
            except struct.error as error:
                raise ValueError(f"(0000,{element:04X}) = {value} does not fit US") from error
            continue
        raw = value.encode("ascii") if isinstance(value, str) else value
        if len(raw) % 2:
            raw += b"\x00" if element in _UIDS else b" "
        parts.append(_HEADER.pack(0, element, len(raw)) + raw)
    body = b"".join(parts)
    return _HEADER.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body


def _required(elements: Mapping[int, bytes], element: Element) -> int:
    value = elements.get(element)
    if value is None or len(value) != 2:
        raise PeerError(f"a command set has no usable (0000,{element:04X})")
    number: int = _SHORT.unpack(value)[0]
    return number
