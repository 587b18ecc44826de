"""Links to a study, over the admin API, and how somebody opens one.

Making, seeing and ending them is for who may ``decide`` and sees the study; seeing those of all
studies for who may ``administer``. ``POST /login/link`` is
open to everybody: the secret of the link is the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated

import msgspec
from aiohttp import hdrs, web

from edge.access.audit.claim import SAID
from edge.access.links import Link, Links, OneOfAll
from edge.access.roles import Act, Identity, Role, needs
from edge.access.sessions import Proved
from edge.admin.asking import body, only
from edge.admin.entrance import Entrance, as_json, said, visitor_of
from edge.admin.openapi import operation
from edge.admin.studies import OneStudy, named
from edge.cache.studies import Studies

__all__ = ["link_routes", "opening_routes"]

_Note = Annotated[str, msgspec.Meta(max_length=100, pattern=only("[^\x00-\x1f\x7f]*"))]


class ToShare(msgspec.Struct, forbid_unknown_fields=True):
    """A link that somebody wants."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 366)] = 24.0
    """It ends then."""
    note: _Note = ""
    """For whom it is; it stands in the audit."""


class Shared(msgspec.Struct):
    """A link that was made."""

    link_id: str
    path: str
    """Behind the address of the box. It can't be shown again."""
    until: float
    """POSIX seconds."""


class OneLink(msgspec.Struct):
    """A link of a study, in the path."""

    study: Annotated[str, msgspec.Meta(pattern=only(r"[0-9]+(\.[0-9]+)*"), max_length=64)]
    link: Annotated[str, msgspec.Meta(pattern=only("[0-9a-f]{12}"))]


class EndedLink(msgspec.Struct):
    """Whether there was such a link; it opens nothing now."""

    ended: bool


class Opening(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody with a link."""

    secret: Annotated[str, msgspec.Meta(max_length=256)]


class InByLink(msgspec.Struct, forbid_unknown_fields=True):
    """Who is in by a link, as far as a record or a page says it."""

    name: str
    role: Role
    proved: str
    study_uid: str
    until: float
    logged_in: bool = True


def link_routes(
    links: Links, studies: Studies, identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/studies/{study}/links``, and ``/links``.

    Args:
        links: Those of the box.
        studies: Knows whether there is such a study.
        identity: Who asks.
    """

    @operation(
        "The links to a study that hold, the newest first.", answer=list[Link], path=OneStudy
    )
    @needs(Act.DECIDE)
    async def listing(request: web.Request) -> web.Response:
        found = await links.of_study(named(request))
        return web.json_response([asdict(one) for one in found])

    @operation(
        "Make a link to a study, for who has no log-in; its secret is in this answer alone.",
        answer=Shared,
        path=OneStudy,
        body=ToShare,
    )
    @needs(Act.DECIDE)
    async def make(request: web.Request) -> web.Response:
        wish, study_uid = await body(request, ToShare), named(request)
        await studies.study(study_uid)
        made = await links.make(study_uid, wish.hours, wish.note.strip(), identity(request))
        link = made.link
        request[SAID] = msgspec.json.encode(
            {"link_id": link.link_id, "hours": wish.hours, "note": link.note}
        )
        answer = Shared(link.link_id, f"/link#{made.secret}", link.until)
        return web.json_response(
            msgspec.to_builtins(answer), headers={hdrs.CACHE_CONTROL: "no-store"}
        )

    @operation("End a link, at once.", answer=EndedLink, path=OneLink)
    @needs(Act.DECIDE)
    async def end(request: web.Request) -> web.Response:
        ended = await links.end(request.match_info["link"], named(request))
        return web.json_response({"ended": ended})

    @operation("The links to all studies that hold, the newest first.", answer=list[OneOfAll])
    @needs(Act.ADMINISTER)
    async def all_links(_: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in await links.all()])

    return [
        web.get("/links", all_links),
        web.get("/studies/{study}/links", listing),
        web.post("/studies/{study}/links", make),
        web.delete("/studies/{study}/links/{link}", end),
    ]


def opening_routes(door: Entrance, links: Links) -> Sequence[web.RouteDef]:
    """``/login/link``.

    Args:
        door: Gives sessions to browsers.
        links: Those of the box.
    """

    async def open_link(request: web.Request) -> web.Response:
        wish = await said(request, Opening)
        before = await door.gate.session(request.headers)
        opened = await links.open(wish.secret, visitor_of(request))
        if before is not None:  # nobody could come back to it: its cookie goes
            await door.sessions.end(before.session_id, before.name, before.issuer)
        response = as_json(
            InByLink(opened.name, Role.VIEWER, Proved.LINK, opened.study_uid, opened.until)
        )
        door.give(response, opened.secret)
        return response

    return [web.post("/login/link", open_link)]
