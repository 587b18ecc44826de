"""The writer of small data sets, beside pydicom's reader."""

import base64

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from edge.dicom.identifier import IDENTIFIER_SYNTAXES, IdentifierWriter, read_identifier
from edge.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    encoding_of,
)
from edge.errors import InvalidInstance

PLAIN = sorted(IDENTIFIER_SYNTAXES - {DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN})
EVERYTHING = {
    "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    "00080020": {"vr": "DA", "Value": ["20260131"]},
    "00080054": {"vr": "AE", "Value": ["EDGE"]},
    "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
    "00081120": {
        "vr": "SQ",
        "Value": [{"00080100": {"vr": "SH", "Value": ["A-1"]}}, {}],
    },
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Phonetic": "c"}]},
    "00101030": {"vr": "DS", "Value": [70.25]},
    "00104000": {"vr": "LT", "Value": ["one\\two"]},
    "00189073": {"vr": "FD", "Value": [1.5]},
    "0020000D": {"vr": "UI"},
    "00201208": {"vr": "IS", "Value": [12]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00280010": {"vr": "US", "Value": [512]},
    "00281201": {"vr": "OW", "InlineBinary": base64.b64encode(b"\1\2\3\4").decode()},
    "0040A30A": {"vr": "DS", "Value": [1, 2.5, None]},
}


def read(data, syntax):
    encoding = encoding_of(syntax)
    return read_dataset(
        DicomBytesIO(data), encoding.implicit_vr, encoding.little_endian, bytelength=len(data)
    )


@pytest.mark.parametrize("syntax", PLAIN)
def test_every_representation_is_what_pydicom_reads(syntax):
    dataset = read(IdentifierWriter(syntax).write(EVERYTHING), syntax)
    expected = Dataset.from_json(EVERYTHING)
    assert [element.tag for element in dataset] == [element.tag for element in expected]
    assert dataset.PatientName == "A^B==c"
    assert dataset.PatientComments == "one\\two"
    assert dataset.ModalitiesInStudy == ["CT", "SR"]
    assert [len(item) for item in dataset[0x00081120].value] == [1, 0]
    assert dataset.Rows == 512
    assert dataset.FrameIncrementPointer == 0x00181063
    order = "big" if syntax == EXPLICIT_VR_BIG_ENDIAN else "little"
    found = dataset[0x00281201].value
    words = [int.from_bytes(found[at : at + 2], order) for at in (0, 2)]
    assert words == [0x0201, 0x0403]


@pytest.mark.parametrize("syntax", sorted(IDENTIFIER_SYNTAXES))
def test_what_is_written_is_of_even_length_and_read_again(syntax):
    written = IdentifierWriter(syntax).write(EVERYTHING)
    assert not len(written) % 2
    found = read_identifier(written, syntax)
    assert found == EVERYTHING


@pytest.mark.parametrize(
    ("charset", "name", "said"),
    [
        ((), "Plain^Name", None),
        ((), "J\u00e9r\u00f4me", ["ISO_IR 192"]),
        (("ISO_IR 100",), "J\u00e9r\u00f4me", ["ISO_IR 100"]),
        (("ISO_IR 100",), "Plain^Name", ["ISO_IR 100"]),
        (("ISO_IR 100",), "\u041b\u044e\u043a", ["ISO_IR 192"]),
        (("", "ISO 2022 IR 87"), "\u5c71\u7530^\u592a\u90ce", ["", "ISO 2022 IR 87"]),
        (("latin-1",), "J\u00e9r\u00f4me", ["ISO_IR 192"]),
        (("GB18030",), "\u738b^\u5c0f\u4e1c", ["GB18030"]),
    ],
)
def test_the_set_that_was_asked_for_is_taken_where_it_holds_the_text(charset, name, said):
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    writer = IdentifierWriter(syntax, charset)
    for _ in range(2):  # one text that does not fit changes nothing for the next data set
        written = writer.write({"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}})
        dataset = read(written, syntax)
        found = dataset.get("SpecificCharacterSet")
        assert ([found] if isinstance(found, str) else found and list(found)) == said
        dataset.decode()
        assert str(dataset.PatientName) == name
        writer.write({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "\U0001f600"}]}})


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "US", "Value": ["x"]},
        {"vr": "US", "Value": [70000]},
        {"vr": "PN", "Value": ["text"]},
        {"vr": "OB", "BulkDataURI": "x"},
        {"vr": "LO", "BulkDataURI": "x"},
        {"vr": "CS", "Value": ["\u0416"]},
        {"vr": "DS", "Value": ["72\u00bd"]},
        {"vr": "IS", "Value": ["1\u0416"]},
        {"vr": "ZZ", "Value": ["x"]},
        {"vr": "LO", "Value": ["x" * 70000]},
        {"vr": "SQ", "Value": ["x"]},
    ],
)
def test_what_is_no_value_is_an_error_or_left_empty(element):
    asked = {"00090010": element, "00100020": {"vr": "LO", "Value": ["4711"]}}
    with pytest.raises(InvalidInstance, match="0009,0010"):
        IdentifierWriter(EXPLICIT_VR_LITTLE_ENDIAN).write(asked)
    lenient = IdentifierWriter(EXPLICIT_VR_LITTLE_ENDIAN, is_lenient=True)
    found = read_identifier(lenient.write(asked), EXPLICIT_VR_LITTLE_ENDIAN)
    assert found["00100020"]["Value"] == ["4711"]
    assert found.get("00090010", {}).get("Value", ["?"]) == ["?"]


def test_what_is_not_even_an_element_is_left_out_or_an_error():
    asked = {"nonsense": {"vr": "LO"}, "00100020": {"vr": "LO", "Value": ["4711"]}}
    with pytest.raises(InvalidInstance):
        IdentifierWriter(IMPLICIT_VR_LITTLE_ENDIAN).write(asked)
    lenient = IdentifierWriter(IMPLICIT_VR_LITTLE_ENDIAN, is_lenient=True)
    assert read_identifier(lenient.write(asked), IMPLICIT_VR_LITTLE_ENDIAN).keys() == {"00100020"}


def test_items_within_items_have_an_end():
    item = {}
    for _ in range(20):
        item = {"00081120": {"vr": "SQ", "Value": [item]}}
    with pytest.raises(InvalidInstance, match="nested"):
        IdentifierWriter(EXPLICIT_VR_LITTLE_ENDIAN, is_lenient=True).write(item)
