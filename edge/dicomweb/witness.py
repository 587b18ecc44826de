"""Sees every request that is let in, and every one that is not, and has it in the audit.

Owns how a claim and its end become an entry. Promises that what is durable is so before the answer
leaves; that an access is told of however it ends, a caller who hangs up or a body that is torn off
included; and that it costs a reader microseconds. Query strings go into the sealed record, and
nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.access.audit.claim import SAID, Claim
from edge.access.audit.entry import Actor, Entry, Event, Outcome, Subject
from edge.access.audit.recorder import Audit
from edge.access.audit.windows import Seen
from edge.access.roles import Identity
from edge.access.tokens import PREFIX
from edge.cache.tally import Tally, counting
from edge.dicomweb.medium import ZIP
from edge.dicomweb.middleware import IDENTITY
from edge.dicomweb.responses import Refused
from edge.errors import (
    AccessDenied,
    DecisionRefused,
    DeletionRefused,
    EdgeError,
    InstanceNotFound,
    InvalidInstance,
    QueryError,
)

__all__ = ["HttpWitness"]

_SECRET: Final = re.compile(r"pass|secret|token$|code|pin$|key$|cookie|assertion", re.IGNORECASE)
"""Members of a body whose values are nobody's to read, not even in the record."""
_REFUSALS: Final = (
    AccessDenied,
    DecisionRefused,
    DeletionRefused,
    InstanceNotFound,
    InvalidInstance,
    QueryError,
)
"""Nothing went wrong: it is the answer to what was asked."""
_BODY: Final = 64 * 1024
_LEFT: Final = "it was not answered to its end"


class HttpWitness:
    """A `Witness` for one application.

    Args:
        audit: The record.
        claim_of: What a request is an act of; None if of nothing that is recorded.
    """

    def __init__(self, audit: Audit, claim_of: Callable[[web.Request], Claim | None]) -> None:
        self._audit = audit
        self._claim_of = claim_of

    def refused(self, request: web.Request, identity: Identity | None, error: EdgeError) -> None:
        """Somebody was turned away: aggregated, for a scan must not fill the disk."""
        address = request.remote or ""
        named = error.name if isinstance(error, AccessDenied) else ""
        actor = Actor(named or _claimed_name(request), address=address)
        if identity is not None:
            actor = Actor.of(identity, address)
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else "of no such resource"
        entry = Entry(
            at=self._audit.clock(),
            event=Event.REFUSED,
            actor=actor,
            outcome=Outcome.REFUSED,
            what=f"{request.method} {path}",
            reason=str(error),
        )
        self._audit.suspect(entry)

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Have it answered, and tell of it."""
        claim = self._claim_of(request)
        if claim is None:
            return await handler(request)
        actor = Actor.of(request[IDENTITY], request.remote or "")
        if claim.is_durable:
            return await self._act(request, handler, claim, actor)
        audit = self._audit
        if claim.begins is not None:
            audit.note(_entry(audit.clock(), claim, actor, claim.begins))
        outcome, reason, event = Outcome.FAILED, _LEFT, claim.event
        with counting(Tally()) as tally:
            try:
                response = await handler(request)
                outcome, reason = _outcome_of(response.status), ""
                # As it is: to have aiohttp take a multipart type apart costs more than all of this.
                if response.headers.get(hdrs.CONTENT_TYPE) == ZIP:
                    event = Event.EXPORTED
            except (EdgeError, web.HTTPException) as error:
                outcome, reason = _outcome_of_error(error), str(error)
                raise
            except (ConnectionError, asyncio.CancelledError):
                if claim.is_followed:
                    outcome, reason = Outcome.SUCCESS, ""
                raise
            finally:
                self._tell(claim, actor, event, outcome, reason, tally)
        return response

    def _tell(
        self,
        claim: Claim,
        actor: Actor,
        event: Event,
        outcome: Outcome,
        reason: str,
        tally: Tally,
    ) -> None:
        """An entry for each study that it was about."""
        now, note = self._audit.clock(), self._audit.note
        counted: Mapping[str, list[Seen]] = (
            tally.stored if event is Event.RECEIVED else tally.opened
        )
        if claim.study_uid not in counted and (claim.study_uid or not counted):
            # Metadata, or a picture that was drawn before: nothing was opened for it.
            seen = [(claim.sop_uid, "")] if claim.sop_uid and not outcome else []
            note(_entry(now, claim, actor, event, outcome, reason), seen)
        for study_uid, seen in counted.items():
            note(_entry(now, claim, actor, event, outcome, reason, study_uid), seen)

    async def _act(
        self, request: web.Request, handler: Handler, claim: Claim, actor: Actor
    ) -> web.StreamResponse:
        """What is durable before it is answered; whose it was is asked before it is gone."""
        audit = self._audit
        await audit.require()
        about = Subject()
        if claim.study_uid:
            about = await audit.subject_of(claim.study_uid)
        if claim.begins is not None:
            await audit.record(_entry(audit.clock(), claim, actor, claim.begins, about=about))
        outcome, reason, detail = Outcome.FAILED, "it ended in a defect", dict(claim.detail or {})
        is_left = False
        try:
            response = await handler(request)
            outcome, reason = _outcome_of(response.status), ""
            detail |= _said(request)
        except (EdgeError, web.HTTPException) as error:
            outcome, reason = _outcome_of_error(error), str(error)
            raise
        except (ConnectionError, asyncio.CancelledError):
            is_left, reason = True, _LEFT
            if claim.is_followed:
                outcome, reason = Outcome.SUCCESS, ""
                detail |= _said(request)
            raise
        finally:
            entry = _entry(
                audit.clock(),
                claim,
                actor,
                claim.event,
                outcome,
                reason,
                about=about,
                detail=detail,
            )
            if outcome is not Outcome.SUCCESS or is_left:  # nobody waits for it
                audit.put(entry)
            elif claim.begins is not claim.event:  # else it was told before
                await audit.record(entry)
        return response


def _entry(
    at: float,
    claim: Claim,
    actor: Actor,
    event: Event,
    outcome: Outcome = Outcome.SUCCESS,
    reason: str = "",
    study_uid: str = "",
    *,
    about: Subject | None = None,
    detail: Mapping[str, str] | None = None,
) -> Entry:
    return Entry(
        at=at,
        event=event,
        actor=actor,
        outcome=outcome,
        what=claim.what,
        about=about or Subject(study_uid or claim.study_uid),
        query=unquote_plus(claim.query) if claim.query else "",
        target=claim.target,
        reason=reason,
        detail=(claim.detail or {}) if detail is None else detail,
    )


def _outcome_of(status: int) -> Outcome:
    if status < 400:
        return Outcome.SUCCESS
    return Outcome.REFUSED if status < 500 else Outcome.FAILED


def _outcome_of_error(error: Exception) -> Outcome:
    if isinstance(error, web.HTTPException | Refused):
        return _outcome_of(error.status)
    return Outcome.REFUSED if isinstance(error, _REFUSALS) else Outcome.FAILED


def _said(request: web.Request) -> dict[str, str]:
    """What an act was given: members of its path, its query and its body, without secrets."""
    said: dict[str, Any] = {**request.match_info, **request.query}
    text = request.get(SAID, b"")
    if 0 < len(text) <= _BODY:
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        said |= body if isinstance(body, dict) else {"body": body}
    return {
        str(name): "***" if _SECRET.search(str(name)) else _text(value)
        for name, value in said.items()
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)[:2000]


def _claimed_name(request: web.Request) -> str:
    """Who somebody says to be that could not prove it: the user of Basic (RFC 7617)."""
    scheme, _, proof = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        name, _, _ = base64.b64decode(proof.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    return "" if name.startswith(PREFIX) else name[:64]  # some write a token in its place
