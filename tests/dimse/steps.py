"""Performed procedure steps as devices send them, and peers that hear of them (pynetdicom)."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode

from edge.dicom.availability import AVAILABILITY_NOTIFICATION
from edge.dicom.identifier import read_identifier
from edge.dicom.procedure import MPPS, MPPS_RETRIEVE
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

CT = "1.2.840.10008.5.1.4.1.1.2"


def beginning(study_uid="1.2.3", **values):
    """What a device says when it begins (PS3.4 Table F.7.2-1); None leaves an attribute away."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study_uid
    scheduled.ReferencedStudySequence = Sequence()
    scheduled.AccessionNumber = "A1"
    scheduled.RequestedProcedureID = "R1"
    scheduled.RequestedProcedureDescription = "Thorax"
    scheduled.ScheduledProcedureStepID = "S1"
    scheduled.ScheduledProcedureStepDescription = "Thorax"
    scheduled.ScheduledProtocolCodeSequence = Sequence()
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PatientName = "DOE^JANE"
    step.PatientID = "4711"
    step.PatientBirthDate = "19700101"
    step.PatientSex = "F"
    step.ReferencedPatientSequence = Sequence()
    step.PerformedProcedureStepID = "P1"
    step.PerformedStationAETitle = "CT1"
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    step.PerformedProcedureStepStartDate = "20240102"
    step.PerformedProcedureStepStartTime = "120000"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepDescription = "Thorax"
    step.PerformedProcedureTypeDescription = ""
    step.ProcedureCodeSequence = Sequence()
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.Modality = "CT"
    step.StudyID = "1"
    step.PerformedProtocolCodeSequence = Sequence()
    step.PerformedSeriesSequence = Sequence()
    return _with(step, values)


def ending(refs=(), state="COMPLETED", **values):
    """What it says in the end; *refs* are the instances that it made."""
    step = Dataset()
    step.PerformedProcedureStepStatus = state
    step.PerformedProcedureStepEndDate = "20240102"
    step.PerformedProcedureStepEndTime = "121500"
    by_series = {}
    for ref in refs:
        by_series.setdefault(ref.series_uid, []).append(ref.sop_uid)
    step.PerformedSeriesSequence = Sequence(_series(*item) for item in by_series.items())
    return _with(step, values)


def _series(series_uid, sop_uids):
    series = Dataset()
    series.PerformingPhysicianName = ""
    series.ProtocolName = "Thorax"
    series.OperatorsName = ""
    series.SeriesInstanceUID = series_uid
    series.SeriesDescription = ""
    series.RetrieveAETitle = ""
    series.ReferencedImageSequence = Sequence()
    for sop_uid in sop_uids:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CT, sop_uid
        series.ReferencedImageSequence.append(image)
    series.ReferencedNonImageCompositeSOPInstanceSequence = Sequence()
    return series


def _with(data_set, values):
    for name, value in values.items():
        if value is None:
            delattr(data_set, name)
        else:
            setattr(data_set, name, value)
    return data_set


def json_of(data_set):
    """The same as DICOM JSON, as our own reader gives it."""
    return read_identifier(encode(data_set, False, True), EXPLICIT_VR_LITTLE_ENDIAN)


class Device:
    """Asks for an association, and says what it is told. Blocks: it has threads of its own."""

    def __init__(self, port, ae_title="CT1", called="EDGE"):
        ae = AE(ae_title)
        for uid in (MPPS, MPPS_RETRIEVE):
            ae.add_requested_context(uid)
        self.association = ae.associate("127.0.0.1", port, ae_title=called)
        assert self.association.is_established

    def create(self, step, sop_uid):
        return self.association.send_n_create(step, MPPS, sop_uid)

    def set(self, step, sop_uid):
        return self.association.send_n_set(step, MPPS, sop_uid)

    def get(self, sop_uid, tags=()):
        return self.association.send_n_get(list(tags), MPPS_RETRIEVE, sop_uid)

    def release(self):
        self.association.release()


@contextmanager
def device(port, **names):
    one = Device(port, **names)
    try:
        yield one
    finally:
        one.release()


@dataclass
class Listener:
    """What a RIS heard, in its order, and what it answers."""

    port: int = 0
    heard: list[tuple[str, str, Dataset]] = field(default_factory=list)
    """Operation, SOP Instance UID, what it said."""
    answers: dict[str, Dataset | int] = field(default_factory=dict)
    """By SOP Instance UID; else it takes what comes, each instance once."""
    steps: set[str] = field(default_factory=set)
    deaf_to: set[str] = field(default_factory=set)
    """SOP Instance UIDs at which it takes the message, and breaks the line before it answers."""

    def about(self, sop_uid):
        return [
            (operation, str(said.get("PerformedProcedureStepStatus", "")))
            for operation, uid, said in self.heard
            if uid == sop_uid
        ]

    def notifications(self):
        return [said for operation, _, said in self.heard if "ReferencedSeriesSequence" in said]

    def create(self, event):
        uid = str(event.request.AffectedSOPInstanceUID)
        return self._answer(event, "N-CREATE", uid, event.attribute_list)

    def set(self, event):
        uid = str(event.request.RequestedSOPInstanceUID)
        return self._answer(event, "N-SET", uid, event.modification_list)

    def _answer(self, event, operation, uid, said):
        if uid in self.answers:
            return self.answers[uid], None
        if operation == "N-CREATE" and uid in self.steps:
            return 0x0111, None
        if operation == "N-SET" and uid not in self.steps:
            return 0x0112, None
        self.steps.add(uid)
        self.heard.append((operation, uid, said))
        if uid in self.deaf_to:
            self.deaf_to.discard(uid)
            event.assoc.abort()
        return 0x0000, said


@contextmanager
def listening(listener=None, *, port=0, ae_title="RIS"):
    """A RIS on a port of loopback; *listener* goes on with what it knows."""
    listener = listener or Listener()
    ae = AE(ae_title)
    ae.add_supported_context(MPPS)
    ae.add_supported_context(AVAILABILITY_NOTIFICATION)
    handlers = [(evt.EVT_N_CREATE, listener.create), (evt.EVT_N_SET, listener.set)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    listener.port = server.server_address[1]
    try:
        yield listener
    finally:
        server.shutdown()
        for thread in threading.enumerate():
            if getattr(thread, "ae", None) is ae:
                thread.join(5)
