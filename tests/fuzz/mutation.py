"""Right bytes made wrong: what a mutation does, and hypothesis' ways to choose some.

Owns the lengths and bytes that parsers stumble over. A few changes to something that is right come
further into a parser than any random bytes do.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

BYTES = (0x00, 0x01, 0x02, 0x03, 0x04, 0x07, 0x10, 0x20, 0x2E, 0x2F, 0x5C, 0x7F, 0x80, 0xFF)
LENGTHS = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFE,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0xFFFFFFFF,
)
PIECES = (
    b"",
    b"\0",
    b"../../../../etc/passwd",
    b"1.2\\3.4",
    b"9" * 65,
    b"1." * 40,
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",  # an item without an end
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\x08\0\x05\0\x0a\0\0\0ISO_IR 192",
    b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    b"\x1b$B",
    b"\xff" * 40,
    b"*" * 40,
)


@dataclass(frozen=True)
class Change:
    """One change; *where* is a part of a thousand of the length."""

    kind: str
    where: int
    size: int
    piece: bytes

    def apply(self, data: bytes) -> bytes:
        at = len(data) * self.where // 1000
        end = min(at + self.size, len(data))
        match self.kind:
            case "set":
                return data[:at] + self.piece + data[at + len(self.piece) :]
            case "insert":
                return data[:at] + self.piece + data[at:]
            case "delete":
                return data[:at] + data[end:]
            case "repeat":
                return data[:end] + data[at:end] * (1 + len(self.piece)) + data[end:]
            case "cut":
                return data[:at]
            case _:
                raise ValueError(self.kind)


def _numbers() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda value, form: struct.pack(form, value & (2 ** (8 * struct.calcsize(form)) - 1)),
        st.sampled_from(LENGTHS),
        st.sampled_from((">I", "<I", ">H", "<H")),
    )


def changes() -> st.SearchStrategy[list[Change]]:
    """Up to five of them."""
    pieces = st.one_of(
        st.sampled_from(BYTES).map(lambda byte: bytes([byte])),
        _numbers(),
        st.sampled_from(PIECES),
        st.binary(max_size=12),
    )
    one = st.builds(
        Change,
        st.sampled_from(("set", "set", "set", "insert", "delete", "repeat", "cut")),
        st.integers(0, 999),
        st.integers(0, 64),
        pieces,
    )
    return st.lists(one, max_size=5)


def mutated(data: bytes, some: Sequence[Change]) -> bytes:
    """After all changes; a repetition is no bomb: that is another test's."""
    for one in some:
        data = one.apply(data)[:200_000]
    return data


def mutations(corpus: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Of one that is right, or any bytes."""
    return st.one_of(
        st.builds(mutated, st.sampled_from(corpus), changes()), st.binary(max_size=300)
    )
