"""The envelope that the edge writes is read by pydicom, and by everyone who obeys PS3.10."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.filewriter import write_file_meta_info

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID
from edge.dicom.part10 import PREAMBLE, FileMetaReader, file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.errors import NotDicom

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"


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


def read(stream: bytes, piece: int = 4096) -> FileMetaReader:
    reader = FileMetaReader()
    for start in range(0, len(stream), piece):
        if reader.feed(stream[start : start + piece]):
            return reader
    raise AssertionError("the envelope did not end")


DATA_SET = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"


@pytest.mark.parametrize("piece", [1, 7, 140, 4096])
def test_an_envelope_is_read_in_pieces_of_any_size(piece):
    written = file_meta(
        sop_class_uid=CT_IMAGE, sop_uid="1.2.3", transfer_syntax="1.2.840.10008.1.2"
    )
    reader = read(written + DATA_SET, piece)
    assert reader.length == len(written)
    assert DATA_SET.startswith(reader.rest)
    assert (reader.values[2], reader.values[3]) == (CT_IMAGE, "1.2.3")
    assert reader.values[0x10] == "1.2.840.10008.1.2"


def test_a_missing_or_wrong_group_length_does_no_harm():
    written = file_meta(
        sop_class_uid=CT_IMAGE, sop_uid="1.2.3", transfer_syntax="1.2.840.10008.1.2"
    )
    without = written[:132] + written[144:]
    wrong = written[:140] + b"\xff\xff\0\0" + written[144:]
    assert read(without + DATA_SET).length == len(without)
    assert read(wrong + DATA_SET).length == len(wrong)


def test_the_first_of_two_envelopes_counts():
    written = file_meta(
        sop_class_uid=CT_IMAGE, sop_uid="1.2.3", transfer_syntax="1.2.840.10008.1.2"
    )
    other = file_meta(sop_class_uid="1.9", sop_uid="1.9.9", transfer_syntax="1.9.9.9")[132:]
    assert read(written + other + DATA_SET).values[3] == "1.2.3"


@pytest.mark.parametrize(
    "stream",
    [
        b"PK\x03\x04" + bytes(200),
        bytes(128) + b"DICX" + bytes(20),
        PREAMBLE + DATA_SET,
        PREAMBLE + b"\x02\x00\x02\x01OB\x00\x00\xff\xff\xff\x7f" + bytes(100),
        PREAMBLE + b"\x02\x00\x16\x00AE\0\0" * 2**18,
    ],
    ids=["zip", "prefix", "no group 2", "2 GB of private information", "endless group"],
)
def test_rubbish_and_gigantic_envelopes_are_refused(stream):
    with pytest.raises(NotDicom):
        read(stream)
