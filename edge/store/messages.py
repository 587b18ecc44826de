"""What the service and the store's process say to each other, as MessagePack.

They speak over two lanes, each a socket and memory that both have: one of what is sealed, one of
what is opened, so that neither waits for the other. No content passes through a socket: it lies in
the lane's memory, and messages say where. Each message is answered by one; of an object that is
sealed, only one piece is under way at a time. The process first says that it is ready, by the
outcome of no object, whose error is what its cage lacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "LONGEST",
    "MEMORY",
    "READY",
    "SLOT",
    "Begin",
    "Opened",
    "Outcome",
    "Piece",
    "Sealed",
    "Sought",
]

SLOT: Final = 128 * 1024
"""Bytes of a lane's memory that are given away at once: two chunks of an object."""
MEMORY: Final = 128 * SLOT
"""All of it (16 MiB)."""
LONGEST: Final = 16 * 1024
"""Bytes of the longest message."""
READY: Final = 0
"""The number of no object."""


@dataclass(frozen=True, slots=True)
class Begin:
    """An object, as it is begun."""

    name: str
    incoming: str
    """Where it is written."""
    folder: str
    """Where it belongs once it is whole, under its name."""
    header: bytes
    secret: bytes = field(repr=False)
    """The study key."""
    dataset_offset: int | None
    """Bytes of preamble and group 0002 (PS3.10 7.1), if they are known."""

    @property
    def final(self) -> str:
        """Its path once it is whole."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True, slots=True)
class Piece:
    """The next content of an object, in the order that it came."""

    number: int
    """Of the object; the service counts them."""
    parts: list[tuple[int, int]]
    """Offset and length of the content in the lane's memory."""
    begin: Begin | None = None
    """With the first piece."""
    end: Literal["", "commit", "discard"] = ""
    """With the last one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a piece; the figures are those of a committed object."""

    number: int
    error: str = ""
    errno: int = 0
    """Of the operating system, if that was it."""
    content_bytes: int = 0
    sealed_bytes: int = 0
    meta_digest: bytes = b""
    dataset_digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A small object that is to be opened whole."""

    name: str
    secret: bytes = field(repr=False)
    """The study key."""
    content_bytes: int
    """As many as it must have."""
    slots: list[int]
    """Where its content belongs."""


@dataclass(frozen=True, slots=True)
class Sought:
    """Objects that are to be opened, some at once."""

    number: int
    """The service counts them."""
    objects: list[Sealed]


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to that: which of them have opened. Why another did not is found out elsewhere."""

    number: int
    good: list[bool]
