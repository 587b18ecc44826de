"""Steps of the worklist as scanners are answered and as people read them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edge.dicom.procedure import StepState
from edge.dicom.scheduled import STEP, Step, day_of
from edge.dicom.scheduled_check import without_unreadable
from edge.dicom.worklist_query import STATUS
from edge.index.worklist import StepRow

__all__ = ["Scheduled", "attributes_of", "shown", "step_of"]

_SHOWN = {
    StepState.IN_PROGRESS: "STARTED",
    StepState.DISCONTINUED: "DISCONTINUED",
    StepState.COMPLETED: "COMPLETED",
}
"""As Scheduled Procedure Step Status says it (PS3.3 C.4.10)."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A step, for people; they name patients, and are never for a log."""

    study_uid: str
    step_id: str
    source: str
    state: str
    """``IN PROGRESS``, ``DISCONTINUED``, ``COMPLETED``; empty if it was not begun."""
    date: str
    """YYYYMMDD; as it came if it can't be read; empty if there is none."""
    time: str
    station_ae_title: str
    modality: str
    patient_name: str
    patient_id: str
    birth_date: str
    sex: str
    accession_number: str
    description: str


def attributes_of(row: StepRow) -> dict[str, Any]:
    """The step as scanners get it, with what a modality made of it."""
    attributes = without_unreadable(msgspec.json.decode(row.attributes))
    (item,) = attributes[STEP]["Value"]
    if row.state or not item.get(STATUS, {}).get("Value"):
        status = _SHOWN[StepState(row.state)] if row.state else "SCHEDULED"
        attributes[STEP]["Value"] = [{**item, STATUS: {"vr": "CS", "Value": [status]}}]
    return attributes


def step_of(row: StepRow) -> Step:
    """A step, read from its row."""
    attributes = msgspec.json.decode(row.attributes)
    return Step(
        row.key,
        row.study_uid,
        row.step_id,
        row.accession_number,
        row.day,
        row.time,
        attributes,
    )


def shown(row: StepRow) -> Scheduled:
    """A step, for people."""
    step = step_of(row)
    date = step.of_step("00400002")
    return Scheduled(
        study_uid=row.study_uid,
        step_id=row.step_id,
        source=row.source,
        state=row.state,
        date=day_of(date) or date,
        time=row.time,
        station_ae_title=step.of_step("00400001"),
        modality=step.of_step("00080060"),
        patient_name=step.of_patient("00100010"),
        patient_id=step.of_patient("00100020"),
        birth_date=step.of_patient("00100030"),
        sex=step.of_patient("00100040"),
        accession_number=row.accession_number,
        description=step.of_step("00400007") or step.of_patient("00321060"),
    )
