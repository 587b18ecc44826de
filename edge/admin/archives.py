"""The way to an archive, tested step by step, over the admin API.

For who may ``decide``: it stores and deletes a test instance of nobody, and changes nothing else.
Promises that a step is told as soon as it was taken, and that whoever goes away ends the test.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from functools import partial

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.openapi import operation
from edge.admin.streaming import stream, written
from edge.cloud.findings import Finding, Step, Verdict
from edge.errors import ConfigError, DecisionRefused, EdgeError
from edge.others import Archive

__all__ = ["archive_routes", "tell_walk"]


class Named(msgspec.Struct):
    """An archive, by its name."""

    name: str


Walk = Callable[[str], AbstractAsyncContextManager[AsyncGenerator[Finding]]]
"""The steps to the archive of that name."""
Tried = Callable[[bool], Awaitable[None]]
"""Is told whether a test image went there and came back, and all else went well."""


def archive_routes(
    walk: Walk, archives: Sequence[Archive], tried: Callable[[Archive, bool], Awaitable[None]]
) -> list[web.RouteDef]:
    """``/archives``.

    Args:
        walk: Goes the way.
        archives: That are configured.
        tried: As `Tried`, of one of them.
    """
    known = {one.name: one for one in archives}

    @operation(
        "Go the way to an archive step by step, with a test instance that is deleted again:"
        " server-sent events `step`, as each was taken, then `end`, which says if it works.",
        answer=str,
        path=Named,
        media_types=("text/event-stream",),
    )
    @needs(Act.DECIDE)
    async def test(request: web.Request) -> web.StreamResponse:
        try:
            async with walk(name := request.match_info["name"]) as findings:
                return await tell_walk(request, findings, partial(tried, known[name]))
        except ConfigError as error:
            raise DecisionRefused(error.in_short, hint=error.hint) from error

    return [web.post("/archives/{name}/test", test)]


async def tell_walk(
    request: web.Request, findings: AsyncGenerator[Finding], tried: Tried | None = None
) -> web.StreamResponse:
    """Answer with server-sent events: `step`, as each was taken, then `end`: if it works."""
    response = stream()
    await response.prepare(request)
    works, came_back, why, hint = True, False, "", ""
    try:
        async for finding in findings:
            works = works and finding.verdict is not Verdict.FAILED
            came_back |= finding.step is Step.RETRIEVE
            await response.write(written("step", msgspec.json.encode(asdict(finding))))
    except EdgeError as error:  # A certificate or key can't be used.
        works, why, hint = False, str(error), error.hint
    if tried is not None:  # before it is told: whoever asks then gets the same
        await tried(works and came_back)
    ended = {"works": works, "why": why, "hint": hint}
    await response.write(written("end", msgspec.json.encode(ended)))
    await response.write_eof()
    return response
