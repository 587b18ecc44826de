"""An archive is tried before it is set up, over the admin API: ``/settings/trial``.

What ``edge cloud test`` does on the machine, told as it happens: a stream of server-sent events,
one ``step`` each, and ``end``. Of an archive as it would be, before that is saved, or as it is.
Promises that no secret goes out, and that only one walk is under way at a time: it sends to
addresses that an admin names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web

from edge.access.audit.claim import SAID
from edge.access.roles import Act, needs
from edge.admin.asking import body
from edge.admin.openapi import operation
from edge.cache.own_settings import OwnSettings
from edge.cloud.diagnosis import Diagnosis
from edge.cloud.findings import Finding, Verdict
from edge.cloud.orthanc import archive_of
from edge.config import Archive, Cloud
from edge.errors import ConfigError, DecisionRefused, EdgeError

__all__ = ["trial_routes"]

_KEY: Final = "cloud.archive"


class Walking(msgspec.Struct, forbid_unknown_fields=True):
    """Which archive is tested."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    archives: list[dict[str, Any]] | None = None
    """What ``cloud.archive`` would be, to try that; null means what it is."""


def trial_routes(own: OwnSettings, opened: Callable[[Cloud], Cloud]) -> Sequence[web.RouteDef]:
    """``/settings/trial``.

    Args:
        own: The settings.
        opened: The same archives with their secrets as they are used; blocks.
    """
    turn = asyncio.Lock()

    async def chosen(wish: Walking) -> Archive:
        changes = {} if wish.archives is None else {_KEY: wish.archives}
        try:
            _, config = await own.check(changes)
            cloud = await asyncio.to_thread(opened, config.cloud)
        except ConfigError as error:
            raise DecisionRefused(str(error), hint=error.hint) from error
        for archive in cloud.archive:
            if archive.name == wish.name:
                return archive
        raise DecisionRefused(f"no archive is called {wish.name}", hint="look at the settings")

    @operation(
        "Go the way to an archive step by step, with a made-up image that is deleted again:"
        " server-sent events `step`, and `end`, which says whether it works.",
        answer=str,
        body=Walking,
        media_type="text/event-stream",
    )
    @needs(Act.ADMINISTER)
    async def test(request: web.Request) -> web.StreamResponse:
        wish = await body(request, Walking)
        request[SAID] = msgspec.json.encode({"name": wish.name})  # there may be secrets beside it
        settings = await chosen(wish)
        if turn.locked():
            raise DecisionRefused("a test is under way", hint="wait until it has ended")
        async with turn:
            response = web.StreamResponse(
                headers={
                    hdrs.CONTENT_TYPE: "text/event-stream",
                    hdrs.CACHE_CONTROL: "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(request)
            works, why, hint = True, "", ""
            try:
                async with (
                    archive_of(settings) as archive,
                    aclosing(Diagnosis(archive).findings()) as findings,
                ):
                    async for finding in findings:
                        works = works and finding.verdict is not Verdict.FAILED
                        await response.write(_event("step", _said(finding)))
            except EdgeError as error:
                works, why, hint = False, str(error), error.hint
            await response.write(_event("end", {"works": works, "why": why, "hint": hint}))
        await response.write_eof()
        return response

    return [web.post("/settings/trial", test)]


def _said(finding: Finding) -> dict[str, Any]:
    return {
        "step": str(finding.step),
        "verdict": str(finding.verdict),
        "found": finding.found,
        "hint": finding.hint,
        "milliseconds": round(finding.milliseconds, 1),
    }


def _event(kind: str, said: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(said))
