"""What is stated in a bundle: what is in it, by the box; what became of it, by who delivered it.

Values only, as they stand on the disk (msgpack), sealed and signed by `edge.crypto.courier`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import msgspec

from edge.dicom.instance import InstanceRef
from edge.errors import SealBroken

__all__ = [
    "VERSION",
    "Complete",
    "Entry",
    "Outcome",
    "PartList",
    "Receipt",
    "Result",
    "decoded",
]

VERSION = 1


class Outcome(StrEnum):
    """What became of an instance at the place that delivered it."""

    VERIFIED = "VERIFIED"
    """The archive gave it back, and it was this very data set."""
    STORED = "STORED"
    """The archive said that it stored it; it could not be read back yet."""
    REFUSED = "REFUSED"
    CONFLICT = "CONFLICT"
    """The archive has other bytes under its UID."""
    DAMAGED = "DAMAGED"
    """It could not be read from the disk."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An instance in a bundle."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax: str
    size: int
    """Bytes of its Part 10 file."""
    meta_digest: bytes
    dataset_digest: bytes
    custody: str
    """When it was packed."""
    priority: int
    pieces: tuple[tuple[int, int, int], ...]
    """Where it is: part, offset, bytes."""

    @property
    def ref(self) -> InstanceRef:
        """Its UIDs."""
        return InstanceRef(self.study_uid, self.series_uid, self.sop_uid)


class PartList(msgspec.Struct, frozen=True):
    """What is in a part."""

    version: int
    box: str
    """The name of the one that packed it."""
    packed: float
    """POSIX seconds; of all parts of a bundle the same."""
    recipients: tuple[bytes, ...]
    """Digests of the places that it is for."""
    length: int
    """Bytes of content in the part."""
    entries: tuple[Entry, ...]
    """Those that end in it."""


class Complete(msgspec.Struct, frozen=True):
    """The end of a bundle."""

    version: int
    parts: tuple[int, ...]
    instances: int
    bytes: int


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What became of an instance."""

    sop_uid: str
    outcome: Outcome
    at: float
    """When that was seen, by the clock of that place."""
    digest: bytes = b""
    """SHA-256 of the data set that the archive gave back."""
    words: str = ""
    """The archive's own."""
    lasting: bool = True
    """Of REFUSED: whether it would be refused again."""
    transfer_syntax: str = ""
    """Of CONFLICT: how the archive's is encoded,"""
    length: int = 0
    """and how long it is."""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a part."""

    version: int
    place: str
    """Its name."""
    archive: str
    """Name and url of the archive that it delivers into."""
    results: tuple[Result, ...]


T = TypeVar("T", PartList, Complete, Receipt)


def decoded(content: bytes, kind: type[T]) -> T:
    """A statement, as what it is.

    Raises:
        SealBroken: It is none of these, or of a newer version.
    """
    try:
        found = msgspec.msgpack.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SealBroken("a statement in a bundle can't be understood") from error
    if found.version != VERSION:
        raise SealBroken("a statement in a bundle is of a newer version")
    return found
