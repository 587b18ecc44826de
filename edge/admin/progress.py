"""What is on its way to the archive, and what went there day by day, over the admin API.

The queue is for who may read images, for it names patients; the history names nobody.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import msgspec
from aiohttp import web

from edge.admin.asking import Paged, wanted
from edge.admin.openapi import operation
from edge.cache.history import Day, History
from edge.cache.listing import Page
from edge.cache.queue import Queue, Underway

__all__ = ["progress_routes"]


class DaysWanted(msgspec.Struct, forbid_unknown_fields=True):
    """How many of the last days."""

    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 30


def progress_routes(queue: Queue, history: History) -> list[web.RouteDef]:
    """``/sync/queue`` and ``/sync/history``.

    Args:
        queue: What waits for the line.
        history: What happened.
    """

    @operation(
        "Studies that wait for the line, in the order in which they go.",
        answer=Page[Underway],
        query=Paged,
    )
    async def waiting(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        page = await queue.page(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(page))

    @operation(
        "How much came and became safe on each of the last days.",
        answer=list[Day],
        query=DaysWanted,
    )
    async def days(request: web.Request) -> web.Response:
        found = await history.days(wanted(request, DaysWanted).days)
        return web.json_response([asdict(day) for day in found])

    return [web.get("/sync/queue", waiting), web.get("/sync/history", days)]
