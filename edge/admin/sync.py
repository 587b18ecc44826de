"""What a person has to decide about the archive, and what goes there first, over the admin API.

Listing is for who may read images, for it names patients; deciding for who may ``decide``; and
what destroys bytes, here or in the archive, for who may ``delete``. Promises that whatever was
decided is in the index before the answer, and that the parts which act on it are awake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, Identity, needs
from edge.admin.asking import About, Paged, body, wanted
from edge.admin.openapi import operation
from edge.cache.custody import CustodyLedger
from edge.cache.disputes import Disputes
from edge.cache.listing import Conflict, DeadLetter, Decision, Outcome, Page

__all__ = ["sync_routes"]


class LettersWanted(Paged):
    """A page of dead letters: of the open ones, or of those that were given up."""

    given_up: bool = False


class LetterDecision(About):
    """A decision about dead letters."""

    decision: Literal["retry", "transcode", "supply", "give-up"]
    as_stored: bool = False
    """Of ``retry``: the images themselves, and no copy any more."""
    transfer_syntax: str = "explicit"
    """Of ``transcode``: a name or UID."""
    attribute: str = ""
    """Of ``supply``: ``PatientID=4711``."""
    reason: str = ""
    """Of ``give-up``."""


class ConflictDecision(About):
    """A decision about conflicts with the archive, or with what is in quarantine."""

    decision: Literal["keep-both", "keep-archive", "keep-ours", "keep-kept", "keep-other"]
    digest: str = ""
    """Of the last two: how the digest of the one in quarantine begins."""
    confirmed: bool = False
    """Of ``keep-kept``: bytes are thrown away that may be nowhere else. Of ``keep-archive``: ours
    are, and not put into quarantine. Of ``keep-ours``: a correction in the archive is undone."""


class StudyFirst(msgspec.Struct, forbid_unknown_fields=True):
    """A study that goes to the archive before all others, or not any more."""

    study_uid: str
    first: bool = True


class Waiting(msgspec.Struct):
    """How many instances are still to go."""

    waiting: int


_DESTROYS = frozenset({Decision.KEEP_OURS, Decision.KEEP_KEPT})


def sync_routes(
    disputes: Disputes,
    ledger: CustodyLedger,
    identity: Callable[[web.Request], Identity],
    wake: Callable[[], None],
) -> list[web.RouteDef]:
    """``/sync/…``.

    Args:
        disputes: Lists, and takes decisions.
        ledger: Knows the order of what goes up.
        identity: Who asks.
        wake: Has every part look at the index.
    """

    @operation(
        "Images that the archive refuses, the newest first.",
        answer=Page[DeadLetter],
        query=LettersWanted,
    )
    async def dead_letters(request: web.Request) -> web.Response:
        asked = wanted(request, LettersWanted)
        page = await disputes.dead_letters(
            limit=asked.limit, offset=asked.offset, given_up=asked.given_up
        )
        return web.json_response(asdict(page))

    @operation(
        "Images of which other bytes are in the archive or in quarantine, the newest first.",
        answer=Page[Conflict],
        query=Paged,
    )
    async def conflicts(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        page = await disputes.conflicts(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(page))

    @operation("Decide about dead letters.", answer=Outcome, body=LetterDecision)
    @needs(Act.DECIDE)
    async def decide_letters(request: web.Request) -> web.Response:
        wish = await body(request, LetterDecision)
        query = wish.query()
        match wish.decision:
            case "retry":
                outcome = await disputes.retry(query, as_stored=wish.as_stored)
            case "transcode":
                outcome = await disputes.transcode(query, wish.transfer_syntax)
            case "supply":
                outcome = await disputes.supply(query, wish.attribute)
            case "give-up":
                outcome = await disputes.give_up(query, wish.reason)
        return _answer(outcome)

    @operation("Decide about conflicts.", answer=Outcome, body=ConflictDecision)
    @needs(Act.DECIDE)
    async def decide_conflicts(request: web.Request) -> web.Response:
        wish = await body(request, ConflictDecision)
        alone = wish.decision == "keep-archive" and wish.confirmed
        if alone or wish.decision in _DESTROYS:
            identity(request).require(Act.DELETE)
        query = wish.query()
        match wish.decision:
            case "keep-both":
                outcome = await disputes.keep_both(query)
            case "keep-archive":
                outcome = await disputes.keep_archive(query, alone=alone)
            case "keep-ours":
                outcome = await disputes.keep_ours(query, confirmed=wish.confirmed)
            case "keep-kept":
                outcome = await disputes.keep_kept(
                    query, digest=wish.digest, confirmed=wish.confirmed
                )
            case "keep-other":
                outcome = await disputes.keep_other(query, digest=wish.digest)
        return _answer(outcome)

    @operation("Let a study go to the archive first.", answer=Waiting, body=StudyFirst)
    @needs(Act.DECIDE)
    async def let_first(request: web.Request) -> web.Response:
        wish = await body(request, StudyFirst)
        waiting = await ledger.upload_first(wish.study_uid, first=wish.first)
        return web.json_response({"waiting": waiting})

    def _answer(outcome: Outcome) -> web.Response:
        wake()
        return web.json_response(asdict(outcome))

    return [
        web.get("/sync/dead-letters", dead_letters),
        web.post("/sync/dead-letters", decide_letters),
        web.get("/sync/conflicts", conflicts),
        web.post("/sync/conflicts", decide_conflicts),
        web.post("/sync/first", let_first),
    ]
