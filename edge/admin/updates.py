"""Updates over the admin API: how it stands, and what is wanted.

Whoever may administer the box sees and says it. Nothing here writes a slot or starts the machine
anew: that is root's, at a quiet moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.roles import Identity, needs
from edge.admin.asking import Paged, body, only, wanted
from edge.admin.openapi import operation
from edge.updates.history import Entry
from edge.updates.standing import Standing
from edge.updates.updater import Updater
from edge.updates.versions import LONGEST

__all__ = ["update_routes"]

_VERSION: Final = only(rf"([0-9][0-9A-Za-z.~^-]{{0,{LONGEST - 1}}})?")


class UpdateWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Which update."""

    version: Annotated[str, msgspec.Meta(pattern=_VERSION)] = ""
    """Empty: the newest that is known."""
    again: bool = False
    """Even if it has failed here before."""


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """There is nothing to be said."""


class UpdateHistory(msgspec.Struct, forbid_unknown_fields=True):
    """What was done, the newest first."""

    total: int
    entries: list[Entry]


def update_routes(
    updater: Updater, identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/update…``.

    Args:
        updater: Does it.
        identity: Who asks.
    """

    @operation("Which version runs, and how far the next one has come.", answer=Standing)
    @needs(Act.ADMINISTER)
    async def standing(_: web.Request) -> web.Response:
        return _json(await updater.standing())

    @operation("What was done with updates, the newest first.", answer=UpdateHistory, query=Paged)
    @needs(Act.ADMINISTER)
    async def history(request: web.Request) -> web.Response:
        page = wanted(request, Paged)
        found = await updater.history()
        return _json(UpdateHistory(len(found), found[page.offset : page.offset + page.limit]))

    @operation("Ask the server whether there is an update.", answer=Standing, body=Nothing)
    @needs(Act.ADMINISTER)
    async def look(request: web.Request) -> web.Response:
        await body(request, Nothing)
        return _json(await updater.look())

    @operation(
        "Have an update come here, at the calendar's pace.", answer=Standing, body=UpdateWanted
    )
    @needs(Act.ADMINISTER)
    async def download(request: web.Request) -> web.Response:
        wish = await body(request, UpdateWanted)
        by = identity(request).name
        return _json(await updater.download(wish.version, again=wish.again, by=by))

    @operation(
        "Have an update written at the next quiet moment; the machine starts anew with it.",
        answer=Standing,
        body=UpdateWanted,
    )
    @needs(Act.ADMINISTER)
    async def install(request: web.Request) -> web.Response:
        wish = await body(request, UpdateWanted)
        by = identity(request).name
        return _json(await updater.install(wish.version, again=wish.again, by=by))

    @operation("Want no update any more; what is here stays.", answer=Standing, body=Nothing)
    @needs(Act.ADMINISTER)
    async def cancel(request: web.Request) -> web.Response:
        await body(request, Nothing)
        return _json(await updater.cancel(by=identity(request).name))

    return [
        web.get("/update", standing),
        web.get("/update/history", history),
        web.post("/update/look", look),
        web.post("/update/download", download),
        web.post("/update/install", install),
        web.post("/update/cancel", cancel),
    ]


def _json(document: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
