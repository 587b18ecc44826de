"""Data sets written from their JSON model."""

from __future__ import annotations

import base64
import contextlib
import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.encoder import BulkReference, element_header, encoded
from edge.dicom.part10 import file_meta
from edge.dicom.scanner import InstanceScanner
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.errors import InvalidInstance

UIDS = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.4"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.5"]},
}


def part10(attributes, bulk=lambda uri: b""):
    """A whole file; bulk values of defined length."""
    pieces = [
        file_meta(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
            sop_uid="1.2.3",
            transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
        )
    ]
    for piece in encoded(attributes):
        if isinstance(piece, BulkReference):
            value = bulk(piece.uri)
            pieces += [element_header(piece.tag, piece.vr, len(value)), value]
        else:
            pieces.append(piece)
    return b"".join(pieces)


def scan(data):
    scanner = InstanceScanner()
    scanner.feed(data)
    return scanner.finish()


def test_every_packaged_file_is_written_as_it_was_read(scanned):
    attributes = dict(scanned.attributes) | {tag: UIDS[tag] for tag in UIDS}
    if any(bulk.encapsulated for bulk in scanned.layout.bulk.values()):
        attributes = {key: it for key, it in attributes.items() if "BulkDataURI" not in it}

    def bulk(uri):
        value = scanned.layout.bulk[uri]
        return scanned.offsets_in[value.offset : value.offset + value.length]

    again = scan(part10(attributes, bulk))
    character_set = attributes.pop("00080005", None)
    assert (again.attributes.pop("00080005", None) is None) == (character_set is None)
    assert comparable(again.attributes) == comparable(attributes)


def comparable(node):
    """Without what a writer does in its own way: group lengths, character set, numbers, padding."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if not key.endswith("0000")}
        kept.pop("00080005", None)
        if "InlineBinary" in kept:
            value = base64.b64decode(kept["InlineBinary"])
            kept["InlineBinary"] = value + bytes(len(value) % 2)
        if kept.get("vr") in ("DS", "IS"):
            kept["Value"] = [it if it is None else str(it)[:14] for it in kept.get("Value", [])]
        return {key: comparable(value) for key, value in kept.items()}
    return [comparable(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ({"vr": "US", "Value": [1, 65535]}, b"\x01\0\xff\xff"),
        ({"vr": "IS", "Value": [7, None, "8"]}, b"7\\\\8"),
        ({"vr": "DS", "Value": [0.1, 5.0]}, b"0.1\\5 "),
        ({"vr": "DS", "Value": [1 / 3]}, b"0.33333333333333"),
        (
            {"vr": "DS", "Value": [-1.2345678901234567e-200]},
            b"-1.23456789e-200",
        ),
        ({"vr": "AT", "Value": ["00100020"]}, b"\x10\0\x20\0"),
        ({"vr": "UI", "Value": ["1.2"]}, b"1.2\0"),
        ({"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "C"}]}, b"A^B==C"),
        ({"vr": "OB", "InlineBinary": "AAEC"}, b"\0\x01\x02\0"),
        ({"vr": "LO"}, b""),
        ({"vr": "LO", "Value": []}, b""),
    ],
)
def test_values_are_written_as_their_vr_wants_it(element, expected):
    [written] = list(encoded({"00111001": element}))
    assert written.endswith(expected)
    assert len(written) == len(element_header(0x00111001, element["vr"], 0)) + len(expected)


def test_attributes_are_written_in_ascending_order_without_file_meta_and_group_lengths():
    attributes = {
        "00200013": {"vr": "IS", "Value": [1]},
        "00020010": {"vr": "UI", "Value": ["1.2"]},
        "00080000": {"vr": "UL", "Value": [4]},
        "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    }
    tags = [piece[:4] for piece in encoded(attributes)]
    assert tags == [b"\x08\0\x18\0", b"\x20\0\x13\0"]


def test_text_beyond_ascii_is_written_as_utf_8_and_said_to_be():
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    attributes = {**UIDS, "00080005": {"vr": "CS", "Value": ["ISO_IR 13"]}}
    attributes["00081115"] = {
        "vr": "SQ",
        "Value": [
            {
                "00080005": {"vr": "CS", "Value": ["ISO_IR 13"]},
                "00100010": {"vr": "PN", "Value": [name]},
            }
        ],
    }
    dataset = pydicom.dcmread(io.BytesIO(part10(attributes)))
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.ReferencedSeriesSequence[0].PatientName == "Yamada^Tarou=山田^太郎"


def test_bulk_values_are_left_to_the_caller_wherever_they_stand():
    icon = {"7FE00010": {"vr": "OW", "BulkDataURI": "../icon"}}
    attributes = {
        "00880200": {"vr": "SQ", "Value": [icon]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
    }
    references = [piece for piece in encoded(attributes) if isinstance(piece, BulkReference)]
    assert references == [
        BulkReference(0x7FE00010, "OW", "../icon"),
        BulkReference(0x7FE00010, "OW", "pixels"),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientName": {"vr": "PN"}},
        {"0010001": {"vr": "PN"}},
        {"-0010001": {"vr": "PN"}},
        {"0010_010": {"vr": "PN"}},
        {"0008103e": {"vr": "LO", "Value": ["a"]}, "0008103E": {"vr": "LO", "Value": ["b"]}},
        {"00100010": "Doe"},
        {"00100010": {"Value": ["Doe"]}},
        {"00100010": {"vr": "PN", "Value": ["Doe"]}},
        {"00100020": {"vr": "LO", "Value": "Doe"}},
        {"00100020": {"vr": "LO", "Value": [5]}},
        {"00280010": {"vr": "US", "Value": [65536]}},
        {"00280010": {"vr": "US", "Value": ["x"]}},
        {"00280010": {"vr": "US", "Value": [None]}},
        {"00080060": {"vr": "CS", "Value": ["é"]}},
        {"00080060": {"vr": "CS", "Value": ["A" * 70_000]}},
        {"7FE00010": {"vr": "OB", "InlineBinary": "*"}},
        {"7FE00010": {"vr": "OB", "Value": [1]}},
        {"00080060": {"vr": "QQ", "Value": ["A"]}},
        {"00081115": {"vr": "SQ", "Value": ["x"]}},
    ],
)
def test_what_the_model_does_not_permit_is_refused_by_name(attributes):
    with pytest.raises(InvalidInstance):
        list(encoded(attributes))


def test_sequences_without_end_are_refused():
    item = {}
    for _ in range(100):
        item = {"00081115": {"vr": "SQ", "Value": [item]}}
    with pytest.raises(InvalidInstance, match="nested"):
        list(encoded(item))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["vr", "Value", "00100010", "InlineBinary"]), inner)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["00100010", "00280010", "x"]), JSON),
    st.sampled_from(["PN", "US", "OB", "SQ", "XX", "DS", "AT"]),
)
def test_any_json_is_written_or_refused(attributes, vr):
    for element in attributes.values():
        if isinstance(element, dict):
            element["vr"] = vr
    with contextlib.suppress(InvalidInstance):
        list(encoded(attributes))
