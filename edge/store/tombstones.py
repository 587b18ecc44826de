"""Records of what was deleted, and of what is in the trash.

With them, an index that is made anew forgets no deletion, and shows nothing that the archive
deleted. They lie in ``data_dir/tombstones`` and ``data_dir/trash``, see `edge.store.records`.
"""

from __future__ import annotations

from pathlib import Path

from edge.crypto.keys import KeyRing
from edge.crypto.sealed import Algorithm
from edge.dicom.instance import InstanceRef
from edge.store.records import Record, Records

__all__ = ["DeletionRecord", "TombstoneStore", "TrashRecord", "TrashStore"]


class DeletionRecord(Record, frozen=True):
    """One deletion."""

    withdraw: bool
    """Whether the archive is to be told."""
    refs: tuple[InstanceRef, ...]
    """The instances that are deleted."""
    objects: tuple[str, ...]
    """Names of the objects that go."""


class TombstoneStore(Records[DeletionRecord]):
    """Records of deletions.

    Args:
        folder: ``data_dir``.
        keys: The ring that their key is derived from.
        algorithm: What new records are sealed with.
    """

    def __init__(self, folder: Path, keys: KeyRing, *, algorithm: Algorithm) -> None:
        super().__init__(
            folder, keys, DeletionRecord, name="tombstones", what="deletion", algorithm=algorithm
        )


class TrashRecord(Record, frozen=True):
    """What the archive deleted, and is kept for some days; each object was VERIFIED then."""

    archive: str
    """That deleted it."""
    reason: str
    objects: tuple[str, ...]
    """Names of the objects."""


class TrashStore(Records[TrashRecord]):
    """Records of the trash.

    Args:
        folder: ``data_dir``.
        keys: The ring that their key is derived from.
        algorithm: What new records are sealed with.
    """

    def __init__(self, folder: Path, keys: KeyRing, *, algorithm: Algorithm) -> None:
        super().__init__(
            folder, keys, TrashRecord, name="trash", what="deletion", algorithm=algorithm
        )
