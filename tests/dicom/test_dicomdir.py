"""DICOMDIR: read back by pydicom's file-set and by DCMTK."""

from __future__ import annotations

import subprocess
from functools import cache
from io import BytesIO

import pydicom
import pytest
from pydicom.fileset import FileSet

from edge.dicom.dicomdir import DirectoryBuilder
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests.dicom.packaged import DATA, FILES, NOT_INSTANCES, name_of, scan_file

INSTANCES = [path for path in FILES if name_of(path) not in NOT_INSTANCES]
UID = "2.25.1"


def listed(instances):
    builder = DirectoryBuilder()
    for number, attributes in enumerate(instances):
        builder.add(("DICOM", f"IM{number:06}"), attributes, EXPLICIT_VR_LITTLE_ENDIAN)
    return builder.to_bytes(UID)


def image(**values):
    keywords = {
        "PatientID": "1",
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.3",
        "SOPInstanceUID": "1.4",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        **values,
    }
    dataset = pydicom.Dataset()
    for keyword, value in keywords.items():
        setattr(dataset, keyword, value)
    return dataset.to_json_dict()


def records_of(directory):
    return pydicom.dcmread(BytesIO(directory)).DirectoryRecordSequence


def test_an_attribute_of_a_wrong_vr_is_none():
    """Devices send them; what a record would make of a sequence is no text."""
    wrong = {
        "00080060": {"vr": "SQ", "Value": [{}]},
        "00100010": {"vr": "US", "Value": [7]},
        "00200013": {"vr": "UN", "InlineBinary": "AAAA"},
    }
    patient, _, series, record = records_of(listed([{**image(), **wrong}]))
    assert patient.PatientID == "1"
    assert series.Modality == "OT"
    assert record.InstanceNumber == 1


@pytest.fixture(scope="module")
def packaged_directory():
    return listed(scan_file(path).attributes for path in INSTANCES)


def test_every_packaged_file_is_listed_with_its_uids_and_its_file(packaged_directory, tmp_path):
    (tmp_path / "DICOM").mkdir()
    for number, path in enumerate(INSTANCES):
        (tmp_path / "DICOM" / f"IM{number:06}").write_bytes(path.read_bytes())
    (tmp_path / "DICOMDIR").write_bytes(packaged_directory)
    file_set = FileSet(tmp_path / "DICOMDIR")
    found = {instance.SOPInstanceUID: instance.path for instance in file_set}
    expected = {scan_file(path).attributes["00080018"]["Value"][0] for path in INSTANCES}
    assert found.keys() == expected
    for sop_uid, path in found.items():
        assert pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID == sop_uid


def test_dcmtk_reads_it_without_complaint(packaged_directory, tmp_path):
    path = tmp_path / "DICOMDIR"
    path.write_bytes(packaged_directory)
    dumped = subprocess.run(
        ["dcmdump", "--quote-nonascii", path], capture_output=True, check=True, timeout=60
    )
    assert dumped.stderr == b""
    assert dumped.stdout.count(b"(0004,1430) CS [SERIES]") == len(
        {scan_file(path).attributes["0020000E"]["Value"][0] for path in INSTANCES}
    )


def test_records_refer_to_each_other_by_their_offsets():
    directory = listed(
        [
            image(),
            image(SOPInstanceUID="1.5"),
            image(SOPInstanceUID="1.6", SeriesInstanceUID="1.31"),
            image(SOPInstanceUID="1.7", PatientID="2", StudyInstanceUID="1.21"),
        ]
    )
    whole = pydicom.dcmread(BytesIO(directory))
    at = {record.seq_item_tell: record for record in whole.DirectoryRecordSequence}
    patient = at[whole.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity]
    last = at[whole.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity]
    assert (patient.PatientID, last.PatientID) == ("1", "2")
    assert at[patient.OffsetOfTheNextDirectoryRecord] is last
    assert last.OffsetOfTheNextDirectoryRecord == 0

    def below(record):
        offset = record.OffsetOfReferencedLowerLevelDirectoryEntity
        while offset:
            yield at[offset]
            offset = at[offset].OffsetOfTheNextDirectoryRecord

    [study] = below(patient)
    first, second = below(study)
    assert [it.ReferencedSOPInstanceUIDInFile for it in below(first)] == ["1.4", "1.5"]
    assert [it.ReferencedSOPInstanceUIDInFile for it in below(second)] == ["1.6"]


def test_records_say_what_their_instances_say(packaged_directory):
    at_level = {}
    for record in records_of(packaged_directory):
        at_level[record.DirectoryRecordType] = record
        if "ReferencedSOPInstanceUIDInFile" not in record:
            continue
        (path,) = [path for path in INSTANCES if sop_uid_of(path) == sop_uid_in(record)][:1]
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        for said, keyword in (
            (at_level["PATIENT"], "PatientID"),
            (at_level["STUDY"], "StudyInstanceUID"),
            (at_level["STUDY"], "StudyID"),
            (at_level["SERIES"], "SeriesNumber"),
            (at_level["SERIES"], "SeriesDescription"),
            (record, "InstanceNumber"),
        ):
            if dataset.get(keyword):
                assert said.get(keyword) == dataset.get(keyword), (path.name, keyword)


@cache
def sop_uid_of(path):
    return scan_file(path).attributes["00080018"]["Value"][0]


def sop_uid_in(record):
    return record.ReferencedSOPInstanceUIDInFile


def test_numbers_are_those_of_the_instances_whatever_their_order():
    numbers = (30, 10, 0)
    images = [
        image(SeriesNumber=5, InstanceNumber=number, SOPInstanceUID=f"1.4.{number}")
        for number in numbers
    ]
    _, _, series, *leaves = records_of(listed(images))
    assert series.SeriesNumber == 5
    assert tuple(leaf.InstanceNumber for leaf in leaves) == numbers


def test_what_the_directory_requires_and_an_instance_lacks_is_made_up():
    attributes = image()
    del attributes["00100020"]
    patient, study, series, leaf = records_of(listed([attributes]))
    assert patient.PatientID == "UNKNOWN"
    assert (study.StudyDate, study.StudyID) == ("19000101", "1")
    assert (series.Modality, series.SeriesNumber) == ("OT", 1)
    assert (leaf.DirectoryRecordType, leaf.InstanceNumber) == ("IMAGE", 1)


def test_names_of_any_script_are_kept():
    name = "Yamada^Tarou=山田^太郎"
    [patient, *_] = records_of(listed([image(PatientName=name)]))
    assert patient.PatientName == name


def test_each_kind_of_instance_has_the_record_of_its_kind():
    kinds = {
        "reportsi.dcm": "SR DOCUMENT",
        "rtplan.dcm": "RT PLAN",
        "rtdose.dcm": "RT DOSE",
        "CT_small.dcm": "IMAGE",
        "waveform_ecg.dcm": "WAVEFORM",
    }
    for name, kind in kinds.items():
        scanned = scan_file(DATA / "test_files" / name)
        assert records_of(listed([scanned.attributes]))[-1].DirectoryRecordType == kind


def test_an_empty_medium_has_an_empty_directory():
    assert list(records_of(listed([]))) == []
