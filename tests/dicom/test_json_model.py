"""The JSON model of values: equal to pydicom's, but for what PS3.18 F.2 says otherwise."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.charset import DEFAULT_DECODER
from edge.dicom.json_model import BIG, LITTLE, NotInline
from tests.dicom.packaged import assert_same


def convert(vr: str, value: bytes, forms: Any = LITTLE) -> dict[str, Any]:
    return forms[vr].convert(value, DEFAULT_DECODER)


def test_packaged_files_have_the_model_that_pydicom_makes(scanned):
    if scanned.path.name == "badVR.dcm":
        pytest.skip("pydicom itself can't: an IS holds '1A', which we keep as text")
    dataset = pydicom.dcmread(scanned.path)
    assert_same(scanned.attributes, dataset, scanned.layout, scanned.offsets_in)


def test_packaged_file_with_letters_in_a_number_keeps_them(packaged, scan):
    attributes = scan(packaged("badVR.dcm").read_bytes()).attributes
    assert attributes["00280008"] == {"vr": "IS", "Value": ["1A"]}


def test_what_pydicom_reads_back_is_the_data_set(packaged, scan):
    path = packaged("CT_small.dcm")
    stream = path.read_bytes()
    scanned = scan(stream)

    def fetch(uri: str) -> bytes:
        bulk = scanned.layout.bulk[uri]
        return stream[bulk.offset : bulk.offset + bulk.length]

    text = msgspec.json.encode(scanned.attributes).decode()
    again = pydicom.Dataset.from_json(text, fetch)
    assert again.to_json_dict() == pydicom.dcmread(path).to_json_dict()


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("CS", b"", None),
        ("CS", b"   ", None),
        ("CS", b"A\\\\B ", ["A", None, "B"]),
        ("AE", b"  CT1 ", ["CT1"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("LO", b" lead\\tail ", [" lead", "tail"]),
        ("UT", b"one\\text ", ["one\\text"]),
        ("PN", b"Doe^Jane^^^ ", [{"Alphabetic": "Doe^Jane^^^"}]),
        ("PN", b"A=B=C\\=D", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
        ("PN", b"==", None),
        ("PN", b"A\\\\B", [{"Alphabetic": "A"}, None, {"Alphabetic": "B"}]),
        ("DS", b"1.50", [1.5]),
        ("DS", b"1e2\\-.5 ", [100.0, -0.5]),
        ("DS", b"1\\\\3", [1.0, None, 3.0]),
        ("DS", b"1.5\0", [1.5]),
        ("DS", b"nan", ["nan"]),
        ("DS", b"1e999", ["1e999"]),
        ("DS", b"1_0", ["1_0"]),
        ("DS", b"1,5\\2", ["1,5", 2.0]),
        ("IS", b" 12 ", [12]),
        ("IS", b"1\\-2\\+3", [1, -2, 3]),
        ("IS", b"1.0", [1]),
        ("IS", b"1.5", ["1.5"]),
        ("IS", b"1_0", ["1_0"]),
        ("IS", b"9" * 30, ["9" * 30]),
        ("US", b"\1\2\3\4", [0x0201, 0x0403]),
        ("SV", struct.pack("<q", -5), [-5]),
        ("AT", b"\x10\x00\x20\x00", ["00100020"]),
        ("FD", struct.pack("<2d", 0.1, 2), [0.1, 2.0]),
    ],
)
def test_value(vr, value, expected):
    element = convert(vr, value)
    if vr == "PN" and value.endswith(b"=D"):
        expected = [*expected, {"Ideographic": "D"}]
    assert element == ({"vr": vr} if expected is None else {"vr": vr, "Value": expected})


def test_big_endian_numbers_and_words_are_turned():
    assert convert("US", b"\1\2", BIG)["Value"] == [0x0102]
    assert convert("AT", b"\x00\x10\x00\x20", BIG)["Value"] == ["00100020"]
    assert base64.b64decode(convert("OW", b"\1\2\3\4", BIG)["InlineBinary"]) == b"\2\1\4\3"
    assert base64.b64decode(convert("OB", b"\1\2\3\4", BIG)["InlineBinary"]) == b"\1\2\3\4"


@pytest.mark.parametrize("vr", ["US", "SL", "FD", "AT", "UV"])
def test_a_number_of_impossible_length_is_shown_as_unknown_bytes(vr):
    assert convert(vr, b"abc") == {"vr": "UN", "InlineBinary": base64.b64encode(b"abc").decode()}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_floats_that_json_lacks_are_not_inline(number):
    with pytest.raises(NotInline):
        convert("FD", struct.pack("<d", number))
    with pytest.raises(NotInline):
        convert("FL", struct.pack("<2f", 1, number))


@given(st.sampled_from(sorted(LITTLE)), st.binary(max_size=64), st.booleans())
def test_any_bytes_become_json(vr, value, big):
    try:
        element = convert(vr, value, BIG if big else LITTLE)
    except NotInline:
        return
    again = msgspec.json.decode(msgspec.json.encode(element))
    assert again["vr"] in {vr, "UN"}
    assert len(again) == 1 or again.keys() - {"vr"} <= {"Value", "InlineBinary"}


@given(
    st.sampled_from(["DS", "IS"]), st.text("0123456789+-.eE\\ _\0nai", max_size=40).map(str.encode)
)
def test_anything_like_a_number_becomes_json(vr, value):
    element = convert(vr, value)
    assert msgspec.json.decode(msgspec.json.encode(element)) == element
