"""What a request to the admin API is an act of, for the audit.

Owns the table from resources to events. What is not in it is recorded all the same: every change as
an act of administration, and everything that is read as a look at patient data, but for the few
resources that show none.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from edge.access.audit.claim import Claim
from edge.access.audit.entry import Event

__all__ = ["claim_of_api"]

_OPEN: Final = frozenset(
    {
        "status",
        "openapi.json",
        "peers",
        "outbox",
        "tokens",
        "users",
        "identities",
        "logs",
        "keys",
        "settings",
        "network",
        "update",
    }
)
"""Whose GET shows no patient: numbers, names of devices, a log that has no UIDs."""
_NAMELESS: Final = frozenset({"sync/history"})
"""Paths that show none either, among others that do."""
_GIVEN: Final = {"backup": Event.SECURITY, "support": Event.ADMINISTERED}
"""Whose GET gives a file of the box itself away."""
_CHANGES: Final = {
    "audit": Event.SECURITY,
    "peers": Event.NETWORK,
    "archives": Event.NETWORK,
    "tokens": Event.SECURITY,
    "tls": Event.SECURITY,
    "keys": Event.KEY,
    "key": Event.KEY,
    "users": Event.USER,
    "identities": Event.USER,
    "emergencies": Event.USER,
    "sessions": Event.USER,
    "worklist": Event.SCHEDULED,
    "expected": Event.SCHEDULED,
    "procedures": Event.PERFORMED,
    "update": Event.SOFTWARE,
}
"""Of the first part of a path."""
_LOCK: Final = "keys/lock"
_TRIES: Final = frozenset({"settings/check", "settings/authority"})
"""Asked at every key that is pressed; they change nothing, and show what the settings do."""
_SENDING: Final = "studies/{study}/sending"
_LINKS: Final = "studies/{study}/links"
_WALKS: Final = frozenset({"archives/{name}/test", "settings/trial"})
"""Told step by step to whoever looks: that they close the page ends it."""
_READS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


def claim_of_api(request: web.Request) -> Claim | None:
    """Of ``/api/v1``; None for what shows no patient and changes nothing."""
    resource = request.match_info.route.resource
    path = "" if resource is None else resource.canonical.partition("/api/v1/")[2]
    section = path.partition("/")[0]
    what = f"{request.method} /api/v1/{path}"
    if section == "audit" and request.method in _READS:
        query, event = request.rel_url.raw_query_string, Event.READ_RECORD
        return Claim(event, what, query=query, is_durable=True, begins=event)
    if request.method in _READS:
        if section in _GIVEN:
            return Claim(_GIVEN[section], what, is_durable=True)
        if section in _OPEN or path in _NAMELESS:
            return None
        named = request.match_info
        study = named.get("study") or named.get("study_uid", "")
        # What goes on for hours is told of as it begins, too.
        is_followed = section == "events"
        return Claim(
            Event.QUERIED,
            what,
            study,
            query=request.rel_url.raw_query_string,
            begins=Event.QUERIED if is_followed else None,
            is_followed=is_followed,
        )
    if request.method == hdrs.METH_OPTIONS or path in _TRIES:
        return None
    event = _CHANGES.get(section, Event.ADMINISTERED)
    if path == _SENDING:
        event = Event.SENDING  # what was really sent is told as it ends
    if path.startswith(_LINKS):
        event = Event.SECURITY
    return Claim(
        event,
        what,
        request.match_info.get("study", ""),
        is_durable=path != _LOCK,  # the box can be locked even if nothing can be written
        is_followed=path in _WALKS,
    )
