"""The envelope that the edge writes is read by pydicom, and by everyone who obeys PS3.10."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.filewriter import write_file_meta_info

from edge.dicom.part10 import PREAMBLE, file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLEMENTATION_CLASS_UID

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def test_pydicom_reads_back_what_was_written():
    written = file_meta(
        sop_class_uid=CT_IMAGE,
        sop_uid="1.2.3.4.5",
        transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
        source_ae="CT1",
        receiving_ae="EDGE",
    )
    meta = dcmread(BytesIO(written)).file_meta
    assert meta.MediaStorageSOPClassUID == CT_IMAGE
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4.5"
    assert meta.TransferSyntaxUID == EXPLICIT_VR_LITTLE_ENDIAN
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.SourceApplicationEntityTitle == "CT1"
    assert meta.ReceivingApplicationEntityTitle == "EDGE"


def test_pydicom_would_write_the_same_bytes():
    written = file_meta(
        sop_class_uid=CT_IMAGE, sop_uid="1.2.3", transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN
    )
    again = BytesIO()
    write_file_meta_info(again, dcmread(BytesIO(written)).file_meta, enforce_standard=True)
    assert written == PREAMBLE + again.getvalue()


def test_every_value_has_an_even_length():
    for sop_uid in ("1.2", "1.23"):
        written = file_meta(sop_class_uid="1", sop_uid=sop_uid, transfer_syntax="1.2.840.10008.1.2")
        assert len(written) % 2 == 0


def test_titles_that_are_not_known_are_left_out():
    written = file_meta(sop_class_uid="1.2", sop_uid="1.3", transfer_syntax="1.2.840.10008.1.2")
    meta = dcmread(BytesIO(written)).file_meta
    assert "SourceApplicationEntityTitle" not in meta
    assert "ReceivingApplicationEntityTitle" not in meta


@pytest.mark.parametrize("bad", ["1." * 33, "1.2.3\N{GREEK SMALL LETTER ALPHA}"])
def test_a_value_that_does_not_fit_is_refused(bad: str):
    with pytest.raises(ValueError, match=r"longer|ascii"):
        file_meta(sop_class_uid="1.2", sop_uid=bad, transfer_syntax="1.2.840.10008.1.2")
