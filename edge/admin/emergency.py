"""Emergency access over HTTP: begun and ended by whoever is logged in, looked at by admins.

``/login/emergency`` is everybody's own; ``/api/v1/emergencies`` is for admins. Decides nothing:
`edge.access.emergency` does, and has the record told. What is said as a reason stands in no answer
but that to admins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from edge.access.acts import Act
from edge.access.emergencies import Emergencies, Emergency
from edge.access.emergency import LONGEST_REASON, BreakGlass
from edge.access.roles import Identity, Proof, needs
from edge.access.sessions import Session
from edge.admin.asking import body
from edge.admin.entrance import Entrance, as_json, said
from edge.admin.login import Password
from edge.admin.openapi import operation
from edge.errors import AccessDenied

__all__ = ["emergency_routes", "own_emergency_routes"]


class Beginning(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who has to see what they may not."""

    reason: Annotated[str, msgspec.Meta(max_length=4 * LONGEST_REASON)]
    """In their own words."""
    password: Password = ""
    """Theirs, again, where the log-in was more than ten minutes ago."""


class OwnEmergency(msgspec.Struct, forbid_unknown_fields=True):
    """Whether somebody may read everything now, or could. Times are POSIX seconds."""

    is_possible: bool
    """Something is kept from them, and they may open it in an emergency."""
    is_open: bool
    minutes: float
    """That one lasts."""
    emergency_id: str = ""
    until: float | None = None


class EmergencyList(msgspec.Struct, forbid_unknown_fields=True):
    """Emergency accesses: those that nobody looked at first, then the newest."""

    emergencies: list[Emergency]


class Looked(msgspec.Struct, forbid_unknown_fields=True):
    """That an admin looked at it."""

    looked: Literal[True] = True


class Named(msgspec.Struct):
    """An emergency access."""

    id: str


def own_emergency_routes(door: Entrance, glass: BreakGlass) -> Sequence[web.RouteDef]:
    """``/login/emergency``.

    Args:
        door: Knows whose session it is.
        glass: Begins and ends them.
    """

    def state(
        session: Session, request: web.Request, begun: Emergency | None = None
    ) -> web.Response:
        known = session.emergency if begun is None else begun.emergency_id
        until = session.emergency_until if begun is None else begun.until
        possible = glass.is_possible(session, request.remote or "")
        return as_json(OwnEmergency(possible, bool(known), glass.minutes, known, until))

    async def show(request: web.Request) -> web.Response:
        return state(await door.session(request), request)

    async def begin(request: web.Request) -> web.Response:
        session, wish = await door.session(request), await said(request, Beginning)
        address = request.remote or ""
        begun = await glass.begin(session, wish.reason, password=wish.password, address=address)
        return state(session, request, begun)

    async def end(request: web.Request) -> web.Response:
        await glass.end(await door.session(request))
        return state(await door.session(request), request)

    return [
        web.get("/login/emergency", show),
        web.post("/login/emergency", begin),
        web.delete("/login/emergency", end),
    ]


def emergency_routes(
    emergencies: Emergencies, identity: Callable[[web.Request], Identity]
) -> Sequence[web.RouteDef]:
    """``/emergencies``.

    Args:
        emergencies: All of them.
        identity: Who asks.
    """

    @operation(
        "Emergency accesses, with their reasons: those that nobody looked at first.",
        answer=EmergencyList,
    )
    @needs(Act.ADMINISTER)
    async def listed(_: web.Request) -> web.Response:
        return as_json(EmergencyList(list(await emergencies.list())))

    @operation(
        "Say that one was looked at: it is no alarm any more.",
        answer=Emergency,
        body=Looked,
        path=Named,
    )
    @needs(Act.ADMINISTER)
    async def looked(request: web.Request) -> web.Response:
        await body(request, Looked)
        found = await emergencies.find(request.match_info["id"])
        who = identity(request)
        if who.proof is Proof.TOKEN:
            raise AccessDenied(
                "no token looks at an emergency access",
                hint="log in, or use edge user looked",
                known=True,
            )
        return as_json(await emergencies.looked(found.emergency_id, who.name))

    return [web.get("/emergencies", listed), web.post("/emergencies/{id}", looked)]
