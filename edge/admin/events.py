"""What happens, told as it happens: ``/api/v1/events``, a stream of server-sent events.

Owns the stream: its heartbeat, and its end with the proof that it was opened by. Promises that
nobody goes on hearing who was logged out, disabled or narrowed meanwhile, within two seconds; that
who is narrowed to some studies hears of no other; that who may not administer hears no more than
``/status`` tells them; and that a stream keeps no session from being idle. What is told, and to how
many, is `edge.cache.live`'s.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from edge.access.acts import Act, Service
from edge.access.roles import Identity, narrows
from edge.access.sessions import UNATTENDED
from edge.admin.openapi import operation
from edge.admin.streaming import stream, written
from edge.cache.live import Happening, Live
from edge.errors import AccessDenied

__all__ = ["Told", "event_routes"]

_HEARTBEAT: Final = 10.0
"""Seconds: a proxy in between keeps the stream, and a listener that is gone is found out."""
_LOOK: Final = 1.5
"""Seconds between two looks at whether who listens still may."""
_RETRY: Final = b"retry: 2000\n\n"


class Told(msgspec.Struct, forbid_unknown_fields=True):
    """One event of the stream."""

    event: Literal["state", "arrivals", "end"]
    data: str
    """JSON."""
    id: str = ""
    """Counts up; the last event has none."""


Sees = Callable[[str, frozenset[str]], Awaitable[bool]]
"""Whether a study is here, and one of these sent something of it."""


def event_routes(
    live: Live,
    authorise: Callable[[Mapping[str, str], str], Awaitable[Identity]],
    sees: Sees,
    *,
    heartbeat: float = _HEARTBEAT,
    look: float = _LOOK,
) -> Sequence[web.RouteDef]:
    """``/events``.

    Args:
        live: Tells what happens.
        authorise: Says whether who listens still may.
        sees: Which studies are whose.
        heartbeat: Seconds between two signs of life.
        look: Seconds between two looks at who listens.
    """

    @operation(
        "What happens, as it happens: server-sent events `state` (numbers of the whole box) and"
        " `arrivals` (the studies that came last, and those that are on their way). The first two"
        " tell how it is; further ones come when something changed. Ends with the log-in.",
        answer=Told,
        media_types=("text/event-stream",),
    )
    @narrows
    async def events(request: web.Request) -> web.StreamResponse:
        response = stream()
        if request.method == hdrs.METH_HEAD:
            return response
        identity = await who(request)
        with live.listen("" if identity is None else identity.name) as listener:
            looked = wrote = time.monotonic()
            await response.prepare(request)
            await response.write(_RETRY)
            while (news := await listener.next(min(look, heartbeat))) is not None:
                if time.monotonic() >= looked + look:
                    identity, looked = await who(request), time.monotonic()
                if identity is None:
                    break
                shown = [await _shown(event, identity, sees) for event in news]
                told = b"".join(written(one.kind, one.data, one.number) for one in shown)
                if told or time.monotonic() >= wrote + heartbeat:
                    await response.write(told or b": still here\n\n")
                    wrote = time.monotonic()
            await response.write(written("end", b"{}"))
        await response.write_eof()
        return response

    async def who(request: web.Request) -> Identity | None:
        """Who listens; None if they may not any more."""
        unattended = CIMultiDict(request.headers)
        unattended[UNATTENDED] = "1"
        try:
            identity = await authorise(unattended, request.remote or "")
            identity.enter(Service.ADMIN)
            identity.require(Act.READ)
        except AccessDenied:
            return None
        return identity

    return [web.get("/events", events)]


async def _shown(event: Happening, identity: Identity, sees: Sees) -> Happening:
    """What of it is for somebody: they may administer, or may be narrowed to some senders."""
    if not identity.may(Act.ADMINISTER):
        event = replace(event, data=event.for_others)
    senders = identity.scope_for(Act.READ).studies_from
    if not senders or event.kind != "arrivals":
        return event
    said = msgspec.json.decode(event.data)
    for name, studies in said.items():
        said[name] = [one for one in studies if await sees(one["study_uid"], senders)]
    return replace(event, data=msgspec.json.encode(said))
