"""The least speed at which an answer must come.

An archive that gives one byte now and then is never silent, and would keep a fetch, and all who
wait for it, for ever. Counts only the time that *we* wait for bytes: whoever takes them may be as
slow as he likes. Never touches the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

import httpx

__all__ = ["TooSlow", "steady"]


class TooSlow(httpx.StreamError):
    """Too few bytes came for too long; a stream error to those who translate errors."""


async def steady(
    pieces: AsyncIterable[bytes], *, least: float, window: float
) -> AsyncIterator[bytes]:
    """The same pieces, as long as they come fast enough.

    Args:
        pieces: An answer.
        least: Bytes a second.
        window: Seconds of waiting over which that is measured.

    Raises:
        TooSlow: They do not.
    """
    now = asyncio.get_running_loop().time
    waited, received = 0.0, 0
    began = now()
    async for piece in pieces:
        waited += now() - began
        received += len(piece)
        if waited >= window:
            if received < least * waited:
                raise TooSlow(f"it comes too slowly, below {least:.0f} bytes a second")
            waited, received = 0.0, 0
        yield piece
        began = now()
