"""The digests by which two copies of an instance are compared: ours, the archive's, a re-sent one.

SHA-256 of the two parts of a Part 10 file, each by itself: preamble with group 0002, which archives
may write anew, and the data set, which they must not touch. Memory holds no more than the file
meta. No I/O.
"""

from __future__ import annotations

import hashlib

from edge.dicom.part10 import FileMetaReader

__all__ = ["Digester"]

_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
_TRANSFER_SYNTAX_UID = 0x0010


class Digester:
    """Takes a Part 10 stream in pieces.

    Args:
        dataset_offset: Bytes of preamble and group 0002, where somebody has read them already.
    """

    def __init__(self, dataset_offset: int | None = None) -> None:
        self._reader = FileMetaReader() if dataset_offset is None else None
        self._head = bytearray()
        self._meta_left = dataset_offset or 0
        self._meta = hashlib.sha256()
        self._dataset = hashlib.sha256()
        self.sop_uid = ""
        """Media Storage SOP Instance UID (0002,0003), once it passed; only of what is read here."""
        self.transfer_syntax = ""
        """Transfer Syntax UID (0002,0010); likewise."""
        self.length = 0
        """Bytes that passed."""

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next bytes; may be called in a worker thread.

        Raises:
            NotDicom: The stream does not begin as a DICOM file does (PS3.10 7.1).
        """
        self.length += len(piece)
        if self._reader is not None:
            self._head += piece
            if not self._reader.feed(piece):
                return
            self.sop_uid = self._reader.values.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, "")
            self.transfer_syntax = self._reader.values.get(_TRANSFER_SYNTAX_UID, "")
            self._meta_left = self._reader.length
            piece = self._head
            self._reader, self._head = None, bytearray()
        with memoryview(piece) as view:
            meta = view[: self._meta_left]
            self._meta_left -= len(meta)
            self._meta.update(meta)
            self._dataset.update(view[len(meta) :])

    def digests(self) -> tuple[bytes, bytes]:
        """(preamble and group 0002, data set) of all that passed, 32 bytes each."""
        return self._meta.digest(), self._dataset.digest()
