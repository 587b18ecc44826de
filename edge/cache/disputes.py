"""What a person has to decide, listed; and what was decided, written down or done.

A dead letter is an instance that the archive refuses; a conflict is one of which it has other
bytes, or one of which other bytes are in quarantine here. Every decision can be repeated, and
concerns only what is in the state that it is for. Promises that no bytes are lost by one that does
not say so, and that the instance itself is never changed: what is sent may differ from it
(`remedies`), and which bytes stand under a UID may be exchanged (`exchange`). What needs the
archive is written down here, and carried out by ``edge.sync.arbitration`` once the line is up.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec

from edge.cache import offering
from edge.cache.exchange import Exchange
from edge.cache.known import require_known
from edge.cache.listing import (
    KEEP_ARCHIVE_ALONE,
    Conflict,
    DeadLetter,
    Decision,
    Outcome,
    Page,
    Unchanged,
    conflict_of,
    dead_letter_of,
    quarantine_of,
)
from edge.cache.remedy_syntaxes import SYNTAXES, require_syntax
from edge.dicom.demographics import keyword
from edge.dicom.instance import Availability, Custody
from edge.dicom.supplied import parse_supplied, replacements, require_missing
from edge.errors import DecisionRefused, EdgeError
from edge.index import disputes, lookup
from edge.index.database import Connection, Database
from edge.index.disputes import Aside, Dispute, Query

__all__ = ["Disputes", "Query"]

log = logging.getLogger(__name__)

_LOT: Final = 200
"""Decisions in one transaction; intake waits for it."""
_LONGEST_REASON: Final = 1000
_CONFIRM: Final = "say --yes, or in a program confirmed: true"

_Write = Callable[[Connection], bool]


class Disputes:
    """Lists, and takes decisions.

    Args:
        database: The index.
        exchange: Handles what is in quarantine.
        has_archive: Whether an archive is configured.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        *,
        has_archive: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._has_archive = has_archive
        self._clock = clock

    # Listing ----------------------------------------------------------------------------------

    async def dead_letters(
        self, *, limit: int = 100, offset: int = 0, given_up: bool = False
    ) -> Page[DeadLetter]:
        """What the archive refuses, the newest first; or what of it was given up."""
        query = Query(limit=limit, offset=offset, given_up=given_up)
        total = await disputes.count(self._database, Custody.REFUSED, query)
        found = await disputes.find(self._database, Custody.REFUSED, query)
        return Page(total, [dead_letter_of(one) for one in found])

    async def conflicts(self, *, limit: int = 100, offset: int = 0) -> Page[Conflict]:
        """Two that are called the same, with the archive and in quarantine, the newest first."""
        query = Query(limit=offset + limit)
        total = await disputes.count(self._database, Custody.CONFLICT, query)
        total += await disputes.count(self._database, None, query)
        there = await disputes.find(self._database, Custody.CONFLICT, query)
        aside = await disputes.find_aside(self._database, query)
        merged = heapq.merge(
            map(conflict_of, there),
            map(quarantine_of, aside),
            key=lambda one: one.since,
            reverse=True,
        )
        return Page(total, list(merged)[offset : offset + limit])

    # Dead letters -----------------------------------------------------------------------------

    async def retry(self, query: Query, *, as_stored: bool = False) -> Outcome:
        """Offer them again at once; *as_stored*: no copy, but the instances themselves."""

        async def decide(one: Dispute) -> _Write:
            return partial(offering.retry, one=one, as_stored=as_stored)

        return await self._about_dead_letters(Decision.RETRY, query, decide)

    async def transcode(self, query: Query, transfer_syntax: str = "explicit") -> Outcome:
        """Offer copies in another transfer syntax, without loss.

        Raises:
            DecisionRefused: It is none that copies can be made in.
        """
        wanted = SYNTAXES.get(transfer_syntax, transfer_syntax)
        if wanted not in SYNTAXES.values():
            raise DecisionRefused(
                "no copy can be made in this transfer syntax",
                hint=f"name one of {', '.join(SYNTAXES)}",
            )

        async def decide(one: Dispute) -> _Write:
            attributes = await self._attributes(one)
            require_syntax(attributes, one.transfer_syntax, wanted)
            return partial(offering.transcode, one=one, transfer_syntax=wanted)

        return await self._about_dead_letters(Decision.TRANSCODE, query, decide)

    async def supply(self, query: Query, attribute: str) -> Outcome:
        """Offer copies in which an attribute has a value that the instances lack.

        Args:
            query: Which.
            attribute: ``PatientID=4711``, or by its tag.

        Raises:
            DecisionRefused: It can't be supplied.
        """
        tag, element = parse_supplied(attribute)

        async def decide(one: Dispute) -> _Write:
            attributes = await self._attributes(one)
            require_missing(tag, attributes)
            replacements({tag: element}, attributes)
            return partial(offering.supply, one=one, attributes={tag: element})

        return await self._about_dead_letters(Decision.SUPPLY, query, decide)

    async def give_up(self, query: Query, reason: str) -> Outcome:
        """Offer them no more. They stay here, are the only copies, and ``retry`` takes it back.

        Raises:
            DecisionRefused: There is no reason, or it is none for people to read.
        """
        reason = reason.strip()
        if not reason or len(reason) > _LONGEST_REASON or not reason.isprintable():
            raise DecisionRefused(
                "giving up needs a reason", hint=f"one line of {_LONGEST_REASON} characters at most"
            )
        now = self._clock()

        async def decide(one: Dispute) -> _Write:
            return partial(offering.give_up, one=one, reason=reason, now=now)

        return await self._about_dead_letters(Decision.GIVE_UP, query, decide)

    async def _about_dead_letters(
        self, decision: Decision, query: Query, decide: Callable[[Dispute], Awaitable[_Write]]
    ) -> Outcome:
        everything = not query.sop_uids and query.study_uid is None
        query = replace(query, given_up=False) if everything else query
        found = await disputes.find(self._database, Custody.REFUSED, query)
        return await self._decide(decision, query, found, decide)

    # Conflicts with the archive ---------------------------------------------------------------

    async def keep_both(self, query: Query) -> Outcome:
        """Let the archive have its bytes, and the box its own; takes back what is not done yet."""

        async def decide(one: Dispute) -> _Write:
            return partial(_note, one=one, decision="")

        return await self._about_conflicts(Decision.KEEP_BOTH, query, decide)

    async def keep_archive(self, query: Query, *, alone: bool = False) -> Outcome:
        """Let what the archive has be the instance here, too; ours goes into quarantine.

        Args:
            query: Which.
            alone: Ours is thrown away; its bytes are lost.

        Raises:
            DecisionRefused: No archive is configured.
        """
        self._require_archive()
        decision = KEEP_ARCHIVE_ALONE if alone else Decision.KEEP_ARCHIVE

        async def decide(one: Dispute) -> _Write:
            return partial(_note, one=one, decision=decision)

        return await self._about_conflicts(Decision.KEEP_ARCHIVE, query, decide)

    async def keep_ours(self, query: Query, *, confirmed: bool = False) -> Outcome:
        """Have the archive delete what it has, and give it ours; theirs goes into quarantine here.

        Args:
            query: Which.
            confirmed: Also where that undoes what was corrected in the archive.

        Raises:
            DecisionRefused: No archive is configured.
        """
        self._require_archive()

        async def decide(one: Dispute) -> _Write:
            if one.availability is not Availability.ONLINE:
                raise DecisionRefused("its bytes are not here any more")
            if one.edited and not confirmed:
                named = ", ".join(keyword(tag) for tag in one.edited)
                raise DecisionRefused(
                    f"this undoes what was corrected in the archive: {named}", hint=_CONFIRM
                )
            return partial(_note, one=one, decision=Decision.KEEP_OURS)

        return await self._about_conflicts(Decision.KEEP_OURS, query, decide)

    async def _about_conflicts(
        self, decision: Decision, query: Query, decide: Callable[[Dispute], Awaitable[_Write]]
    ) -> Outcome:
        found = await disputes.find(self._database, Custody.CONFLICT, query)
        return await self._decide(decision, query, found, decide)

    def _require_archive(self) -> None:
        if not self._has_archive:
            raise DecisionRefused("no archive is configured that could be asked")

    # Quarantine -------------------------------------------------------------------------------

    async def keep_kept(
        self, query: Query, *, digest: str = "", confirmed: bool = False
    ) -> Outcome:
        """Throw away what is in quarantine; its bytes are lost.

        Args:
            query: Which.
            digest: Only what has a digest that begins so.
            confirmed: That is meant.

        Raises:
            DecisionRefused: It was not confirmed.
        """
        if not confirmed:
            raise DecisionRefused("this throws bytes away that may be nowhere else", hint=_CONFIRM)

        async def decide(one: Aside) -> bool:
            return await self._exchange.discard(one)

        return await self._about_quarantine(Decision.KEEP_KEPT, query, digest, decide)

    async def keep_other(self, query: Query, *, digest: str = "") -> Outcome:
        """Let what is in quarantine be the instance; what was kept goes there instead.

        Args:
            query: Which.
            digest: Where several are in quarantine: how the digest of the right one begins.
        """
        seen = dict[str, int]()

        async def decide(one: Aside) -> bool:
            if seen[one.ref.sop_uid] > 1:
                raise DecisionRefused(
                    "several are in quarantine under this UID",
                    hint="name the right one by the beginning of its digest",
                )
            return await self._exchange.swap(one)

        def count(found: Sequence[Aside]) -> None:
            for one in found:
                seen[one.ref.sop_uid] = seen.get(one.ref.sop_uid, 0) + 1

        return await self._about_quarantine(Decision.KEEP_OTHER, query, digest, decide, count)

    async def _about_quarantine(
        self,
        decision: Decision,
        query: Query,
        digest: str,
        decide: Callable[[Aside], Awaitable[bool]],
        look: Callable[[Sequence[Aside]], None] = lambda _: None,
    ) -> Outcome:
        found = [
            one
            for one in await disputes.find_aside(self._database, query)
            if one.dataset_digest.hex().startswith(digest.lower())
        ]
        look(found)
        outcome = await self._unfound(query, {one.ref.sop_uid for one in found})
        for one in found:
            try:
                outcome.count(await decide(one))
            except EdgeError as error:
                outcome.refused.append(Unchanged(one.ref.sop_uid, _said(error)))
        _tell(decision, outcome)
        return outcome

    # What all of them share -------------------------------------------------------------------

    async def _decide(
        self,
        decision: Decision,
        query: Query,
        found: Sequence[Dispute],
        decide: Callable[[Dispute], Awaitable[_Write]],
    ) -> Outcome:
        outcome = await self._unfound(query, {one.ref.sop_uid for one in found})
        writes = []
        for one in found:
            try:
                writes.append(await decide(one))
            except EdgeError as error:
                outcome.refused.append(Unchanged(one.ref.sop_uid, _said(error)))
        for first in range(0, len(writes), _LOT):
            lot = writes[first : first + _LOT]
            for changed in await self._database.write(partial(_all, writes=lot)):
                outcome.count(changed)
        _tell(decision, outcome)
        return outcome

    async def _unfound(self, query: Query, found: set[str]) -> Outcome:
        """What was named and is not in this state: unchanged, or unknown here."""
        await require_known(self._database, Query(study_uid=query.study_uid))
        outcome = Outcome()
        for sop_uid in dict.fromkeys(query.sop_uids):
            if sop_uid in found:
                continue
            if await lookup.find_one(self._database, sop_uid) is None:
                outcome.refused.append(Unchanged(sop_uid, "it is not here"))
            else:
                outcome.count(False)
        return outcome

    async def _attributes(self, one: Dispute) -> dict[str, Any]:
        """The JSON object of an instance."""
        found = await lookup.find_with_metadata(self._database, one.ref.sop_uid)
        document = found[1] if found else None
        if document is None:
            raise DecisionRefused("its bytes were never here")
        return await asyncio.to_thread(_inflated, document)


def _all(db: Connection, writes: Sequence[_Write]) -> list[bool]:
    return [write(db) for write in writes]


def _note(db: Connection, one: Dispute, decision: str) -> bool:
    return disputes.note_decision(db, one.instance_id, decision)


def _inflated(document: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = msgspec.json.decode(zlib.decompress(document))
    return attributes


def _said(error: EdgeError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _tell(decision: Decision, outcome: Outcome) -> None:
    log.info(
        "decided: %s: %d instances, %d as they were, %d refused",
        decision,
        outcome.done,
        outcome.unchanged,
        len(outcome.refused),
    )
