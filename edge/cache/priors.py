"""Which studies are wanted here before anybody asks: computed from the index, never kept.

Of interest are the patients of whom something was just made, and those who are expected. Of each,
the rules (``sync.prefetch``) choose priors, the newest that fit; reports come always, also those of
any study that is here. What is pinned is wanted, too.

The same patient is the same Patient ID, and the same issuer where both are known: never a name,
and never an empty ID. What left this box within a day is not wanted again within that day, so that
what is brought and evicted does not go round in circles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import IntEnum

from edge.cache.expected import Expectations
from edge.cache.pins import Pins
from edge.config import Config
from edge.dicom.instance import InstanceRef
from edge.index import priors
from edge.index.database import Database
from edge.index.priors import REPORTS, StudyRow
from edge.rules import ANY, SAME, PriorRule, prior_of

__all__ = ["DAY", "Look", "Occasion", "Patient", "Priors", "Wanted", "Why", "choose"]

DAY = 86400.0
_COMPOUND = {
    "ABDOMENPELVIS": "ABDOMEN PELVIS",
    "CHESTABDOMEN": "CHEST ABDOMEN",
    "CHESTABDPELVIS": "CHEST ABDOMEN PELVIS",
    "HEADNECK": "HEAD NECK",
    "NECKCHEST": "NECK CHEST",
    "NECKCHESTABDOMEN": "NECK CHEST ABDOMEN",
    "NECKCHESTABDPELV": "NECK CHEST ABDOMEN PELVIS",
    "THORAX": "CHEST",
    "BRAIN": "HEAD",
    "SKULL": "HEAD",
}
"""Body parts (PS3.16 L) that are several, or go by two names."""


class Why(IntEnum):
    """What a study is wanted for; the lower goes first."""

    REPORT = 0
    RECEIVED = 1
    """A prior of a study that was just made."""
    PIN = 2
    """A person pinned it."""
    EXPECTED = 3
    """A prior of a patient who will come."""
    RULE = 4
    """A rule of the configuration pins it."""


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom the archive is asked about. Never into a log."""

    patient_id: str
    issuer: str
    later: bool
    """Expected on another day: it can wait for quiet hours."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A study that was made, or will be, and wants its priors."""

    patient: Patient
    modalities: frozenset[str]
    date: date
    study_id: int | None = None
    body_parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A study of which something shall be brought."""

    study_id: int
    why: Why
    later: bool = False
    """In quiet hours only."""
    series_ids: tuple[int, ...] = ()
    """Only these; empty is all of it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the index found."""

    patients: tuple[Patient, ...]
    """Of interest; the archive may know more of them."""
    studies: tuple[str, ...]
    """Pinned by name, and not known here."""
    wanted: tuple[Wanted, ...]
    """In the order in which they should come."""


class Priors:
    """Looks for them.

    Args:
        database: The index.
        config: Has the rules.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
        received_within: Seconds for which a study that was made is of interest.
    """

    def __init__(
        self,
        database: Database,
        config: Config,
        clock: Callable[[], float] = time.time,
        *,
        zone: tzinfo | None = None,
        received_within: float = DAY,
    ) -> None:
        self._database = database
        self._rules = [rule for text in config.sync.prefetch for rule in prior_of(text)]
        self._pins = Pins(database, config.cache.pin, clock, zone)
        self._expectations = Expectations(database, clock, zone=zone)
        self._clock = clock
        self._received_within = received_within

    async def look(self) -> Look:
        """All that is wanted now."""
        occasions = await self._occasions()
        patients = {one.patient: None for one in occasions}
        pinned_studies, pinned_patients = await self._pins.named()
        patients |= {Patient(*named, later=False): None for named in pinned_patients}
        wanted: dict[tuple[int, bool], Wanted] = {}
        of_interest = {one.patient.patient_id for one in occasions}
        for one in [
            *await self._reports(occasions, of_interest),
            *await self._chosen(occasions, of_interest),
            *await self._pinned(),
        ]:
            # Reports of a study that is wanted whole come first all the same.
            key = (one.study_id, one.why is Why.REPORT)
            before = wanted.get(key)
            if before is None or (one.later, one.why) < (before.later, before.why):
                wanted[key] = one
        return Look(
            tuple(sorted(patients, key=lambda one: one.later)),
            tuple(await priors.unknown(self._database, pinned_studies)),
            tuple(sorted(wanted.values(), key=lambda one: (one.later, one.why))),
        )

    async def missing(self, wanted: Wanted, *, max_count: int) -> list[InstanceRef]:
        """What of it is to be brought."""
        return await priors.missing(
            self._database,
            wanted.study_id,
            series_ids=wanted.series_ids,
            left_before=self._left_before(wanted.why),
            max_count=max_count,
        )

    def _left_before(self, why: Why = Why.RECEIVED) -> float:
        """What left later than then stays away; a person's wish holds at once."""
        return self._clock() - (0.0 if why is Why.PIN else DAY)

    async def _occasions(self) -> list[Occasion]:
        today = self._expectations.today
        received = await priors.received(self._database, self._clock() - self._received_within)
        parts = await self._body_parts([one.study_id for one in received])
        made = [
            Occasion(
                Patient(one.patient_id, one.issuer, later=False),
                one.modalities,
                _date(one.date) or today,
                one.study_id,
                parts.get(one.study_id, frozenset()),
            )
            for one in received
            if one.patient_id.strip()
        ]
        coming = [
            Occasion(
                Patient(one.patient_id, one.issuer, later=(_date(one.date) or today) > today),
                frozenset(filter(None, (one.modality,))),
                _date(one.date) or today,
                None,
                frozenset(filter(None, (one.body_part,))),
            )
            for one in await self._expectations.soon()
        ]
        return made + coming

    async def _body_parts(self, study_ids: Iterable[int]) -> dict[int, frozenset[str]]:
        if not any(rule.same_body_part for rule in self._rules):
            return {}
        return await priors.body_parts(self._database, study_ids)

    async def _reports(self, occasions: Sequence[Occasion], ids: set[str]) -> list[Wanted]:
        rows = await priors.reports_elsewhere(self._database, ids, left_before=self._left_before())
        found: dict[int, Wanted] = {}
        for study, series_id in rows:
            about = any(_is_of(one.patient, study) for one in occasions)
            if not about and not study.is_here:
                continue  # of another patient, whose ID somebody else issued
            before = found.get(study.study_id)
            found[study.study_id] = Wanted(
                study.study_id,
                Why.REPORT,
                series_ids=(*(before.series_ids if before else ()), series_id),
            )
        return list(found.values())

    async def _chosen(self, occasions: Sequence[Occasion], ids: set[str]) -> list[Wanted]:
        if not self._rules or not occasions:
            return []
        studies = await priors.of_patients(self._database, ids)
        every = [one for found in studies.values() for one in found]
        parts = await self._body_parts([one.study_id for one in every])
        chosen: dict[int, Wanted] = {}
        for occasion in occasions:
            candidates = studies.get(occasion.patient.patient_id, [])
            why = Why.RECEIVED if occasion.study_id is not None else Why.EXPECTED
            for one in choose(self._rules, occasion, candidates, parts):
                wanted = Wanted(one.study_id, why, occasion.patient.later)
                before = chosen.setdefault(one.study_id, wanted)
                if (wanted.later, wanted.why) < (before.later, before.why):
                    chosen[one.study_id] = wanted
        some = await priors.incomplete(
            self._database,
            [one.study_id for one in every if one.study_id in chosen and not one.is_whole],
            left_before=self._left_before(),
        )
        return [one for study_id, one in chosen.items() if study_id in some]

    async def _pinned(self) -> list[Wanted]:
        found: list[Wanted] = []
        if not await self._pins.exist():
            return found
        rows = await priors.pinned_elsewhere(self._database, self._pins.pinned)
        for why in (Why.PIN, Why.RULE):
            studies = [one.study_id for one, by_people in rows if by_people is (why is Why.PIN)]
            some = await priors.incomplete(
                self._database, studies, left_before=self._left_before(why)
            )
            found += [Wanted(one, why, later=why is Why.RULE) for one in studies if one in some]
        return found


def choose(
    rules: Sequence[PriorRule],
    occasion: Occasion,
    studies: Sequence[StudyRow],
    body_parts: dict[int, frozenset[str]],
) -> list[StudyRow]:
    """The priors that an occasion wants, whether they are here or not.

    Args:
        rules: All of them.
        occasion: What was made, or will be.
        studies: Of the patient ID, the newest first.
        body_parts: Of the studies, where they are known.
    """
    made = occasion.modalities - set(REPORTS) or occasion.modalities or {""}
    fitting = [
        one
        for one in studies
        if one.study_id != occasion.study_id
        and _is_of(occasion.patient, one)
        and not (one.modalities and one.modalities <= set(REPORTS))
    ]
    chosen: dict[int, StudyRow] = {}
    for modality in sorted(made):
        own = [rule for rule in rules if rule.modality == modality]
        for rule in own or [rule for rule in rules if rule.modality == ANY]:
            found = [one for one in fitting if _fits(rule, occasion, one, body_parts)]
            chosen |= {one.study_id: one for one in found[: rule.count]}
    return list(chosen.values())


def _fits(
    rule: PriorRule,
    occasion: Occasion,
    study: StudyRow,
    body_parts: dict[int, frozenset[str]],
) -> bool:
    day = _date(study.date)
    if day and rule.max_age_days and (occasion.date - day).days > rule.max_age_days:
        return False
    wanted = occasion.modalities if SAME in rule.modalities else rule.modalities
    if wanted and study.modalities and not wanted & study.modalities:
        return False
    if not rule.same_body_part:
        return True
    ours, theirs = _parts(occasion.body_parts), _parts(body_parts.get(study.study_id, ()))
    return not ours or not theirs or bool(ours & theirs)


def _parts(names: Iterable[str]) -> set[str]:
    plain = ["".join(filter(str.isalnum, name.upper())) for name in names]
    return {part for name in plain for part in _COMPOUND.get(name, name).split()}


def _is_of(patient: Patient, study: StudyRow) -> bool:
    """Whether a study is of this patient."""
    if patient.patient_id != study.patient_id or not patient.patient_id.strip():
        return False
    return not patient.issuer or not study.issuer or patient.issuer == study.issuer


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - of the clock on the wall
    except ValueError:
        return None
