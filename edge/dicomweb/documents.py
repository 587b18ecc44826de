"""Metadata on its way out: DICOM JSON objects as the index keeps them, made fit for a client.

Owns how paths of bulk values become URLs (PS3.18 F.2.2), and how text that may be long is sent.
Promises that a piece of it is in memory at a time: some objects are as large as images. Never reads
what an object says.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

from aiohttp import hdrs, web

from edge.dicomweb.compression import compress
from edge.dicomweb.responses import send

__all__ = ["PIECE", "absolute", "send_text", "with_bulk_urls"]

PIECE: Final = 256 * 1024
"""Bytes of text that leave together."""

_RELATIVE: Final = b'"BulkDataURI":"'
_PARTS: Final = range(len(_RELATIVE) - 1, 0, -1)


async def send_text(
    request: web.Request,
    media_type: str,
    pieces: AsyncIterator[bytes],
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """An answer that is text, compressed if the client asks for it.

    Args:
        request: What is answered; not HEAD.
        media_type: Of the body.
        pieces: The body; an error before the first 256 KiB of it can still become an answer.
        headers: Further ones.
    """
    response = web.StreamResponse(headers={**(headers or {}), hdrs.CONTENT_TYPE: media_type})
    compress(request, response)
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= PIECE:
            await response.prepare(request)
            await send(response, held)
            held = bytearray()
            await asyncio.sleep(0)  # a quick reader must not keep others waiting
    if not response.prepared:
        response.content_length = len(held)
        await response.prepare(request)
    await response.write_eof(bytes(held))
    return response


def absolute(text: bytes, place: bytes) -> bytes:
    """DICOM JSON without spaces, its paths of bulk values put below *place*.

    What is replaced can't stand inside a JSON string: there, the quotes would be escaped.
    """
    return text.replace(_RELATIVE, _RELATIVE + place)


def with_bulk_urls(document: bytes, place: bytes) -> Iterator[bytes]:
    """A deflated DICOM JSON object, inflated piece by piece; paths of bulk values made absolute."""
    inflater, held = zlib.decompressobj(), b""
    while not inflater.eof and document:
        piece = held + inflater.decompress(document, PIECE)
        document = inflater.unconsumed_tail
        end = len(piece)
        if not inflater.eof:
            # What may be the beginning of a path waits for the rest.
            last = piece[piece.rfind(_RELATIVE) + len(_RELATIVE) :] if _RELATIVE in piece else piece
            end -= next((n for n in _PARTS if last.endswith(_RELATIVE[:n])), 0)
        yield absolute(piece[:end], place)
        held = piece[end:]
