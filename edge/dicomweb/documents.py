"""Metadata on its way out: DICOM JSON objects as the index keeps them, made fit for a client.

Owns how paths of bulk values become URLs (PS3.18 F.2.2). Promises that a piece of an object is in
memory at a time: some are as large as images. Never reads what an object says.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["PIECE", "with_bulk_urls"]

PIECE: Final = 256 * 1024
"""Bytes of metadata that leave together."""

_RELATIVE: Final = b'"BulkDataURI":"'
_PARTS: Final = range(len(_RELATIVE) - 1, 0, -1)


def with_bulk_urls(document: bytes, place: bytes) -> Iterator[bytes]:
    """A deflated DICOM JSON object, inflated piece by piece; paths of bulk values made absolute.

    What is replaced can't stand inside a JSON string: there, the quotes would be escaped.
    """
    inflater, held = zlib.decompressobj(), b""
    while not inflater.eof and document:
        piece = held + inflater.decompress(document, PIECE)
        document = inflater.unconsumed_tail
        end = len(piece)
        if not inflater.eof:
            # What may be the beginning of a path waits for the rest.
            last = piece[piece.rfind(_RELATIVE) + len(_RELATIVE) :] if _RELATIVE in piece else piece
            end -= next((n for n in _PARTS if last.endswith(_RELATIVE[:n])), 0)
        yield piece[:end].replace(_RELATIVE, _RELATIVE + place)
        held = piece[end:]
