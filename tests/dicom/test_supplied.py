"""Attributes that a person supplies: which may be, how they are read, how they are written."""

from __future__ import annotations

import pytest

from edge.dicom.recoder import Replacement
from edge.dicom.supplied import parse_supplied, replacements, require_missing
from edge.errors import DecisionRefused


@pytest.mark.parametrize("name", ["PatientID", "0010,0020", "(0010,0020)", "00100020"])
def test_an_attribute_is_named_by_keyword_or_tag(name):
    assert parse_supplied(f"{name}=A=B") == ("00100020", {"vr": "LO", "Value": ["A=B"]})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PatientID=4711", b"4711"),
        ("PatientName=SAMPLE^ONE", b"SAMPLE^ONE"),
        ("StudyDate=20240229", b"20240229"),
        ("ImageType=ORIGINAL\\PRIMARY", b"ORIGINAL\\PRIMARY"),
        ("AccessionNumber=123", b"123 "),
        ("SliceThickness=1.5", b"1.5 "),
        ("InstanceNumber=7", b"7 "),
        ("PatientComments=a\\b", b"a\\b "),
        ("PixelPaddingRangeLimit=1", None),
        ("RecommendedDisplayFrameRateInFloat=2.0", b"\0\0\0@"),
        ("SimpleFrameList=1\\2", b"\1\0\0\0\2\0\0\0"),
    ],
)
def test_values_are_written_by_their_representation(text, value):
    if value is None:
        with pytest.raises(DecisionRefused, match="can't be supplied"):
            parse_supplied(text)
        return
    tag, element = parse_supplied(text)
    written = replacements({tag: element}, {})
    assert written == {int(tag, 16): Replacement(element["vr"], value)}


@pytest.mark.parametrize(
    "text",
    [
        "PatientID",
        "PatientID=",
        "NoSuchThing=1",
        "0011,0010=PRIVATE",
        "0002,0010=1.2.840.10008.1.2",
        "StudyInstanceUID=1.2.3",
        "SOPClassUID=1.2.3",
        "PixelData=00",
        "Rows=12",
        "BitsStored=12",
        "PhotometricInterpretation=RGB",
        "SpecificCharacterSet=ISO_IR 192",
        "ReferencedStudySequence=1",
        "StudyDate=yesterday",
        "PatientSex=" + "X" * 17,
        "PatientID=" + "1" * 65,
        "PatientID=a\nb",
        "SimpleFrameList=many",
    ],
)
def test_what_names_an_image_or_its_pixels_or_makes_no_sense_is_refused(text):
    with pytest.raises(DecisionRefused) as caught:
        parse_supplied(text)
    value = text.partition("=")[2]
    assert len(value) < 8 or value not in str(caught.value), "values may name a patient"


def test_text_beyond_ascii_needs_the_images_character_set():
    tag, element = parse_supplied("PatientName=Müller^Jörg")
    latin = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
    unicode = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    greek = {"00080005": {"vr": "CS", "Value": ["ISO_IR 126"]}}
    extended = {"00080005": {"vr": "CS", "Value": ["", "ISO 2022 IR 100"]}}
    assert replacements({tag: element}, latin)[0x00100010].value == "Müller^Jörg ".encode("latin_1")
    assert replacements({tag: element}, unicode)[0x00100010].value == "Müller^Jörg ".encode()[:14]
    for attributes in ({}, greek, extended):
        with pytest.raises(DecisionRefused, match="character set"):
            replacements({tag: element}, attributes)


@pytest.mark.parametrize(
    "element", [None, {"vr": "LO"}, {"vr": "LO", "Value": [None]}, {"vr": "LO", "Value": [""]}]
)
def test_what_is_missing_or_empty_can_be_supplied(element):
    require_missing("00100020", {} if element is None else {"00100020": element})


@pytest.mark.parametrize(
    "element",
    [{"vr": "LO", "Value": ["A"]}, {"vr": "OB", "InlineBinary": "AA=="}],
)
def test_what_has_a_value_is_not_replaced(element):
    with pytest.raises(DecisionRefused, match="has a value"):
        require_missing("00100020", {"00100020": element})
