import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cloud.native_model import NativeModelError, parse_native_model
from tests.fakes.native_model import native_model

# What Orthanc 1.10 with DICOMweb plugin 1.7 answers to a store, shortened.
ORTHANC = b"""<?xml version="1.0" encoding="utf-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
  <DicomAttribute tag="00080005" vr="CS" keyword="SpecificCharacterSet">
    <Value number="1">ISO_IR 100</Value>
  </DicomAttribute>
  <DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence" />
  <DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence">
    <Item number="1">
      <DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID">
        <Value number="1">1.2.3</Value>
      </DicomAttribute>
      <DicomAttribute tag="00081197" vr="US"><Value number="1">272</Value></DicomAttribute>
    </Item>
    <Value number="1" />
  </DicomAttribute>
</NativeDicomModel>
"""


def test_an_answer_becomes_dicom_json():
    assert parse_native_model(ORTHANC) == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00081198": {"vr": "SQ"},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081155": {"vr": "UI", "Value": ["1.2.3"]},
                    "00081197": {"vr": "US", "Value": [272]},
                }
            ],
        },
    }


def test_namespace_prefixes_make_no_difference():
    document = ORTHANC.replace(b"<", b"<n:").replace(b"<n:/", b"</n:").replace(b"<n:?", b"<?")
    document = document.replace(b"xmlns=", b"xmlns:n=")
    assert parse_native_model(document) == parse_native_model(ORTHANC)


def test_person_names_are_put_together():
    document = b"""<NativeDicomModel><DicomAttribute tag="00100010" vr="PN">
        <PersonName number="1">
            <Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName></Alphabetic>
            <Ideographic><FamilyName>\xe5\xb1\xb1\xe7\x94\xb0</FamilyName></Ideographic>
        </PersonName>
        <PersonName number="2"><Alphabetic><NameSuffix>MD</NameSuffix></Alphabetic></PersonName>
    </DicomAttribute></NativeDicomModel>"""
    assert parse_native_model(document)["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "\u5c71\u7530"},
        {"Alphabetic": "^^^^MD"},
    ]


def test_what_the_fake_archive_writes_is_read():
    dataset = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A&B^<C>"}]},
        "00201208": {"vr": "IS", "Value": [12]},
        "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
    }
    assert parse_native_model(native_model(dataset)) == dataset


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html><body>log in</html>",
        b"<NativeDicomModel><DicomAttribute/></NativeDicomModel>",
        b"<NativeDicomModel><Item/></NativeDicomModel>",
        b"<NativeDicomModel><PersonName/></NativeDicomModel>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><NativeDicomModel>&a;</NativeDicomModel>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><NativeDicomModel/>',
        b"<a>" * 100_000,
    ],
)
def test_anything_else_is_refused(document):
    with pytest.raises(NativeModelError):
        parse_native_model(document)


@given(
    st.lists(
        st.sampled_from(
            [
                '<DicomAttribute tag="00100010" vr="PN">',
                '<DicomAttribute tag="00080018" vr="UI">',
                '<DicomAttribute tag="00081199" vr="SQ">',
                "</DicomAttribute>",
                "<Item>",
                "</Item>",
                "<PersonName>",
                "</PersonName>",
                "<Alphabetic>",
                "</Alphabetic>",
                "<FamilyName>x",
                "</FamilyName>",
                "<Value>1",
                "</Value>",
                "text",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_arrangement_is_read_or_refused(inside):
    with contextlib.suppress(NativeModelError):
        assert isinstance(parse_native_model(f"<X>{inside}</X>".encode()), dict)
