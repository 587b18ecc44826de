"""Studies of made-up patients: as instances that a device sends, and as an archive lists them."""

from __future__ import annotations

from datetime import date

from pydicom.dataset import Dataset

from edge.dicom.instance import InstanceRef
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests import samples
from tests.samples import Slice, sample_uid

_CLASSES = {
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "KO": "1.2.840.10008.5.1.4.1.1.88.59",
    "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
}


def study_uid(name: str) -> str:
    """Of the study that is called so here."""
    return sample_uid("patients", name)


def made(
    name: str,
    patient: str,
    *,
    modality: str = "CT",
    day: date | None = date(2026, 3, 10),
    issuer: str = "",
    body_part: str = "",
    slices: int = 2,
    series: int = 1,
    size: int = 2048,
) -> list[Slice]:
    """A series of a study, whole Part 10 files."""
    found = []
    for number in range(1, slices + 1):
        ref = InstanceRef(
            study_uid(name),
            sample_uid("patients", name, series),
            sample_uid("patients", name, series, number),
        )
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SOPClassUID = _CLASSES.get(modality, samples.CT_IMAGE_STORAGE)
        dataset.SOPInstanceUID = ref.sop_uid
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = ref.study_uid, ref.series_uid
        dataset.StudyDate = "" if day is None else f"{day:%Y%m%d}"
        dataset.StudyTime = "101112"
        dataset.PatientName, dataset.PatientID = f"Synthetic^{patient}", patient
        dataset.PatientBirthDate = dataset.PatientSex = ""
        if issuer:
            dataset.IssuerOfPatientID = issuer
        dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, series, number
        if body_part:
            dataset.BodyPartExamined = body_part
        dataset.ImageComments = "synthetic"
        dataset.add_new(0x00420011, "OB", bytes([number]) * size)
        data = samples._part10(dataset, EXPLICIT_VR_LITTLE_ENDIAN)
        found.append(Slice(ref, dataset.SOPClassUID, EXPLICIT_VR_LITTLE_ENDIAN, data))
    return found


def listed(
    name: str,
    patient: str,
    *,
    modality: str = "CT",
    day: date | None = date(2026, 3, 10),
    issuer: str = "",
    body_part: str = "",
    report: str = "",
    slices: int = 2,
) -> RemoteStudy:
    """A study as an archive lists it; with *report*, a series of that modality besides."""
    attributes = {
        "0020000D": _element("UI", study_uid(name)),
        "00100020": _element("LO", patient),
        "00080020": _element("DA", "" if day is None else f"{day:%Y%m%d}"),
    }
    if issuer:
        attributes["00100021"] = _element("LO", issuer)
    series = [_series(name, 1, modality, body_part, slices)] if modality else []
    if report:
        series.append(_series(name, 9, report, "", 1))
    return RemoteStudy(study_uid(name), f"fingerprint of {name}", attributes, tuple(series))


def _series(name: str, number: int, modality: str, body_part: str, slices: int) -> RemoteSeries:
    attributes = {"00080060": _element("CS", modality), "00200011": _element("IS", number)}
    if body_part:
        attributes["00180015"] = _element("CS", body_part)
    return RemoteSeries(
        sample_uid("patients", name, number),
        attributes,
        tuple(
            RemoteInstance(
                sample_uid("patients", name, number, each),
                _CLASSES.get(modality, samples.CT_IMAGE_STORAGE),
                {"00200013": _element("IS", each)},
            )
            for each in range(1, slices + 1)
        ),
    )


def _element(vr: str, value: object) -> dict[str, object]:
    return {"vr": vr, "Value": [value]} if value != "" else {"vr": vr}
