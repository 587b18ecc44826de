import zlib

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from edge.dicom.identifier import IDENTIFIER_SYNTAXES, read_identifier, write_identifier
from edge.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN as DEFLATED
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, encoding_of
from edge.errors import InvalidInstance, NotDicom

ASKED = {
    "00080052": {"vr": "CS", "Value": ["STUDY"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Buc^J\u00e9r\u00f4me"}]},
    "00100030": {"vr": "DA"},
    "00201208": {"vr": "IS", "Value": [12]},
    "00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
}


@pytest.mark.parametrize("syntax", sorted(IDENTIFIER_SYNTAXES))
def test_what_is_written_is_read_again(syntax):
    found = read_identifier(write_identifier(ASKED, syntax), syntax)
    assert found.pop("00080005")["Value"] == ["ISO_IR 192"]
    assert found == ASKED


def test_ascii_names_no_character_set():
    plain = {"00100020": {"vr": "LO", "Value": ["4711"]}}
    asked = plain | {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    assert read_identifier(write_identifier(asked, syntax), syntax) == plain


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 100"])
@pytest.mark.parametrize("syntax", sorted(IDENTIFIER_SYNTAXES - {DEFLATED}))
def test_text_is_decoded_whatever_set_it_is_in(syntax, charset):
    dataset = Dataset()
    dataset.SpecificCharacterSet = charset
    dataset.PatientName = "Buc^J\u00e9r\u00f4me"
    out = DicomBytesIO()
    encoding = encoding_of(syntax)
    out.is_implicit_VR, out.is_little_endian = encoding.implicit_vr, encoding.little_endian
    write_dataset(out, dataset)
    found = read_identifier(out.getvalue(), syntax)
    assert found["00100010"]["Value"] == [{"Alphabetic": "Buc^J\u00e9r\u00f4me"}]


@pytest.mark.parametrize("data", [b"x", b"\x08\x00\x52\x00CS\x20\x00ST", b"\xff" * 100])
def test_what_is_no_data_set_is_refused(data):
    with pytest.raises(NotDicom):
        read_identifier(data, EXPLICIT_VR_LITTLE_ENDIAN)


def test_what_is_no_model_is_refused():
    with pytest.raises(InvalidInstance):
        write_identifier({"00080060": {"vr": "US", "Value": ["x"]}}, EXPLICIT_VR_LITTLE_ENDIAN)


def test_text_goes_into_the_set_that_is_named():
    written = write_identifier(ASKED, EXPLICIT_VR_LITTLE_ENDIAN, ["ISO_IR 100"])
    assert b"J\xe9r\xf4me" in written
    found = read_identifier(written, EXPLICIT_VR_LITTLE_ENDIAN)
    assert found.pop("00080005")["Value"] == ["ISO_IR 100"]
    assert found == ASKED


def _deflated(data):
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 10,
        _deflated(write_identifier(ASKED, EXPLICIT_VR_LITTLE_ENDIAN))[:-8],
        _deflated(bytes(64 * 1024**2)),
    ],
)
def test_what_is_not_deflated_is_cut_off_or_a_bomb_is_refused(data):
    with pytest.raises(NotDicom, match="deflated"):
        read_identifier(data, DEFLATED)
