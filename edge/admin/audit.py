"""The audit over the admin API: for admins, and each look at it is in it.

An export streams: a record of years is in no memory at once, and its oldest entries come first. A
check goes through all of it, one at a time, for it reads every byte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import hdrs, web

from edge.access.audit.check import check_record
from edge.access.audit.damage import Damages, flaws_of
from edge.access.audit.entry import Entry, Event
from edge.access.audit.export import as_csv, as_dicom
from edge.access.audit.export import as_json as as_lines
from edge.access.audit.folder import AuditFolder, Head
from edge.access.audit.messages import Messages
from edge.access.audit.search import Asked, entries, search
from edge.access.roles import Act, needs
from edge.admin.asking import body, only, wanted
from edge.admin.entrance import as_json
from edge.admin.openapi import operation

__all__ = ["audit_routes"]

_Flaw = Annotated[str, msgspec.Meta(pattern=only("[0-9a-f]{32}"))]
_Make = Callable[[Iterable[Entry]], Iterator[str]]
_BATCH: Final = 200
"""Lines that are written to whoever exports at once."""
_KINDS: Final = {
    "csv": "text/csv",
    "dicom": "application/xml",
    "json": "application/x-ndjson",
}
_SUFFIXES: Final = {"csv": "csv", "dicom": "xml", "json": "jsonl"}


class Asking(msgspec.Struct, forbid_unknown_fields=True):
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
    emergency: str = ""
    """Only what was done under this emergency access."""


class AuditQuery(Asking, forbid_unknown_fields=True):
    """A page of them."""

    before: int = 0
    """Only entries with lower numbers."""
    limit: int = msgspec.field(default=100)


class ExportQuery(Asking, forbid_unknown_fields=True):
    """All of them, as a file."""

    format: Literal["csv", "dicom", "json"] = "csv"
    """A table, audit messages (PS3.15 A.5), or a line of JSON for each."""


class Found(msgspec.Struct, forbid_unknown_fields=True):
    """A flaw of the record."""

    fault: str
    segment: int
    first: int
    """The first entry that it is about."""
    last: int
    what: str
    is_harmless: bool
    """A power cut leaves this, and no entry is known to be missing for it."""


class Checked(msgspec.Struct, forbid_unknown_fields=True):
    """What going through all of the record found."""

    sound: bool
    segments: int
    entries: int
    """That are sound."""
    since: float
    """When the first of them was, in POSIX seconds."""
    last: int
    """Number of the last one."""
    digest: str
    """Of the last one, to be compared with what was told elsewhere."""
    findings: list[Found]
    flaws: list[str]
    """The names of what is not harmless in it, to be sent back by who knows of it."""
    is_alarm: bool
    """Whether something of it is an alarm until an admin says that they know."""


class Knowing(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody knows of."""

    flaws: Annotated[list[_Flaw], msgspec.Meta(min_length=1, max_length=1000)]
    """As a check named them; those that the last one did not find change nothing."""


class Seen(msgspec.Struct, forbid_unknown_fields=True):
    """Whether something is an alarm still."""

    is_alarm: bool


class AuditPage(msgspec.Struct):
    """Entries, the newest first."""

    entries: list[Entry]
    before: int | None
    """Ask for what is before it to get the next page; null if this is the last."""


def audit_routes(
    folder: AuditFolder, known: Callable[[], Head], messages: Messages, damages: Damages
) -> list[web.RouteDef]:
    """``/audit``.

    Args:
        folder: The record's files.
        known: How far the record goes, as the index remembers.
        messages: Makes DICOM's messages of entries.
        damages: Remembers what was found.
    """
    turn = asyncio.Lock()

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
        return as_json({"entries": entries, "before": before})

    @operation(
        "The same as a file, the oldest first.",
        answer=str,
        query=ExportQuery,
        media_types=tuple(_KINDS.values()),
    )
    @needs(Act.ADMINISTER)
    async def export(request: web.Request) -> web.StreamResponse:
        query = wanted(request, ExportQuery)
        fields = msgspec.structs.asdict(query)
        kind = fields.pop("format")
        makes: dict[str, _Make] = {
            "csv": as_csv,
            "dicom": partial(as_dicom, messages=messages),
            "json": as_lines,
        }
        day = time.strftime("%Y%m%d-%H%M", time.gmtime())
        name = f"audit-{day}.{_SUFFIXES[kind]}"
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: f"{_KINDS[kind]}; charset=utf-8",
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
                hdrs.CACHE_CONTROL: "no-store",
            }
        )
        if request.method == hdrs.METH_HEAD:
            return response
        lines = makes[kind](entries(folder, Asked(**fields)))
        batch = await asyncio.to_thread(_next, lines)  # what fails says so before anything is sent
        await response.prepare(request)
        while batch:
            await response.write(batch)
            batch = await asyncio.to_thread(_next, lines)
        await response.write_eof()
        return response

    @operation("Prove every entry of the record: it reads all of it.", answer=Checked)
    @needs(Act.ADMINISTER)
    async def check(_: web.Request) -> web.Response:
        async with turn:
            begun = (await damages.known()).notes
            report = await asyncio.to_thread(check_record, folder, known())
            damage = await damages.checked(report, begun)
        findings = [Found(**asdict(one)) for one in report.findings]
        return as_json(
            Checked(
                report.is_sound,
                report.segments,
                report.entries,
                report.since,
                report.head.number,
                report.head.digest.hex(),
                findings,
                sorted(flaws_of(report)),
                bool(damage.what),
            )
        )

    @operation(
        "An admin knows of what a check found: once that is all, it is no alarm.",
        answer=Seen,
        body=Knowing,
    )
    @needs(Act.ADMINISTER)
    async def see(request: web.Request) -> web.Response:
        wish = await body(request, Knowing)
        async with turn:
            damage = await damages.see(frozenset(wish.flaws))
        return as_json(Seen(bool(damage.what)))

    return [
        web.get("/audit", found),
        web.get("/audit/export", export),
        web.get("/audit/check", check),
        web.post("/audit/seen", see),
    ]


def _next(lines: Iterator[str]) -> bytes:
    """Of the next lines; nothing if there are no more."""
    return "".join(islice(lines, _BATCH)).encode("utf-8", "replace")
