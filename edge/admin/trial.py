"""An archive is tested before it is set up, over the admin API: ``/settings/trial``.

The walk is that of ``/archives/{name}/test``, to an archive as it would be. Only for who may
``administer`` and was not narrowed, and no token names another archive: it sends to addresses
that somebody names. Promises that no
secret goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from edge.access.audit.claim import SAID
from edge.access.roles import Act, Identity, needs
from edge.admin.archives import tell_walk
from edge.admin.asking import body
from edge.admin.openapi import operation
from edge.admin.settings import check_may_set
from edge.cache.own_settings import OwnSettings
from edge.cloud.findings import Finding
from edge.config import Cloud
from edge.errors import ConfigError, DecisionRefused
from edge.others import Archive

__all__ = ["trial_routes"]

_KEY: Final = "cloud.archive"
WalkTo = Callable[[Archive], AbstractAsyncContextManager[AsyncGenerator[Finding]]]
"""The steps to an archive."""


class Walking(msgspec.Struct, forbid_unknown_fields=True):
    """Which archive is tested."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    archives: list[dict[str, Any]] | None = None
    """What ``cloud.archive`` would be, to try that; null means what it is."""


def trial_routes(
    own: OwnSettings,
    opened: Callable[[Archive, Cloud], Archive],
    walk_to: WalkTo,
    identity: Callable[[web.Request], Identity],
) -> Sequence[web.RouteDef]:
    """``/settings/trial``.

    Args:
        own: The settings.
        opened: One of the archives with its secrets as they are used; blocks.
        walk_to: Goes the way.
        identity: Who asks.
    """

    async def chosen(wish: Walking) -> Archive:
        changes = {} if wish.archives is None else {_KEY: wish.archives}
        _, config = await own.check(changes)
        for archive in config.cloud.archive:
            if archive.name == wish.name:
                return await asyncio.to_thread(opened, archive, config.cloud)
        raise DecisionRefused(f"no archive is called {wish.name}", hint="look at the settings")

    @operation(
        "Go the way to an archive as it would be, step by step, with a made-up image that is"
        " deleted again: server-sent events `step`, and `end`, which says whether it works.",
        answer=str,
        body=Walking,
        media_types=("text/event-stream",),
    )
    @needs(Act.ADMINISTER)
    async def test(request: web.Request) -> web.StreamResponse:
        wish = await body(request, Walking)
        request[SAID] = msgspec.json.encode({"name": wish.name})  # there may be secrets beside it
        check_may_set(identity(request), () if wish.archives is None else (_KEY,))
        try:
            async with walk_to(await chosen(wish)) as findings:
                return await tell_walk(request, findings)
        except ConfigError as error:
            raise DecisionRefused(error.in_short, hint=error.hint) from error

    return [web.post("/settings/trial", test)]
