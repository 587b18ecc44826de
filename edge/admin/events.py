"""What happens, told as it happens: ``/api/v1/events``, a stream of server-sent events.

Owns the stream: its heartbeat, and its end with the proof that it was opened by. Promises that
nobody goes on hearing who was logged out, disabled or narrowed meanwhile, within some seconds; and
that a stream keeps no session from being idle. What is told, and to how many, is
`edge.cache.live`'s.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from edge.access.roles import Identity
from edge.access.sessions import UNATTENDED
from edge.admin.openapi import operation
from edge.cache.live import Happening, Live
from edge.errors import AccessDenied

__all__ = ["event_routes"]

_HEARTBEAT: Final = 10.0
"""Seconds: a proxy in between keeps the stream, and a listener that is gone is found out."""
_RETRY: Final = b"retry: 2000\n\n"


def event_routes(
    live: Live,
    authorise: Callable[[Mapping[str, str], str], Awaitable[Identity]],
    *,
    heartbeat: float = _HEARTBEAT,
) -> Sequence[web.RouteDef]:
    """``/events``.

    Args:
        live: Tells what happens.
        authorise: Says whether who listens still may.
        heartbeat: Seconds between two signs of life.
    """

    @operation(
        "What happens, as it happens: server-sent events `state` (numbers of the whole box) and"
        " `arrivals` (the studies that came last, and those that are on their way). The first two"
        " tell how it is; further ones come when something changed. Ends with the log-in.",
        answer=str,
        media_type="text/event-stream",
    )
    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream",
                hdrs.CACHE_CONTROL: "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        if request.method == hdrs.METH_HEAD:
            return response
        with live.listen() as listener:
            await response.prepare(request)
            await response.write(_RETRY)
            looked = time.monotonic()
            while (news := await listener.next(heartbeat)) is not None:
                if time.monotonic() >= looked + heartbeat:
                    if not await still_may(request):
                        break
                    looked = time.monotonic()
                await response.write(b"".join(map(_written, news)) or b": still here\n\n")
            await response.write(b"event: end\ndata: {}\n\n")
        await response.write_eof()
        return response

    async def still_may(request: web.Request) -> bool:
        unattended = CIMultiDict(request.headers)
        unattended[UNATTENDED] = "1"
        try:
            await authorise(unattended, request.remote or "")
        except AccessDenied:
            return False
        return True

    return [web.get("/events", events)]


def _written(event: Happening) -> bytes:
    # JSON has no line ends of its own.
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.kind.encode(), event.number, event.data)
