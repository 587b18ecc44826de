"""Sending a request a second time, because the first answer said how it must be signed.

Promises that only what can be sent again is: a body that is a stream runs once. And that nothing is
kept of the answer which is given up, however long it is.
"""

from __future__ import annotations

import httpx

__all__ = ["can_be_sent_again", "let_go"]


def can_be_sent_again(request: httpx.Request) -> bool:
    """Whether the whole body is in memory, if there is one."""
    return isinstance(request.stream, httpx.ByteStream)


async def let_go(response: httpx.Response) -> None:
    """Close an answer before its request is sent again.

    httpx reads such an answer to its end, whatever it is; it finds an empty one.
    """
    assert isinstance(response.stream, httpx.AsyncByteStream)
    await response.stream.aclose()
    response.stream = httpx.ByteStream(b"")
