"""The digest by which our copy of an instance and the archive's are compared.

SHA-256 of the data set, without preamble and group 0002: archives may write those anew, and must
not touch the rest. Memory holds no more than the file meta. No I/O.
"""

from __future__ import annotations

import hashlib

from edge.dicom.part10 import FileMetaReader

__all__ = ["DatasetDigester"]

_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003


class DatasetDigester:
    """Takes a Part 10 stream in pieces."""

    def __init__(self) -> None:
        self._meta = FileMetaReader()
        self._head = bytearray()
        self._dataset = hashlib.sha256()
        self._inside = False

    def update(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            NotDicom: The stream does not begin as a DICOM file does (PS3.10 7.1).
        """
        if self._inside:
            self._dataset.update(piece)
            return
        self._head += piece
        if self._meta.feed(piece):
            self._inside = True
            self._dataset.update(memoryview(self._head)[self._meta.length :])
            self._head = bytearray()

    @property
    def sop_uid(self) -> str:
        """Media Storage SOP Instance UID (0002,0003), once it passed; else empty."""
        return self._meta.values.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, "")

    def digest(self) -> bytes:
        """Of all that passed, 32 bytes."""
        return self._dataset.digest()
