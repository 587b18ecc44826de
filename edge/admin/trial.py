"""An archive is tested before it is set up, over the admin API: ``/settings/trial``.

It says, too, whether a test image came back from the one that is set up. The walk is that of
``/archives/{name}/test``, to an archive as it would be. Only for who may ``administer`` and was not
narrowed, and no token names another archive: it sends to addresses that somebody names. Promises
that no secret goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from edge.access.audit.claim import SAID
from edge.access.roles import Act, Identity, needs
from edge.admin.archives import tell_walk
from edge.admin.asking import body
from edge.admin.entrance import as_json
from edge.admin.openapi import operation
from edge.admin.settings import check_may_set
from edge.cache.own_settings import OwnSettings
from edge.cache.specimens import Specimens
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


class TestImage(msgspec.Struct, forbid_unknown_fields=True):
    """Of nobody, which is deleted again."""

    came_back: float | None
    """When it did, in POSIX seconds; null: it never went to where that archive is, or did not come
    back the last time."""


def trial_routes(
    own: OwnSettings,
    opened: Callable[[Archive, Cloud], Archive],
    walk_to: WalkTo,
    identity: Callable[[web.Request], Identity],
    specimens: Specimens,
) -> Sequence[web.RouteDef]:
    """``/settings/trial``.

    Args:
        own: The settings.
        opened: One of the archives with its secrets as they are used; blocks.
        walk_to: Goes the way.
        identity: Who asks.
        specimens: Knows of the test images.
    """

    async def chosen(wish: Walking) -> tuple[Archive, Archive]:
        """As it is configured, and with its secrets open."""
        changes = {} if wish.archives is None else {_KEY: wish.archives}
        _, config = await own.check(changes)
        for archive in config.cloud.archive:
            if archive.name == wish.name:
                return archive, await asyncio.to_thread(opened, archive, config.cloud)
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
            archive, ready = await chosen(wish)
            async with walk_to(ready) as findings:
                # What would be says nothing of what is.
                is_set_up = wish.archives is None
                tried = partial(specimens.tried, archive) if is_set_up else None
                return await tell_walk(request, findings, tried)
        except ConfigError as error:
            raise DecisionRefused(error.in_short, hint=error.hint) from error

    @operation(
        "When a test image last went to the archive that is set up, the primary one, and back.",
        answer=TestImage,
    )
    @needs(Act.ADMINISTER)
    async def came_back(_: web.Request) -> web.Response:
        return as_json(TestImage(await specimens.came_back()))

    return [web.get("/settings/trial", came_back), web.post("/settings/trial", test)]
