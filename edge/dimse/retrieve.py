"""What C-MOVE and C-GET share (PS3.4 C.4.2, C.4.3): from an identifier to instances and an answer.

Owns the information models, the reading of an identifier, and the order of things: instances are
found, sub-operations run while `Progress` keeps the requestor told, the final answer sums up. All
models are hierarchical in the Standard, and relational where that was negotiated (C.5.2.1.1); UIDs
name what they name everywhere, so the keys above the level may be left out here in any case.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.cache.catalogue import Catalogue
from edge.cache.opened import InstanceEntry
from edge.cache.retrieval import Retrieval
from edge.dicom.instance import Level
from edge.dicom.query import Match, Query
from edge.dicom.uids import is_uid
from edge.dimse.messages import Element, Status
from edge.dimse.progress import Cancelled, Progress
from edge.dimse.query_model import wrong_level
from edge.dimse.services import Operation
from edge.errors import CloudError, InstanceDeleted, NotDicom, QueryError

__all__ = [
    "Refused",
    "Selection",
    "Work",
    "agree_on_relations",
    "levels_of",
    "perform",
    "refuse",
]

LOG = logging.getLogger(__name__)

MOST_INSTANCES: Final = 0xFFFF
"""Of one request: its counts are 16 bits (PS3.7 E.1)."""
_ONE_BY_ONE: Final = 8
"""So many instances of a study are looked up each; of more, the study is listed."""

_LEVEL: Final = "00080052"
_PATIENT_ID: Final = "00100020"
_STUDY: Final = "0020000D"
_SERIES: Final = "0020000E"
_INSTANCE: Final = "00080018"
_KEY: Final = {
    Level.PATIENT: _PATIENT_ID,
    Level.STUDY: _STUDY,
    Level.SERIES: _SERIES,
    Level.INSTANCE: _INSTANCE,
}
_MODELS: Final = "1.2.840.10008.5.1.4.1.2."
_LEVELS: Final[Mapping[str, tuple[Level, ...]]] = {
    "1": tuple(Level),
    "2": (Level.STUDY, Level.SERIES, Level.INSTANCE),
    "3": (Level.PATIENT, Level.STUDY),
}
"""Patient Root, Study Root, and the retired Patient/Study Only."""

Work = Callable[[Progress, Sequence[InstanceEntry]], Awaitable[None]]
"""Runs the sub-operations of so many instances."""


class Refused(Exception):
    """A request is answered without any sub-operation.

    Args:
        status: Of the answer.
        comment: Error Comment (0000,0902), without patient data.
        tag: Of the identifier's element that is wrong; empty if none is.
    """

    def __init__(self, status: Status, comment: str, *, tag: str = "") -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment
        self.tag = tag

    def elements(self) -> dict[Element, int | str | bytes]:
        """Offending Element (0000,0901), if there is one."""
        if not self.tag:
            return {}
        number = int(self.tag, 16)
        return {Element.OFFENDING_ELEMENT: struct.pack("<HH", number >> 16, number & 0xFFFF)}


def levels_of(abstract_syntax: str, operation: str) -> tuple[Level, ...]:
    """The levels that a model can be asked at; none if it is not one of *operation*.

    Args:
        abstract_syntax: SOP class.
        operation: The last component of its UIDs (PS3.4 C.6): ``2`` for MOVE, ``3`` for GET.
    """
    model, _, suffix = abstract_syntax.removeprefix(_MODELS).partition(".")
    if not abstract_syntax.startswith(_MODELS) or suffix != operation:
        return ()
    return _LEVELS.get(model, ())


def agree_on_relations(proposed: bytes) -> bytes:
    """The answer to SOP class extended negotiation (PS3.4 C.5.2.1.1): relational retrieval.

    Byte 1 is answered as it was asked; of enhanced multi-frame conversion and whatever else may
    follow, nothing is done.
    """
    return bytes([proposed[:1] == b"\x01"]) if proposed else b""


@dataclass(frozen=True, slots=True)
class _Asked:
    """An identifier, read."""

    level: Level
    patient_id: str
    studies: tuple[str, ...]
    series: tuple[str, ...]
    instances: tuple[str, ...]


class Selection:
    """Finds the instances that an identifier names.

    Args:
        retrieval: Knows the instances of a study, and asks the archive for one that is not known.
        catalogue: Knows the studies of a patient, and what a series belongs to.
    """

    def __init__(self, retrieval: Retrieval, catalogue: Catalogue) -> None:
        self._retrieval = retrieval
        self._catalogue = catalogue

    async def entries(
        self, identifier: Mapping[str, Any], levels: Collection[Level]
    ) -> list[InstanceEntry]:
        """The instances, those that are here first; none if nothing matches.

        Args:
            identifier: DICOM JSON.
            levels: Of the model.

        Raises:
            Refused: The identifier is wrong, too much matches, or it can't be found out now.
        """
        asked = _read(identifier, levels)
        found: dict[str, InstanceEntry] = {}
        try:
            for study_uid in await self._studies(asked):
                for entry in await self._of_study(study_uid, asked):
                    found[entry.ref.sop_uid] = entry
                if len(found) > MOST_INSTANCES:
                    raise Refused(
                        Status.UNABLE_TO_COUNT,
                        f"more than {MOST_INSTANCES} instances match: ask for fewer studies",
                    )
            if asked.patient_id and asked.studies:
                found = await self._of_patient(found, asked.patient_id)
        except QueryError as error:
            raise Refused(Status.DATA_SET_DOES_NOT_MATCH, str(error)) from error
        except CloudError as error:
            raise Refused(
                Status.CANNOT_UNDERSTAND,
                "a study is not known here, and the archive is out of reach",
            ) from error
        # What is here goes while the rest is fetched.
        return sorted(found.values(), key=lambda entry: not entry.object)

    async def _studies(self, asked: _Asked) -> Iterable[str]:
        """The studies in which the instances are to be looked for."""
        if asked.studies:
            return asked.studies
        if asked.level in (Level.PATIENT, Level.STUDY):
            match = Match((_PATIENT_ID,), (asked.patient_id,))
            return await self._search(Level.STUDY, match, asked.patient_id)
        if asked.series:
            return await self._search(Level.SERIES, Match((_SERIES,), asked.series))
        return await self._search(Level.INSTANCE, Match((_INSTANCE,), asked.instances))

    async def _search(self, level: Level, match: Match, patient_id: str = "") -> list[str]:
        """Studies of the answers, each once; of this patient, if one is given, to the letter."""
        found: dict[str, None] = {}
        include = frozenset({_PATIENT_ID, _STUDY})
        async for answer in self._catalogue.search(Query(level, (match,), include=include)):
            if not patient_id or _values(answer, _PATIENT_ID) == (patient_id,):
                found.update(dict.fromkeys(_values(answer, _STUDY)))
        return list(found)

    async def _of_study(self, study_uid: str, asked: _Asked) -> list[InstanceEntry]:
        series: tuple[str | None, ...] = asked.series if len(asked.series) == 1 else (None,)
        instances: tuple[str | None, ...] = (None,)
        if 0 < len(asked.instances) <= _ONE_BY_ONE:
            instances = asked.instances
        found: list[InstanceEntry] = []
        for sop_uid in instances:
            try:
                found += await self._retrieval.instances(study_uid, series[0], sop_uid)
            except InstanceDeleted:
                continue  # nothing is there any more: no match
        return [
            entry
            for entry in found
            if (not asked.series or entry.ref.series_uid in asked.series)
            and (not asked.instances or entry.ref.sop_uid in asked.instances)
        ]

    async def _of_patient(
        self, found: dict[str, InstanceEntry], patient_id: str
    ) -> dict[str, InstanceEntry]:
        """Those of the studies that are this patient's."""
        studies = tuple(dict.fromkeys(entry.ref.study_uid for entry in found.values()))
        if not studies:
            return found
        theirs = set(await self._search(Level.STUDY, Match((_STUDY,), studies), patient_id))
        return {uid: entry for uid, entry in found.items() if entry.ref.study_uid in theirs}


async def perform(
    operation: Operation, selection: Selection, levels: Collection[Level], work: Work
) -> None:
    """Answer a C-MOVE or C-GET from its identifier to its last response.

    Raises:
        PeerError: The requestor is gone, or, where it is who gets the instances, went astray.
    """
    progress = Progress(operation)
    name, caller = operation.command.name, operation.caller

    async def found_and_sent() -> None:
        try:
            identifier = await operation.identifier()
        except NotDicom as error:
            why = "the identifier can't be read"
            raise Refused(Status.CANNOT_UNDERSTAND, why) from error
        entries = await selection.entries(identifier, levels)
        await progress.begin(len(entries))
        await work(progress, entries)

    try:
        await progress.accompany(found_and_sent())
    except Refused as refused:
        await refuse(operation, refused)
        return
    except Cancelled:
        LOG.info("%s: cancelled its %s", caller, name)
    finally:
        if progress.total:
            level = logging.WARNING if progress.failed else logging.INFO
            LOG.log(level, "%s: %s: %s", caller, name, progress.summary())
    await progress.conclude()


async def refuse(operation: Operation, refused: Refused) -> None:
    """Answer without any sub-operation."""
    caller, name = operation.caller, operation.command.name
    LOG.warning("%s: %s was refused: %s", caller, name, refused.comment)
    await operation.respond(refused.status, comment=refused.comment, values=refused.elements())


def _read(identifier: Mapping[str, Any], levels: Collection[Level]) -> _Asked:
    """Read an identifier (PS3.4 C.4.2.1.4).

    Raises:
        Refused: The model does not have its level, or the keys are not those of it.
    """
    mismatch = Status.DATA_SET_DOES_NOT_MATCH
    names = _values(identifier, _LEVEL)
    level = next((level for level in levels if names == (str(level),)), None)
    if level is None:
        raise Refused(mismatch, wrong_level(names, levels), tag=_LEVEL)
    patient_ids = _values(identifier, _PATIENT_ID)
    if len(patient_ids) > 1:
        raise Refused(mismatch, "Patient ID must be a single value", tag=_PATIENT_ID)
    keys: dict[Level, tuple[str, ...]] = {Level.PATIENT: patient_ids}
    # What stands below the level is no key of it; some send it empty.
    for each in list(Level)[1 : list(Level).index(level) + 1]:
        keys[each] = _values(identifier, _KEY[each])
        if not all(map(is_uid, keys[each])):
            raise Refused(mismatch, f"the unique key of {each} must be UIDs", tag=_KEY[each])
    if not keys[level]:
        raise Refused(mismatch, f"the unique key of {level} is missing", tag=_KEY[level])
    return _Asked(
        level,
        patient_ids[0] if patient_ids else "",
        keys.get(Level.STUDY, ()),
        keys.get(Level.SERIES, ()),
        keys.get(Level.INSTANCE, ()),
    )


def _values(attributes: Mapping[str, Any], tag: str) -> tuple[str, ...]:
    """The values of an element that are not empty, each once."""
    values = attributes.get(tag, {}).get("Value", ())
    texts = (str(value).strip(" \0") for value in values if value is not None)
    return tuple(dict.fromkeys(filter(None, texts)))
