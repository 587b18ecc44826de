"""Looks into studies that the archive lists, and learns them into NEARLINE rows.

A study whose answer is as it was (its fingerprint) is not looked into. Promises that a study which
can't be understood is left out and stops no other.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from edge.cache.absences import Absences
from edge.cache.custody import CustodyLedger
from edge.cloud.archive import Archive, Dataset
from edge.cloud.listing import Answer, by_study, count_of, describe_study, fingerprint
from edge.dicom.remote import NONSENSE, RemoteStudy
from edge.errors import CloudRefused
from edge.sync.link import Link

__all__ = ["Learning"]

log = logging.getLogger(__name__)


class Learning:
    """Learns studies.

    Args:
        ledger: Keeps what was learned.
        archive: Is asked.
        link: Its line says when to stop.
        unlisted: Studies that are no patient's, and are not learned: backups of this box.
        absences: Are told what is listed, and without what; None: of an archive that is missed
            nothing in.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        *,
        unlisted: Callable[[], Awaitable[frozenset[str]]] | None = None,
        absences: Absences | None = None,
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._link = link
        self._unlisted = unlisted
        self._absences = absences

    async def learn(self, studies: Sequence[Dataset]) -> None:
        """Look into each study that is new, or not as it was."""
        found = by_study(studies)
        for study_uid in await self.unlisted():
            found.pop(study_uid, None)
        known = await self._ledger.fingerprints(list(found))
        strange: list[Exception] = []
        for study_uid, answer in found.items():
            now = fingerprint(answer.study, answer.contradicted)
            if now and known.get(study_uid) == now:
                continue
            try:
                remote = await self.look_into(study_uid, answer)
                if remote is not None and remote.series:
                    await self.keep(remote)
            except (CloudRefused, *NONSENSE) as error:
                strange.append(error)
        if self._absences is not None and found:
            await self._absences.sighted(self._archive.name, found)
        self.report(strange)

    async def keep(self, study: RemoteStudy) -> None:
        """Keep what the archive lists of a study, and miss what it had of it and lists no more."""
        # First: once the fingerprint is kept, nobody compares any more.
        if self._absences is not None:
            await self._absences.compare(self._archive.name, study)
        await self._ledger.learn(study)

    async def unlisted(self) -> frozenset[str]:
        """Studies that are not learned."""
        return await self._unlisted() if self._unlisted else frozenset()

    async def look_into(
        self,
        study_uid: str,
        answer: Answer | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> RemoteStudy | None:
        """What the archive lists of a study; see ``describe_study``."""
        self._link.line.check("down")
        remote = await describe_study(self._archive, study_uid, answer, only=only)
        return None if remote is None else _unless_incomplete(remote)

    def report(self, strange: Sequence[Exception]) -> None:
        """Say that studies were left out."""
        if strange:
            # The words of a foreign error may quote a patient.
            last = strange[-1]
            log.warning(
                "archive %s: studies whose listing can't be used: %d (the last: %s)",
                self._archive.name,
                len(strange),
                last if isinstance(last, CloudRefused) else type(last).__name__,
            )


def _unless_incomplete(study: RemoteStudy) -> RemoteStudy:
    """Without its fingerprint, if fewer instances were listed than the archive counts."""
    listed = sum(len(series.instances) for series in study.series)
    return study if listed >= count_of(dict(study.attributes)) else replace(study, fingerprint="")
