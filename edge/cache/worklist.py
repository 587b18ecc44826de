"""The worklist: what sources say is scheduled, kept for the modalities while no source answers.

Owns what is served, and how old it is. Promises that a source which fails never empties its items,
that one which answers replaces all that it brought before in one transaction, and that of two with
the same step the first configured one counts. A source that answers vouches for its steps, whatever
their day; of one that does not, and of what people and programs added, steps are served until their
day is over, and for ``keep_days`` more. A step that a modality has begun (MPPS) is left out unless
that is asked for. Whoever is scheduled is expected, too: his priors come before him.

Crash story: a renewal is one transaction; who never learns of its end does it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from edge import config
from edge.cache.changes import Changes
from edge.cache.listing import Page
from edge.cache.steadiness import Steadiness
from edge.cache.steps import Scheduled, attributes_of, shown, step_of
from edge.dicom.matching import answer_of
from edge.dicom.procedure import StepState
from edge.dicom.scheduled import Step
from edge.dicom.worklist_query import Fit, Obstacle, WorklistQuery
from edge.index import expected
from edge.index import worklist as index
from edge.index.database import Connection, Database
from edge.index.expected import Expected
from edge.index.worklist import SourceState, StepRow

__all__ = [
    "API",
    "MOST_STEPS",
    "Fit",
    "Found",
    "Obstacle",
    "Scheduled",
    "SourceState",
    "StepState",
    "Worklist",
]

log = logging.getLogger(__name__)

API = "api"
"""The source that people and programs add to; the last of all."""
MOST_STEPS = 20_000
"""Of one source."""
_MOST_PROBLEMS = 20
"""That are named."""
_LAST_RANK = 1_000_000
_MISSED = 3
"""Intervals in which a source that is well was renewed."""
_SLACK = 60.0
"""Seconds beyond those."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found."""

    answers: list[dict[str, Any]]
    """By day and time, each with what was asked for (PS3.4 K.4.1.2)."""
    fits: list[Fit]
    """How each meets what was asked."""
    listed: int = 0
    """How many steps there are to be chosen from."""
    ignored: tuple[str, ...] = ()
    """Keywords of keys that chose nothing, for no worklist has them."""
    obstacles: tuple[Obstacle, ...] = ()
    """Why nothing was found, though there are steps."""


class Worklist:
    """All of it.

    Args:
        database: The index.
        settings: The sources, and how long what they brought is served.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
        changes: Woken when there are others to expect; None if nobody waits.
        may_forget: Whether the clock can be believed that says what is over.
    """

    def __init__(
        self,
        database: Database,
        settings: config.Worklist,
        clock: Callable[[], float] = time.time,
        *,
        zone: tzinfo | None = None,
        changes: Changes | None = None,
        may_forget: Callable[[], bool] | None = None,
    ) -> None:
        self._database = database
        self._may_forget = may_forget or Steadiness(clock).holds
        self._keep_days = settings.keep_days
        self._intervals = {one.name: one.interval_seconds for one in settings.source}
        self._clock = clock
        self._zone = zone
        self._changes = changes
        self._told: dict[str, str] = {}
        """What the log said last of sources that fail."""
        self._problems: dict[str, int] = {}
        """Of how much it said that it is not right."""

    @property
    def today(self) -> date:
        """By the clock on the wall."""
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return moment.astimezone(self._zone).date()

    @property
    def _since(self) -> str:
        """The first day of which steps are served that no source vouches for."""
        return f"{self.today - timedelta(days=self._keep_days):%Y%m%d}"

    async def begin(self) -> None:
        """Take up the sources that are configured; what others brought is forgotten."""
        ranks = {name: rank for rank, name in enumerate(self._intervals)} | {API: _LAST_RANK}
        announced = [_announcer(name) for name in ranks]

        def write(db: Connection) -> None:
            index.set_sources(db, ranks)
            expected.forget_others(db, _announcer(""), announced)

        await self._database.write(write)

    async def renew(self, source: str, steps: Sequence[Step], problems: Sequence[str] = ()) -> int:
        """A source answered: this is all that it has; how many steps that changes.

        Args:
            source: Its name.
            steps: Beyond ``MOST_STEPS`` they are not kept, and that is a problem.
            problems: What of it could not be taken, or is flawed, in plain words.
        """
        problems = list(problems)
        if len(steps) > MOST_STEPS:
            problems.append(f"it has more than {MOST_STEPS} steps: {len(steps)}")
        now = self._clock()
        rows, patients = await self._read(source, steps[:MOST_STEPS])
        due = now + _MISSED * self._intervals[source] + _SLACK
        since, is_over = self._since, self._may_forget()

        def write(db: Connection) -> tuple[int, int]:
            changed = index.renew(db, source, rows, whole=True)
            index.note_success(db, source, now=now, due=due, problems=_few(problems))
            if is_over:
                index.forget_before(db, since, now)
            return changed, expected.replace(db, _announcer(source), patients, now)

        changed, others = await self._database.write(write)
        if self._told.pop(source, None) is not None:
            log.info("worklist source %s answers again", source)
        if len(problems) != self._problems.get(source, 0):
            self._problems[source] = len(problems)
            # What it is may be named for a patient.
            said = "%d of what worklist source %s has is not right; edge status says what"
            log.warning(said, len(problems), source)
        self._wake(others)
        return changed

    async def failed(self, source: str, error: str) -> None:
        """A source could not be asked; what it brought stays.

        Args:
            source: Its name.
            error: Why, in plain words and without patient data.
        """
        now = self._clock()
        await self._database.write(lambda db: index.note_failure(db, source, error, now))
        state = next((one for one in await self.sources() if one.name == source), None)
        is_stale = state is None or now >= (state.due or 0)
        said = f"{error}{' (stale)' if is_stale else ''}"
        if self._told.get(source) == said:
            return
        self._told[source] = said
        log.warning(
            "worklist source %s can't be renewed: %s; %s",
            source,
            error,
            self._age(state, is_stale=is_stale),
        )

    def _age(self, state: SourceState | None, *, is_stale: bool) -> str:
        if state is None or state.succeeded is None:
            return "nothing came from it yet"
        at = datetime.fromtimestamp(state.succeeded, UTC).astimezone(self._zone)
        old = "stale: " if is_stale else ""
        what = "1 step is" if state.steps == 1 else f"{state.steps} steps are"
        return f"{old}{what} served as of {at:%Y-%m-%d %H:%M}"

    async def add(self, steps: Sequence[Step]) -> int:
        """Steps that a person or a program adds; one that is known is replaced; how many are new.

        They are served until their day is over, and for ``keep_days`` more.
        """
        now = self._clock()
        since, is_over = self._since, self._may_forget()
        rows, patients = await self._read(API, steps)

        def write(db: Connection) -> tuple[int, int]:
            index.add_source(db, API, _LAST_RANK)
            if is_over:
                index.forget_before(db, since, now)
            changed = index.renew(db, API, rows, whole=False)
            return changed, expected.announce(db, patients, now)

        changed, others = await self._database.write(write)
        self._wake(others)
        return changed

    async def remove(self, study_uid: str, step_id: str = "") -> int:
        """Take back what was added: one step of a study, or all of them; how many."""
        now = self._clock()

        def write(db: Connection) -> tuple[int, int]:
            removed = index.remove(db, API, study_uid=study_uid, step_id=step_id)
            left = [step_of(row) for row in index.steps_of_source(db, API)]
            return removed, expected.replace(db, _announcer(API), self._patients(API, left), now)

        removed, others = await self._database.write(write)
        self._wake(others)
        return removed

    async def set_step_state(
        self, study_uid: str, step_id: str, state: StepState | str, *, accession_number: str = ""
    ) -> int:
        """A modality began or ended a step (MPPS); how many steps that are known it is about.

        Args:
            study_uid: Of the study. Empty: it is found by *accession_number*.
            step_id: Scheduled Procedure Step ID; empty: all steps of the study.
            state: Performed Procedure Step Status.
            accession_number: Of the request.

        Raises:
            ValueError: There is no such state.
        """
        now, said = self._clock(), StepState(state)
        if not study_uid and not accession_number:
            return 0
        return await self._database.write(
            lambda db: index.set_state(
                db,
                said,
                now,
                study_uid=str(study_uid),
                step_id=step_id,
                accession_number=accession_number,
            )
        )

    async def find(self, identifier: Mapping[str, Any]) -> Found:
        """What matches of what is to be done, and why nothing does.

        Raises:
            QueryError: The identifier can't be understood.
        """
        query = WorklistQuery(identifier)
        first, last = query.days

        def match(rows: Sequence[StepRow]) -> Found:
            listed = [attributes_of(row) for row in rows if not row.state or query.asks_for_status]
            fits = [(one, fit) for one in listed if (fit := query.fit(one))]
            return Found(
                [answer_of(identifier, one) for one, _ in fits],
                [fit for _, fit in fits],
                len(listed),
                query.ignored,
                tuple(query.obstacles(listed)) if listed and not fits else (),
            )

        rows = await self._served(first=first, last=last)
        found = await self._database.compute(lambda: match(rows))
        if found.answers or not (first or last):
            return found
        # The day may be what leaves nothing: that shows by the others.
        every = await self._served(first="", last="")
        return await self._database.compute(lambda: match(every))

    async def page(self, *, limit: int, offset: int, day: str = "") -> Page[Scheduled]:
        """What is served, begun or not, by day and time; YYYYMMDD: of that day only."""
        rows = await self._served(first=day, last=day)
        chosen = rows[offset : offset + limit]
        return Page(len(rows), await self._database.compute(lambda: list(map(shown, chosen))))

    async def sources(self) -> list[SourceState]:
        """How they are, the first configured one first."""
        return await index.source_states(self._database, now=self._clock(), since=self._since)

    async def _served(self, *, first: str, last: str) -> list[StepRow]:
        return await index.served(
            self._database, now=self._clock(), since=self._since, first=first, last=last
        )

    async def _read(
        self, source: str, steps: Sequence[Step]
    ) -> tuple[list[StepRow], list[Expected]]:
        """The rows of steps, and who is to be expected for them."""
        return await self._database.compute(
            lambda: (self._rows(steps), self._patients(source, steps))
        )

    def _rows(self, steps: Sequence[Step]) -> list[StepRow]:
        today = f"{self.today:%Y%m%d}"
        return [
            StepRow(
                step.key,
                step.study_uid,
                step.step_id,
                step.accession_number,
                step.day or today,
                step.time,
                msgspec.json.encode(step.attributes),
            )
            for step in steps
        ]

    def _patients(self, source: str, steps: Sequence[Step]) -> list[Expected]:
        """Who of them will come, as far as his Patient ID is known."""
        today = f"{self.today:%Y%m%d}"
        return [
            Expected(
                patient_id=patient_id,
                date=step.day or today,
                issuer=step.of_patient("00100021")[:64],
                modality=step.of_step("00080060")[:16],
                body_part=step.of_step("00180015")[:16],
                source=_announcer(source),
            )
            for step in steps
            if (patient_id := step.of_patient("00100020")[:64]) and (step.day or today) >= today
        ]

    def _wake(self, count: int) -> None:
        if count and self._changes is not None:
            self._changes.wake()


def _announcer(source: str) -> str:
    """Under what name the patients of a source are expected; no token is called so."""
    return f"[worklist] {source}"


def _few(problems: Sequence[str]) -> list[str]:
    named = list(problems[:_MOST_PROBLEMS])
    if rest := len(problems) - len(named):
        named.append(f"and {rest} more")
    return named
