"""A study to a DICOM peer, over the admin API: where it can go, what is on its way, and its end.

For who may ``decide``, as far as somebody who sees the study goes. The names of peers that can be
called are shown with it, their addresses are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Protocol

import msgspec
from aiohttp import web

from edge.access.audit.entry import Actor
from edge.access.roles import Act, Identity, needs
from edge.admin.asking import body
from edge.admin.openapi import operation
from edge.admin.studies import OneStudy, named
from edge.cache.gifts import Destination, Gift

__all__ = ["Gives", "sending_routes"]


class Gives(Protocol):
    """Sends studies to peers."""

    def destinations(self) -> list[Destination]:
        """Peers that can be called, by name."""
        ...

    def of(self, study_uid: str) -> list[Gift]:
        """What is known of a study, the newest first."""
        ...

    async def give(self, study_uid: str, ae_title: str, actor: Actor) -> Gift:
        """Begin; it goes on by itself."""
        ...

    def stop(self, study_uid: str, number: int) -> bool:
        """Stop one; whether it was under way."""
        ...


class Sendings(msgspec.Struct):
    """Where a study can go, and what went or is on its way."""

    destinations: list[Destination]
    sent: list[Gift]
    """The newest first; what was before the last start of the box is not known."""


class SendTo(msgspec.Struct, forbid_unknown_fields=True):
    """A peer."""

    ae_title: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]


class StopSending(msgspec.Struct, forbid_unknown_fields=True):
    """Which of them."""

    number: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class Stopped(msgspec.Struct):
    """Whether it was under way."""

    stopped: bool


def sending_routes(
    giving: Gives, identity: Callable[[web.Request], Identity]
) -> list[web.RouteDef]:
    """``/studies/{study}/sending``.

    Args:
        giving: Sends.
        identity: Who asks.
    """

    @operation(
        "Which peers a study can be sent to, and what is on its way.",
        answer=Sendings,
        path=OneStudy,
    )
    @needs(Act.DECIDE)
    async def listing(request: web.Request) -> web.Response:
        found = {
            "destinations": [asdict(one) for one in giving.destinations()],
            "sent": [asdict(one) for one in giving.of(named(request))],
        }
        return web.json_response(found)

    @operation("Send a study to a peer.", answer=Gift, path=OneStudy, body=SendTo)
    @needs(Act.DECIDE)
    async def send(request: web.Request) -> web.Response:
        wish = await body(request, SendTo)
        actor = Actor.of(identity(request), request.remote or "")
        return web.json_response(asdict(await giving.give(named(request), wish.ae_title, actor)))

    @operation("Send no more of it.", answer=Stopped, path=OneStudy, body=StopSending)
    @needs(Act.DECIDE)
    async def stop(request: web.Request) -> web.Response:
        wish = await body(request, StopSending)
        return web.json_response({"stopped": giving.stop(named(request), wish.number)})

    return [
        web.get("/studies/{study}/sending", listing),
        web.post("/studies/{study}/sending", send),
        web.post("/studies/{study}/sending/stop", stop),
    ]
