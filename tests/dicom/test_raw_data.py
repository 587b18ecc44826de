"""Bytes of our own as an instance: what an archive makes of it, they come back."""

from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian

from edge.dicom.instance import InstanceRef
from edge.dicom.raw_data import RAW_DATA_STORAGE, Label, bytes_in, to_part10, uid_of_number
from edge.dicom.scanner import InstanceScanner
from edge.dicom.uids import is_uid
from edge.errors import NotDicom

REF = InstanceRef("2.25.1", "2.25.2", "2.25.3")
LABEL = Label("A BACKUP^NO PATIENT", "BACKUP", "Backup", "Edge", "1.0")


def made(content=b"content"):
    return to_part10(REF, 7, 1e9, LABEL, content)


@given(st.binary(max_size=300))
def test_bytes_come_back_also_in_another_encoding(content):
    part10 = made(content)
    assert bytes_in(part10) == content
    instance = pydicom.dcmread(io.BytesIO(part10))
    instance.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    again = io.BytesIO()
    instance.save_as(again, implicit_vr=True, little_endian=True)
    assert bytes_in(again.getvalue()) == content


def test_it_has_what_the_standard_wants_of_raw_data():
    instance = pydicom.dcmread(io.BytesIO(made()))
    assert instance.SOPClassUID == RAW_DATA_STORAGE
    # Type 1 of PS3.3 A.37: these have a value
    for name in ("ContentDate", "ContentTime", "CreatorVersionUID", "Modality"):
        assert instance[name].value
    type_2 = (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber"
        " ReferringPhysicianName StudyID SeriesNumber Manufacturer InstanceNumber"
        " AcquisitionContextSequence"
    )
    assert all(name in instance for name in type_2.split())
    assert instance.InstanceNumber == 7


def test_our_own_door_takes_it():
    scanner = InstanceScanner()
    scanner.feed(made(bytes(3 * 1024**2)))
    assert scanner.finish().ref == REF


def test_other_instances_and_cut_ones_hold_nothing(packaged):
    whole = made(bytes(1000))
    for other in (b"", packaged("CT_small.dcm").read_bytes(), whole[:-200], whole[:100]):
        with pytest.raises(NotDicom):
            bytes_in(other)


@given(st.integers(0, (1 << 128) - 1))
def test_a_number_makes_a_uid(number):
    assert is_uid(uid_of_number(number))
