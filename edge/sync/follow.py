"""Follows the feed of an archive that has one: learns what changed, from a cursor.

What an archive stored that is not known here is looked into, series by series; what it replaced is
looked at again; what it deleted is handed on. Our own uploads stand in the feed, too: what the
index has is passed over. Rows and cursor commit in one transaction, so a page that is read twice
does no harm.

Promises that a study which can't be understood, or always fails, stops no other and is left to the
sweep; and that where the feed has lost our place, it goes on from its end, behind which a sweep
then meets the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from edge.cache.custody import CustodyLedger, Known, Replaced
from edge.cloud.archive import Archive
from edge.cloud.feed import Action, Change, Feed
from edge.cloud.listing import uid_of
from edge.cloud.metadata import localised
from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.remote import NONSENSE, RemoteStudy
from edge.errors import CloudRefused, CloudUnreachable, InstanceNotFound
from edge.sync.learning import Learning
from edge.sync.link import Link

__all__ = ["Follow"]

log = logging.getLogger(__name__)

_BLUR = 3.0
"""Seconds by which a time may be wrong that is told without fractions, by another clock."""
_PAGES = 100
"""Pages of the feed that are read at one look."""
_TRIES = 3
"""Times that the archive may fail at a study before that is left to the sweep."""


class Follow:
    """Follows one feed.

    Args:
        ledger: Keeps what was learned, and the cursor.
        archive: Whose feed it is.
        feed: Is read.
        link: Its line says when to stop.
        learning: Looks into studies.
        start_over: Has the sweeps begin anew; called before the cursor is put at the feed's end.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        feed: Feed,
        link: Link,
        learning: Learning,
        start_over: Callable[[], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._feed = feed
        self._link = link
        self._learning = learning
        self._start_over = start_over
        self._cursor_name = f"feed:{feed.kind}:{archive.name}"
        self._failures: Counter[str] = Counter()
        self.owes_a_sweep = True
        """Whether something was left to the sweep. So it is after a start, which a sweep follows in
        any case."""

    async def run(self) -> bool:
        """Read on to the end of the feed, or far towards it; whether it still had our place.

        Without one, and the first time, the cursor is put at the end of the feed: a sweep that
        begins after this meets all that was before.

        Raises:
            CloudError: The archive can't be asked; what was learned so far is kept.
        """
        position = await self._ledger.cursor(self._cursor_name)
        for _ in range(_PAGES):
            if position is None:
                break
            self._link.line.check("down")
            page = await self._feed.after(position)
            if page is None:
                log.warning(
                    "archive %s: its feed does not go on where it was read last;"
                    " all of it is looked through",
                    self._archive.name,
                )
                position = None
                break
            stands = page.position == position
            if page.changes or not stands:
                await self._take(page.changes, page.position)
            position = page.position
            if stands and page.more:
                raise CloudRefused(
                    f"archive {self._archive.name}: its feed says that there is more,"
                    " and does not go on",
                    status=200,
                )
            if not page.more:
                break
        if position is None:
            self._link.line.check("down")
            end = await self._feed.latest()
            await self._start_over()
            await self._ledger.set_cursor(self._cursor_name, end)
        return position is not None

    async def _take(self, changes: Sequence[Change], position: str) -> None:
        """Learn what a page says, and go on behind it."""
        meant = _by_instance(changes)
        unlisted = await self._learning.unlisted()
        meant = {uid: it for uid, it in meant.items() if it.ref.study_uid not in unlisted}
        known = await self._ledger.known(list(meant)) if meant else {}
        fresh: list[InstanceRef] = []
        replaced: list[InstanceRef] = []
        deleted: list[InstanceRef] = []
        for sop_uid, change in meant.items():
            here = known.get(sop_uid)
            if here is not None and here.of not in (
                None,
                (change.ref.study_uid, change.ref.series_uid),
            ):
                # Of another study than here: no word about the one that is known.
                self.owes_a_sweep = True
                continue
            if change.action is Action.DELETED:
                if here is not None and here.availability is not None:
                    deleted.append(change.ref)
            elif here is None or here.in_trash or here.availability is Availability.UNAVAILABLE:
                fresh.append(change.ref)
            elif here.availability is not None and _is_replaced(change, here):
                replaced.append(change.ref)
        gone, again = await self._looked_for(deleted)
        replaced += again
        studies = await self._look_into([*fresh, *replaced])
        listed = {
            one.sop_uid for study in studies for series in study.series for one in series.instances
        }
        if any(ref.sop_uid not in listed for ref in fresh):
            self.owes_a_sweep = True  # It is gone again, or not listed yet.
        renewed = await self._documents(replaced, known)
        if gone:
            await self._ledger.archive_deleted(gone, self._archive.name)
        strange = await self._ledger.follow(
            self._archive.name, studies, renewed, (self._cursor_name, position)
        )
        self._leave_out(strange)

    async def _look_into(self, refs: Iterable[InstanceRef]) -> list[RemoteStudy]:
        """The series of these instances, as the archive lists them."""
        touched: dict[str, set[str]] = {}
        for ref in refs:
            touched.setdefault(ref.study_uid, set()).add(ref.series_uid)
        studies: list[RemoteStudy] = []
        strange: list[Exception] = []
        for study_uid, series in touched.items():
            try:
                study = await self._learning.look_into(study_uid, only=series)
            except (CloudRefused, *NONSENSE) as error:
                strange.append(error)
                continue
            except CloudUnreachable as error:
                self._failures[study_uid] += 1
                if self._failures[study_uid] < _TRIES:
                    raise
                strange.append(error)
            else:
                if study is not None and study.series:
                    studies.append(study)
            self._failures.pop(study_uid, None)
        self._leave_out(strange)
        return studies

    async def _looked_for(
        self, deleted: Iterable[InstanceRef]
    ) -> tuple[list[InstanceRef], list[InstanceRef]]:
        """Of what was deleted, what is gone, and what came again since: that may be another.

        The feed may be far behind, and does not tell what came again from our own uploads.
        """
        series: dict[tuple[str, str], list[InstanceRef]] = {}
        for ref in deleted:
            series.setdefault((ref.study_uid, ref.series_uid), []).append(ref)
        gone: list[InstanceRef] = []
        again: list[InstanceRef] = []
        for (study_uid, series_uid), refs in series.items():
            self._link.line.check("down")
            try:
                rows = await self._archive.search_instances(study_uid, series_uid)
            except CloudRefused as error:
                self._leave_out([error])
                continue
            listed = {uid_of(row, "00080018") for row in rows}
            for ref in refs:
                (again if ref.sop_uid in listed else gone).append(ref)
        return gone, again

    async def _documents(
        self, refs: Sequence[InstanceRef], known: Mapping[str, Known]
    ) -> list[Replaced]:
        """What was replaced, with the metadata of today where that of yesterday is kept."""
        stale = {
            (ref.study_uid, ref.series_uid)
            for ref in refs
            if (here := known[ref.sop_uid]).availability is Availability.NEARLINE
            and here.has_document
        }
        documents: dict[str, dict[str, Any]] = {}
        for series in sorted(stale):
            self._link.line.check("down")
            try:
                datasets = await self._archive.retrieve_metadata(*series)
            except (CloudRefused, InstanceNotFound):
                continue  # It is asked for when somebody needs it.
            documents |= dict(filter(None, map(localised, datasets)))
        return [Replaced(ref, documents.get(ref.sop_uid)) for ref in refs]

    def _leave_out(self, strange: Sequence[Exception]) -> None:
        if strange:
            self.owes_a_sweep = True
            self._learning.report(strange)


def _by_instance(changes: Iterable[Change]) -> dict[str, Change]:
    """One change of each instance: its last, and REPLACED if any of them was."""
    meant: dict[str, Change] = {}
    for change in changes:
        before = meant.get(change.ref.sop_uid)
        if (
            before is not None
            and before.action is Action.REPLACED
            and change.action is Action.STORED
        ):
            continue
        meant[change.ref.sop_uid] = change
    return meant


def _is_replaced(change: Change, here: Known) -> bool:
    """Whether an archive has an instance otherwise than it was known to."""
    if change.action is Action.REPLACED:
        return True
    # A feed which does not tell whether it had the instance before.
    vouched = here.is_verified or here.availability is Availability.NEARLINE
    return change.at is not None and vouched and change.at > here.seen + _BLUR
