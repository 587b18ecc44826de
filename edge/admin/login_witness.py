"""Sees who logs in and out, who tries, and what people change of their own log-in: for the audit.

Owns how a request to ``/login`` or ``/logout`` becomes an entry. Promises that what was typed as a
password or a code is in none, and that many wrong tries make few entries. A log-in is on the disk
within a second: a disk that is full keeps nobody from images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.access.audit.claim import SAID
from edge.access.audit.entry import Actor, Entry, Event, Outcome
from edge.access.audit.recorder import Audit
from edge.access.gate import Gate
from edge.access.roles import Proof
from edge.access.sessions import Session
from edge.errors import AccessDenied, EdgeError

__all__ = ["LogInWitness"]

_NAME: Final = 64
_LOG_INS: Final = frozenset({"/login", "/login/passkey"})
"""Where somebody comes in, and nothing of them is changed."""
_LINK: Final = "/login/link"
"""Where somebody comes in of whom nothing is known."""


class _Named(msgspec.Struct):
    """What bodies of requests and of answers have in common; the rest is nobody's business."""

    name: str = ""
    role: str = ""
    proved: str = ""
    logged_in: bool = True


class LogInWitness:
    """Sees requests to the routes of the log-in.

    Args:
        audit: The record.
        gate: Knows whose cookie it is.
    """

    def __init__(self, audit: Audit, gate: Gate) -> None:
        self._audit = audit
        self._gate = gate

    def watch(self, routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes, watched; those that only show something are as they were."""
        return [
            route
            if route.method in (hdrs.METH_GET, hdrs.METH_HEAD)
            else web.RouteDef(
                route.method, route.path, self._watched(route.handler, route.path), route.kwargs
            )
            for route in routes
        ]

    def arrived(self, session: Session, path: str) -> None:
        """Somebody logged in in another way than by a route that is watched."""
        who = Actor(
            session.name,
            role=session.role,
            proof=session.proved,
            token=session.session_id,
            address=session.address,
        )
        self._put(Event.LOGGED_IN, who, path)

    def turned_away(self, address: str, path: str, error: AccessDenied) -> None:
        """Likewise, and was not let in; nobody knows who it was."""
        self._refused(Actor("", address=address), path, error)

    def _watched(self, handler: Any, path: str) -> Handler:
        async def watched(request: web.Request) -> web.StreamResponse:
            session = await self._gate.session(request.headers)
            address = request.remote or ""
            actor = None
            if session is not None:
                actor = Actor.of(session.identity, address)
            try:
                response: web.StreamResponse = await handler(request)
            except AccessDenied as error:
                name = _read(request.get(SAID, b"")).name[:_NAME]
                self._refused(actor or Actor(name, address=address), path, error)
                raise
            except EdgeError as error:
                if actor is not None:
                    self._put(Event.USER, actor, path, Outcome.REFUSED, str(error))
                raise
            self._done(request, response, actor, path)
            return response

        return watched

    def _done(
        self, request: web.Request, response: web.StreamResponse, actor: Actor | None, path: str
    ) -> None:
        said = _Named(logged_in=False)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            said = _read(response.body)
        came = None
        if said.name and said.role:
            came = Actor(
                said.name,
                role=said.role,
                proof=said.proved or Proof.SESSION,
                address=request.remote or "",
            )
        if path == "/logout":
            if actor is not None:
                self._put(Event.LOGGED_OUT, actor, path)
        elif path == _LINK and came is not None:
            if actor is not None:  # whoever opens a link leaves their own log-in
                self._put(Event.LOGGED_OUT, actor, path)
            self._put(Event.LOGGED_IN, came, path)
        elif came is not None and (actor is None or actor.name != came.name):
            if path not in _LOG_INS:
                self._put(Event.USER, came, path)
            self._put(Event.LOGGED_IN, came, path)
        elif path in _LOG_INS and came is not None:
            self._put(Event.LOGGED_IN, came, path)
        elif (who := actor or came) is not None:
            self._put(Event.USER, who, path)

    def _refused(self, actor: Actor, path: str, error: AccessDenied) -> None:
        self._audit.suspect(
            Entry(
                at=self._audit.clock(),
                event=Event.LOGGED_IN,
                actor=actor,
                outcome=Outcome.REFUSED,
                what=path,
                reason=str(error),
            )
        )

    def _put(
        self,
        event: Event,
        actor: Actor,
        path: str,
        outcome: Outcome = Outcome.SUCCESS,
        reason: str = "",
    ) -> None:
        self._audit.put(
            Entry(
                at=self._audit.clock(),
                event=event,
                actor=actor,
                outcome=outcome,
                what=path,
                reason=reason,
            )
        )


def _read(body: bytes) -> _Named:
    try:
        return msgspec.json.decode(body, type=_Named)
    except (msgspec.DecodeError, RecursionError):
        return _Named(logged_in=False)
