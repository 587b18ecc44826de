"""Server-sent events, as the admin API writes them (HTML, 9.2)."""

from __future__ import annotations

from aiohttp import hdrs, web

__all__ = ["stream", "written"]


def stream() -> web.StreamResponse:
    """An answer of events, which nobody on its way keeps or holds back; it is not begun yet."""
    return web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "text/event-stream",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
    )


def written(kind: str, data: bytes, number: int | None = None) -> bytes:
    """An event.

    Args:
        kind: Its name.
        data: JSON, which has no line ends of its own.
        number: By which a client knows whether it has seen it; None: it has none.
    """
    known = b"" if number is None else b"id: %d\n" % number
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), known, data)
