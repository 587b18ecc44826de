"""Rejection notes to send: Key Object Selections as IHE RAD-66 has them, made by pydicom."""

from __future__ import annotations

import io
from collections.abc import Sequence as Many

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence

from edge.dicom.instance import InstanceRef
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, KEY_OBJECT_SELECTION
from tests.samples import Slice, sample_uid


def note(
    refs: Many[InstanceRef], title: str = "113001", *, scheme: str = "DCM", seed: int = 0
) -> Slice:
    """A note about instances of one series; another *seed* is another note."""
    study_uid, series_uid = refs[0].study_uid, refs[0].series_uid
    ref = InstanceRef(study_uid, sample_uid(seed, "notes"), sample_uid(seed, "note", title))
    dataset = Dataset()
    dataset.SOPClassUID = KEY_OBJECT_SELECTION
    dataset.SOPInstanceUID = ref.sop_uid
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = ref.series_uid
    dataset.PatientName, dataset.PatientID = "Test^Note", "N1"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "KO", 99, 1
    dataset.ContentDate, dataset.ContentTime = "20260101", "120000"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = title, scheme
    code.CodingSchemeVersion, code.CodeMeaning = "01", "Rejected"
    dataset.ConceptNameCodeSequence = Sequence([code])
    dataset.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(refs, series_uid)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = KEY_OBJECT_SELECTION
    meta.MediaStorageSOPInstanceUID = ref.sop_uid
    meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    dataset.file_meta = meta
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return Slice(ref, KEY_OBJECT_SELECTION, EXPLICIT_VR_LITTLE_ENDIAN, file.getvalue())


def _evidence(refs: Many[InstanceRef], series_uid: str) -> Dataset:
    study, series = Dataset(), Dataset()
    series.ReferencedSOPSequence = Sequence()
    for each in refs:
        item = Dataset()
        item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        item.ReferencedSOPInstanceUID = each.sop_uid
        series.ReferencedSOPSequence.append(item)
    series.SeriesInstanceUID = series_uid
    study.ReferencedSeriesSequence = Sequence([series])
    study.StudyInstanceUID = refs[0].study_uid
    return study
