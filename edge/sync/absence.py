"""Finds out what became of studies that the archive does not list any more, and acts on it.

Absence is not a delete: it may be an outage, another database, or a right that is missing. So two
complete sweeps come first, then a direct look, and in that moment the archive must find another
study. What is gone as a whole, study or series, was deleted there on purpose; a single instance of
a series that is still there was lost, and is owed again. Promises that what would be too much at a
time is left to a person, all of it; and that a look which was cut short leads to nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge import config
from edge.cache.absences import Absence, Absences, State
from edge.cache.changes import Changes
from edge.cloud.archive import Archive
from edge.errors import CloudError, CloudRefused, LineClosed, StorageFull
from edge.sync.examination import Finding, examine, is_listed
from edge.sync.link import Link

__all__ = ["AbsenceWatch"]

log = logging.getLogger(__name__)

_BELIEVED = 3600.0
"""Seconds that a direct look is believed, if the line closes before all were taken."""
_AGAIN = 300.0
"""Seconds before it goes on after the archive refused an answer, or the disk was full."""


@dataclass(frozen=True, slots=True)
class _Seen:
    finding: Finding
    at: float


class AbsenceWatch:
    """Watches the primary archive.

    Args:
        absences: Knows what is not listed, and keeps what is found out.
        archive: Is asked.
        link: Is waited for, and told of failures.
        changes: Wakes it when a sweep is complete, and when a person decided.
        settings: What is done about what was deleted there.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        absences: Absences,
        archive: Archive,
        link: Link,
        changes: Changes,
        settings: config.Sync,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._absences = absences
        self._archive = archive
        self._link = link
        self._changes = changes
        self._mode = settings.absent
        self._clock = clock
        # In memory only: after a restart each is looked for once more.
        self._gone: dict[int, _Seen] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        with self._changes.subscribe() as woken:
            while True:
                await self._link.wait_open("down")
                pause: float | None = None
                try:
                    await self.step()
                except LineClosed:
                    continue
                except (CloudRefused, StorageFull) as error:
                    log.warning("archive %s: absences wait: %s", self._archive.name, error)
                    pause = _AGAIN
                except CloudError as error:
                    self._link.failed(error)
                    continue
                await woken.wait(pause)

    async def step(self) -> None:
        """Carry out what was decided, and examine the absences of the last sweep, once.

        Raises:
            CloudError: The archive can't be asked.
            LineClosed: Nothing may go over the line now.
            StorageFull: There is no room to write down what goes.
        """
        for state in (State.TRASH, State.AGAIN):
            for absence in await self._absences.decided(state):
                finding = await self._look(absence)
                if finding.absent:
                    await self._act(absence, finding, to_trash=state is State.TRASH)
                else:
                    await self._there(absence)
        sweeps = await self._absences.sweeps(self._archive.name)
        last = sweeps.number - 1
        if last <= sweeps.examined:
            return
        await self._absences.suspect_unlisted(self._archive.name)
        suspected = await self._absences.suspected(last)
        gone = 0
        if suspected:
            held = len(await self._absences.decided(State.HELD)) if self._mode != "ask" else 0
            most = await self._absences.limit() - sweeps.gone - held
            gone = await self._examine(suspected, most)
        self._gone.clear()
        await self._absences.examined(self._archive.name, last, gone)

    async def _examine(self, suspected: Sequence[Absence], most: int) -> int:
        """Look for all of them, then act, if they are not too many; how many went."""
        taken: list[Absence] = []
        for absence in suspected:
            if self._mode != "ask" and len(taken) > most:
                break
            finding = await self._look(absence)
            if finding.is_whole and not absence.is_whole:
                continue  # The sweeps have still to miss it.
            if finding.absent:
                taken.append(absence)
            elif not finding.lost:
                await self._there(absence)
        if not taken:
            return 0
        why = ""
        if self._mode == "ask":
            why = "a person is to decide"
        elif len(taken) > most:
            why = "more than are deleted on purpose in one go"
            taken = list(suspected)  # Those that are there are suspected no more.
        elif not await self._can_be_believed(taken):
            why = "it does not find another study either"
        if why:
            log.error(
                "archive %s does not have studies any more that it had, up to %d: %s;"
                " nothing is done before a person decides (edge sync absent)",
                self._archive.name,
                len(taken),
                why,
            )
            await self._absences.hold([one.study_id for one in taken])
            return 0
        for absence in taken:
            await self._act(
                absence, self._gone[absence.study_id].finding, to_trash=self._mode == "trash"
            )
        return len(taken)

    async def _look(self, absence: Absence) -> Finding:
        """Look for a study; what it lost is owed again at once."""
        now = self._clock()
        seen = self._gone.get(absence.study_id)
        if seen is not None and 0 <= now - seen.at < _BELIEVED:
            return seen.finding
        instances = await self._absences.vouched(absence.study_id)
        finding = await examine(self._archive, self._link, absence.study_uid, instances)
        if finding.absent:
            self._gone[absence.study_id] = _Seen(finding, now)
        elif finding.lost:
            await give_again(self._absences, self._archive.name, absence.study_id, finding)
        return finding

    async def _there(self, absence: Absence) -> None:
        """It is there, or can't be said to be gone: as good as listed now."""
        await self._absences.clear([absence.study_id])
        await self._absences.sighted(self._archive.name, [absence.study_uid])

    async def _can_be_believed(self, taken: Sequence[Absence]) -> bool:
        """Whether the archive finds a study that it listed lately, or those that lack a part."""
        if not any(self._gone[one.study_id].finding.is_whole for one in taken):
            return True
        for witness in await self._absences.witnesses(self._archive.name):
            if await is_listed(self._archive, witness):
                return True
        return False

    async def _act(self, absence: Absence, finding: Finding, *, to_trash: bool) -> None:
        name, study_id = self._archive.name, absence.study_id
        if finding.lost:
            await give_again(self._absences, name, study_id, finding)
        if to_trash:
            await self._absences.put_away(name, study_id, finding.absent)
        else:
            done = await self._absences.give_again(name, study_id, finding.absent)
            log.warning(
                "archive %s does not have a study any more: it is given %d instances again;"
                " %d were there alone",
                name,
                done.owed,
                done.gone,
            )
        self._gone.pop(study_id, None)


async def give_again(absences: Absences, archive: str, study_id: int, finding: Finding) -> None:
    """Owe the primary archive what it lost, and say so."""
    done = await absences.give_again(archive, study_id, finding.lost)
    if done.owed or done.gone:
        log.error(
            "archive %s lost instances of a series that it still has: it is given %d again;"
            " %d were there alone, and must be sent again",
            archive,
            done.owed,
            done.gone,
        )
