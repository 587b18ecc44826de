"""What the service and its sealing process say to each other over their socket, as MessagePack.

The content of an object does not pass through the socket: it lies in memory that both have, and a
`Piece` says where. Each piece is answered by one `Outcome`; of one object, only one piece is under
way at a time. The process first says that it is ready, with an outcome of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["ARENA", "LONGEST", "READY", "SLOT", "Begin", "Outcome", "Piece"]

SLOT: Final = 128 * 1024
"""Bytes of the common memory that are given away at once."""
ARENA: Final = 128 * SLOT
"""All of it (16 MiB)."""
LONGEST: Final = 16 * 1024
"""Bytes of the longest message."""
READY: Final = 0
"""The number of no object."""


@dataclass(frozen=True, slots=True)
class Begin:
    """An object, as it is begun."""

    incoming: str
    """Where it is written."""
    final: str
    """Where it belongs once it is whole."""
    header: bytes
    secret: bytes
    """The study key."""
    dataset_offset: int | None
    """Bytes of preamble and group 0002 (PS3.10 7.1), if they are known."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next content of an object, in the order that it came."""

    number: int
    """Of the object; the service counts them."""
    parts: list[tuple[int, int]]
    """Offset and length of the content in the common memory."""
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
