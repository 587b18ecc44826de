import hashlib

import pytest

from edge.dicom.digest import Digester
from edge.dicom.part10 import PREAMBLE, file_meta
from edge.errors import NotDicom

META = file_meta(sop_class_uid="1.2", sop_uid="1.2.3.4", transfer_syntax="1.2.840.10008.1.2.1")
DATASET = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" * 50


def digester_of(data, size):
    digester = Digester()
    for at in range(0, len(data), size):
        digester.update(data[at : at + size])
    return digester


@pytest.mark.parametrize("size", [1, 7, 133, 1000, 100_000])
def test_envelope_and_data_set_have_a_digest_each(size):
    digester = digester_of(META + DATASET, size)
    assert digester.digests() == (hashlib.sha256(META).digest(), hashlib.sha256(DATASET).digest())
    assert digester.sop_uid == "1.2.3.4"


def test_another_envelope_makes_no_difference_to_the_data_set():
    other = bytes(range(128)) + file_meta(
        sop_class_uid="1.2",
        sop_uid="1.2.3.4",
        transfer_syntax="1.2.840.10008.1.2.1",
        source_ae="ARCHIVE",
    ).removeprefix(PREAMBLE[:128])
    ours, theirs = (digester_of(meta + DATASET, 50).digests() for meta in (META, other))
    assert ours[0] != theirs[0]
    assert ours[1] == theirs[1]


def test_another_byte_makes_a_difference():
    whole, cut = (digester_of(META + part, 50).digests() for part in (DATASET, DATASET[:-1]))
    assert whole[1] != cut[1]


def test_what_is_no_dicom_file_is_told():
    with pytest.raises(NotDicom):
        digester_of(b"<html>" * 100, 50)


def test_an_empty_stream_names_nobody():
    assert Digester().sop_uid == ""
