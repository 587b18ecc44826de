"""Which studies are wanted here before anybody asks: computed from the index, never kept.

Of interest are the patients of whom something was just made, and those who are expected. Of each,
the rules (``sync.prefetch``) choose priors, the newest that fit; reports come always, also those of
any study that is here. What is pinned is wanted, too.

The same patient is the same Patient ID, and the same issuer where both are known: never a name,
and never an empty ID. What left this box within a day is not wanted again within that day, so that
what is brought and evicted does not go round in circles.

Promises that however much is expected, the event loop is not held up: what is computed of rows is
computed in a thread, by patient, and of one patient there is a bounded number of everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from enum import IntEnum

from edge.cache.expected import Expectations, Expected
from edge.cache.pins import Pins
from edge.config import Config
from edge.dicom.instance import InstanceRef
from edge.index import priors
from edge.index.database import Database
from edge.index.priors import REPORTS, StudyRow, day_of
from edge.rules import ANY, SAME, PriorRule, prior_of

__all__ = ["DAY", "Look", "Occasion", "Patient", "Priors", "Wanted", "Why", "choose"]

DAY = 86400.0
_MOST_OCCASIONS = 50
"""Of one Patient ID, the newest first: nobody has more, but an ID that many share."""
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


Occasions = Mapping[str, Sequence[Occasion]]
"""By Patient ID."""


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
        pinned_studies, pinned_patients = await self._pins.named()
        found = [
            *await self._reports(occasions),
            *await self._chosen(occasions),
            *await self._pinned(),
        ]
        unknown = await priors.unknown(self._database, pinned_studies)
        return await self._database.compute(_look, occasions, pinned_patients, unknown, found)

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

    async def _occasions(self) -> Occasions:
        today = self._expectations.today
        received = await priors.received(self._database, self._clock() - self._received_within)
        parts = await self._body_parts([one.study_id for one in received])
        coming = await self._expectations.soon()
        return await self._database.compute(_occasions, received, parts, coming, today)

    async def _body_parts(self, study_ids: Iterable[int]) -> dict[int, frozenset[str]]:
        if not any(rule.same_body_part for rule in self._rules):
            return {}
        return await priors.body_parts(self._database, study_ids)

    async def _reports(self, occasions: Occasions) -> list[Wanted]:
        rows = await priors.reports_elsewhere(
            self._database, occasions, left_before=self._left_before()
        )
        return await self._database.compute(_reports, occasions, rows)

    async def _chosen(self, occasions: Occasions) -> list[Wanted]:
        if not self._rules or not occasions:
            return []
        studies = await priors.of_patients(self._database, occasions)
        parts = await self._body_parts(
            [one.study_id for found in studies.values() for one in found]
        )
        chosen, not_whole = await self._database.compute(
            _chosen, self._rules, occasions, studies, parts
        )
        some = await priors.incomplete(self._database, not_whole, left_before=self._left_before())
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


# Computed in a thread -----------------------------------------------------------------------------


def _occasions(
    received: Sequence[StudyRow],
    parts: Mapping[int, frozenset[str]],
    coming: Sequence[Expected],
    today: date,
) -> Occasions:
    """What is an occasion for whom, by Patient ID."""
    found: dict[str, dict[Occasion, None]] = {}
    for one in (*_made(received, parts, today), *_coming(coming, today)):
        if not one.patient.patient_id.strip():
            continue
        of_one = found.setdefault(one.patient.patient_id, {})
        if len(of_one) < _MOST_OCCASIONS:
            of_one[one] = None
    return {patient_id: list(of_one) for patient_id, of_one in found.items()}


def _made(
    received: Sequence[StudyRow], parts: Mapping[int, frozenset[str]], today: date
) -> Iterator[Occasion]:
    for one in received:
        patient = Patient(one.patient_id, one.issuer, later=False)
        known = parts.get(one.study_id, frozenset[str]())
        yield Occasion(patient, one.modalities, one.date or today, one.study_id, known)


def _coming(coming: Sequence[Expected], today: date) -> Iterator[Occasion]:
    for one in coming:
        day = day_of(one.date) or today
        patient = Patient(one.patient_id, one.issuer, later=day > today)
        modalities = frozenset(filter(None, (one.modality,)))
        yield Occasion(patient, modalities, day, None, frozenset(filter(None, (one.body_part,))))


def _reports(occasions: Occasions, rows: Sequence[tuple[StudyRow, int]]) -> list[Wanted]:
    found: dict[int, list[int]] = {}
    for study, series_id in rows:
        about = any(_is_of(one.patient, study) for one in occasions.get(study.patient_id, ()))
        if about or study.is_here:  # else of another patient, whose ID somebody else issued
            found.setdefault(study.study_id, []).append(series_id)
    return [
        Wanted(study_id, Why.REPORT, series_ids=tuple(series)) for study_id, series in found.items()
    ]


def _chosen(
    rules: Sequence[PriorRule],
    occasions: Occasions,
    studies: Mapping[str, Sequence[StudyRow]],
    parts: Mapping[int, frozenset[str]],
) -> tuple[dict[int, Wanted], list[int]]:
    """The priors, and which of them are not whole here."""
    chosen: dict[int, Wanted] = {}
    not_whole: dict[int, None] = {}
    for patient_id, of_one in occasions.items():
        for occasion in of_one:
            why = Why.RECEIVED if occasion.study_id is not None else Why.EXPECTED
            for one in choose(rules, occasion, studies.get(patient_id, ()), parts):
                wanted = Wanted(one.study_id, why, occasion.patient.later)
                before = chosen.setdefault(one.study_id, wanted)
                if (wanted.later, wanted.why) < (before.later, before.why):
                    chosen[one.study_id] = wanted
                if not one.is_whole:
                    not_whole[one.study_id] = None
    return chosen, list(not_whole)


def _look(
    occasions: Occasions,
    pinned_patients: Sequence[tuple[str, str]],
    unknown: Sequence[str],
    found: Sequence[Wanted],
) -> Look:
    patients = {one.patient: None for of_one in occasions.values() for one in of_one}
    patients |= {Patient(*named, later=False): None for named in pinned_patients}
    wanted: dict[tuple[int, bool], Wanted] = {}
    for one in found:
        # Reports of a study that is wanted whole come first all the same.
        key = (one.study_id, one.why is Why.REPORT)
        before = wanted.get(key)
        if before is None or (one.later, one.why) < (before.later, before.why):
            wanted[key] = one
    return Look(
        tuple(sorted(patients, key=lambda one: one.later)),
        tuple(unknown),
        tuple(sorted(wanted.values(), key=lambda one: (one.later, one.why))),
    )


def choose(
    rules: Sequence[PriorRule],
    occasion: Occasion,
    studies: Sequence[StudyRow],
    body_parts: Mapping[int, frozenset[str]],
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
    body_parts: Mapping[int, frozenset[str]],
) -> bool:
    day, most = study.date, rule.max_age_days
    if day and most and (occasion.date - day).days > most:
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
