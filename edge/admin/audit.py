"""The audit over the admin API: for admins, and each look at it is in it."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from edge.access.audit.entry import Entry, Event
from edge.access.audit.folder import AuditFolder
from edge.access.audit.search import Asked, search
from edge.access.roles import Act, needs
from edge.admin.asking import wanted
from edge.admin.openapi import operation

__all__ = ["audit_routes"]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which entries; what is not named does not count."""

    patient: str = ""
    """Patient ID, or a part of the name."""
    study: str = ""
    user: str = ""
    """A part of the name of a user, token or peer."""
    address: str = ""
    event: Event | None = None
    since: float = 0.0
    """POSIX seconds."""
    until: float = 0.0
    failed: bool = False
    """Only what did not succeed."""
    before: int = 0
    """Only entries with lower numbers."""
    emergency: str = ""
    """Only what was done under this emergency access."""
    limit: int = msgspec.field(default=100)


class AuditPage(msgspec.Struct):
    """Entries, the newest first."""

    entries: list[Entry]
    before: int | None
    """Ask for what is before it to get the next page; null if this is the last."""


def audit_routes(folder: AuditFolder) -> list[web.RouteDef]:
    """``/audit``.

    Args:
        folder: The record's files.
    """

    @operation(
        "Who did what with patient data and with the box, the newest first.",
        answer=AuditPage,
        query=AuditQuery,
    )
    @needs(Act.ADMINISTER)
    async def found(request: web.Request) -> web.Response:
        query = wanted(request, AuditQuery)
        limit = max(1, min(query.limit, 1000))
        fields = msgspec.structs.asdict(query)
        fields.pop("limit")
        entries = await asyncio.to_thread(search, folder, Asked(**fields), limit)
        before = entries[-1].number if len(entries) == limit else None
        body = msgspec.json.encode({"entries": entries, "before": before})
        return web.Response(body=body, content_type="application/json")

    return [web.get("/audit", found)]
