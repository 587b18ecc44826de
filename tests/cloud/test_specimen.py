"""The test instance is legal, says what it is, and never is one that was there before."""

import io

import pydicom
from pydicom.uid import SecondaryCaptureImageStorage

from edge.cloud.specimen import PATIENT_ID, Specimen
from edge.dicom.uids import is_uid


def test_it_is_a_secondary_capture_that_others_can_read():
    specimen = Specimen.fresh()
    dataset = pydicom.dcmread(io.BytesIO(specimen.data))
    assert dataset.file_meta.MediaStorageSOPInstanceUID == specimen.ref.sop_uid
    assert dataset.SOPClassUID == SecondaryCaptureImageStorage
    assert (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID) == (
        specimen.ref.study_uid,
        specimen.ref.series_uid,
        specimen.ref.sop_uid,
    )
    assert len(dataset.PixelData) == dataset.Rows * dataset.Columns
    assert len(specimen.data) == specimen.outgoing().size < 2048


def test_whoever_sees_it_knows_what_it_is():
    dataset = pydicom.dcmread(io.BytesIO(Specimen.fresh().data))
    assert dataset.PatientID == PATIENT_ID
    assert "TEST" in str(dataset.PatientName)
    assert "no patient" in dataset.StudyDescription
    assert "Test" in dataset.SeriesDescription
    assert len(dataset.StudyDescription) <= 64  # PS3.5 6.2, VR LO


def test_each_has_uids_of_its_own():
    refs = [Specimen.fresh().ref for _ in range(50)]
    uids = {uid for ref in refs for uid in (ref.study_uid, ref.series_uid, ref.sop_uid)}
    assert len(uids) == 150
    assert all(uid.startswith("2.25.") and is_uid(uid) for uid in uids)
