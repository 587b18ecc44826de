"""The last lines of the log over the admin API, for who may administer.

They name no patient: references stand in the place of UIDs (`edge.logs`), so that a look at them is
no look at patient data.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import msgspec
from aiohttp import hdrs, web

from edge.access.acts import Act
from edge.access.roles import needs
from edge.admin.asking import wanted
from edge.admin.openapi import operation
from edge.logs import Line, Recent

__all__ = ["log_routes"]

_RANK = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 4}


class LogQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which lines."""

    after: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    """Only those with higher numbers: what came since."""
    level: Literal["INFO", "WARNING", "ERROR"] = "INFO"
    """Those and the graver ones."""
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Only those that have it somewhere."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 500
    """The newest so many."""


class LogLines(msgspec.Struct, forbid_unknown_fields=True):
    """Lines, the oldest first."""

    lines: list[Line]
    last: int
    """Number of the last line that there is, whether it is among these or not. Lower than what was
    asked for: the service was started anew, and its log began anew."""


def log_routes(kept: Recent) -> list[web.RouteDef]:
    """``/logs``.

    Args:
        kept: The last lines.
    """

    @operation("The last lines of the log, the oldest first.", answer=LogLines, query=LogQuery)
    @needs(Act.ADMINISTER)
    async def lines(request: web.Request) -> web.Response:
        asked = wanted(request, LogQuery)
        last = kept.last  # before the lines are looked at: one that comes in between is told next
        known = kept.lines(asked.after)
        part, least = asked.text.casefold(), _RANK[asked.level]
        found = [
            line
            for line in known
            if _RANK.get(line.level, least) >= least
            and (not part or part in f"{line.name}: {line.text}".casefold())
        ]
        if known:
            last = known[-1].number
        document = {"lines": [asdict(line) for line in found[-asked.limit :]], "last": last}
        return web.json_response(document, headers={hdrs.CACHE_CONTROL: "no-store"})

    return [web.get("/logs", lines)]
