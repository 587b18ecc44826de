"""The content of an answer, as it comes: unpacked piece by piece, however much it unpacks to.

We ask for content that is not compressed, and some proxies compress it all the same. What a client
library unpacks by itself it unpacks whole, each piece of the wire to a thousand times its length,
and as often as the answer says that it was packed: a few kilobytes would take all memory. Here a
piece is never longer than ``PIECE``, so that who counts them can stop (RFC 9110 8.4.1).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final

import httpx

__all__ = ["PIECE", "content_of"]

PIECE: Final = 64 * 1024
"""Bytes of one piece, at most."""
_PLAIN: Final = ("", "identity")
_PACKED: Final = ("gzip", "x-gzip", "deflate")
_EITHER: Final = 32 + zlib.MAX_WBITS
"""Whether it begins like gzip or like zlib is seen."""


async def content_of(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The content of a streamed answer, in pieces of at most ``PIECE`` bytes.

    Raises:
        httpx.DecodingError: It is packed in a way that we did not ask for, more than once, or is
            not what it says.
        httpx.HTTPError, httpx.StreamError: It could not be read.
    """
    coding = answer.headers.get("Content-Encoding", "").strip().lower()
    if coding in _PLAIN:
        async for piece in answer.aiter_raw(PIECE):
            yield piece
        return
    if coding not in _PACKED:
        raise httpx.DecodingError("the answer is compressed, which was not asked for")
    unpacking = zlib.decompressobj(_EITHER)
    async for packed in answer.aiter_raw(PIECE):
        left = packed
        while left and not unpacking.eof:
            try:
                piece = unpacking.decompress(left, PIECE)
            except zlib.error as error:
                raise httpx.DecodingError("the answer is not compressed as it says") from error
            if piece:
                yield piece
            left = unpacking.unconsumed_tail
    if not unpacking.eof:
        raise httpx.DecodingError("the answer is compressed, and ends in the middle")
