import hashlib

import pytest

from edge.dicom.part10 import PREAMBLE, file_meta
from edge.errors import NotDicom
from edge.sync.digest import DatasetDigester

META = file_meta(sop_class_uid="1.2", sop_uid="1.2.3.4", transfer_syntax="1.2.840.10008.1.2.1")
DATASET = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" * 50


def digester_of(data, size):
    digester = DatasetDigester()
    for at in range(0, len(data), size):
        digester.update(data[at : at + size])
    return digester


@pytest.mark.parametrize("size", [1, 7, 133, 1000, 100_000])
def test_the_digest_is_of_the_data_set_alone(size):
    digester = digester_of(META + DATASET, size)
    assert digester.digest() == hashlib.sha256(DATASET).digest()
    assert digester.sop_uid == "1.2.3.4"


def test_another_envelope_makes_no_difference():
    other = bytes(range(128)) + file_meta(
        sop_class_uid="1.2",
        sop_uid="1.2.3.4",
        transfer_syntax="1.2.840.10008.1.2.1",
        source_ae="ARCHIVE",
    ).removeprefix(PREAMBLE[:128])
    assert digester_of(other + DATASET, 50).digest() == digester_of(META + DATASET, 50).digest()


def test_another_byte_makes_a_difference():
    assert digester_of(META + DATASET, 50).digest() != digester_of(META + DATASET[:-1], 50).digest()


def test_what_is_no_dicom_file_is_told():
    with pytest.raises(NotDicom):
        digester_of(b"<html>" * 100, 50)


def test_an_empty_stream_is_the_digest_of_nothing_and_of_nobody():
    assert DatasetDigester().sop_uid == ""
