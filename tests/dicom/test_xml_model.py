import contextlib
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.xml_model import NAMESPACE, XmlModelError, from_xml, to_xml

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NAME = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="^="), min_size=1, max_size=9
)
ELEMENTS = st.one_of(
    st.builds(lambda it: {"vr": "LO", "Value": it}, st.lists(TEXT, min_size=1, max_size=3)),
    st.builds(lambda it: {"vr": "US", "Value": it}, st.lists(st.integers(0, 65535), min_size=1)),
    st.builds(
        lambda it: {"vr": "FD", "Value": [it]}, st.floats(allow_nan=False, allow_infinity=False)
    ),
    st.builds(
        lambda it: {"vr": "PN", "Value": [{"Alphabetic": "^".join(it)}]},
        st.lists(NAME, min_size=1, max_size=5),
    ),
    st.just({"vr": "OB", "InlineBinary": "AAEC"}),
    st.just({"vr": "OW", "BulkDataURI": "https://127.0.0.1/bulk?a=1&b=2"}),
    st.just({"vr": "DA"}),
)
TAGS = st.integers(0x00080000, 0xFFFCFFFC).map(lambda it: f"{it & ~0x10000:08X}")
DATASETS = st.recursive(
    st.dictionaries(TAGS, ELEMENTS, max_size=4),
    lambda inner: st.dictionaries(
        TAGS,
        st.builds(lambda it: {"vr": "SQ", "Value": it}, st.lists(inner, min_size=1, max_size=3)),
        max_size=3,
    ),
    max_leaves=8,
)


@given(DATASETS)
def test_what_is_written_is_read(dataset):
    assert from_xml(to_xml(dataset)) == dataset


def test_every_packaged_file_goes_through_xml_and_back(scanned):
    attributes = scanned.attributes
    back = from_xml(to_xml(attributes))
    assert list(back) == list(attributes)
    for tag, element in attributes.items():
        assert comparable(back[tag]) == comparable(element), tag


def comparable(element):
    """Without what XML can't say: control characters, numbers as text, empty name components."""
    if isinstance(element, dict):
        compared = {key: comparable(value) for key, value in element.items()}
        return {key: value for key, value in compared.items() if value not in ("", [], [{}])}
    if isinstance(element, list):
        return [comparable(value) or None for value in element]
    if isinstance(element, str):
        with contextlib.suppress(ValueError):
            return float(element)
        return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", element).rstrip("^")
    return element


def test_the_document_is_of_the_standards_namespace_and_names_what_it_holds():
    root = ET.fromstring(
        to_xml(
            {
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane^^Dr"}]},
                "00090010": {"vr": "LO", "Value": ["ACME 1"]},
                "00091001": {"vr": "LO", "Value": ["x"]},
            }
        )
    )
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    name, _, private = root
    assert name.attrib == {"tag": "00100010", "vr": "PN", "keyword": "PatientName"}
    assert [part.tag.rpartition("}")[2] for part in name[0][0]] == [
        "FamilyName",
        "GivenName",
        "NamePrefix",
    ]
    assert private.attrib == {"tag": "00091001", "vr": "LO", "privateCreator": "ACME 1"}


@pytest.mark.parametrize(
    ("vr", "value"), [("CS", "A"), ("DS", 1.5), ("PN", {"Alphabetic": "Doe^Jane"})]
)
def test_empty_values_keep_their_place_also_at_the_end(vr, value):
    attributes = {"00080060": {"vr": vr, "Value": [None, value, None, value, None, None]}}
    assert from_xml(to_xml(attributes)) == attributes


def test_a_value_that_is_left_out_keeps_the_place_of_the_others():
    attributes = {"00080060": {"vr": "CS", "Value": ["A", None, "B"]}}
    document = to_xml(attributes).replace(b'<Value number="2"></Value>', b"")
    assert b'number="2"' not in document
    assert from_xml(document) == attributes


def test_what_xml_cannot_hold_is_replaced_and_line_ends_stay():
    element = {"vr": "LT", "Value": ["one\r\ntwo\x1bthree<&>"]}
    assert from_xml(to_xml({"00104000": element})) == {
        "00104000": {"vr": "LT", "Value": ["one\r\ntwo\ufffdthree<&>"]}
    }


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


def test_an_archives_answer_becomes_dicom_json():
    assert from_xml(ORTHANC) == {
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
    assert from_xml(document) == from_xml(ORTHANC)


def test_a_missing_vr_is_looked_up():
    document = b'<X><DicomAttribute tag="00100020"><Value number="1">7</Value></DicomAttribute></X>'
    assert from_xml(document) == {"00100020": {"vr": "LO", "Value": ["7"]}}


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        ("DS", " 1.50 ", 1.5),
        ("FD", "-1e3", -1000.0),
        ("FD", "NaN", "NaN"),
        ("FL", "inf", "inf"),
        ("DS", "1e999", "1e999"),
        ("IS", " 7", 7),
        ("IS", "1_0", "1_0"),
        ("UV", "18446744073709551615", 2**64 - 1),
        ("US", "9" * 5000, "9" * 5000),
    ],
)
def test_what_is_no_number_of_json_stays_text(vr, text, value):
    document = (
        f'<X><DicomAttribute tag="00189999" vr="{vr}"><Value>{text}</Value></DicomAttribute></X>'
    )
    assert from_xml(document.encode()) == {"00189999": {"vr": vr, "Value": [value]}}


def test_person_names_are_put_together():
    document = b"""<NativeDicomModel><DicomAttribute tag="00100010" vr="PN">
        <PersonName number="1">
            <Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName></Alphabetic>
            <Ideographic><FamilyName>\xe5\xb1\xb1\xe7\x94\xb0</FamilyName></Ideographic>
        </PersonName>
        <PersonName number="2"><Alphabetic><NameSuffix>MD</NameSuffix></Alphabetic></PersonName>
    </DicomAttribute></NativeDicomModel>"""
    assert from_xml(document)["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "\u5c71\u7530"},
        {"Alphabetic": "^^^^MD"},
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html><body>log in</html>",
        b"<NativeDicomModel><DicomAttribute/></NativeDicomModel>",
        b'<NativeDicomModel><DicomAttribute tag="00100010" vr="x y"/></NativeDicomModel>',
        b"<NativeDicomModel><Item/></NativeDicomModel>",
        b"<NativeDicomModel><PersonName/></NativeDicomModel>",
        b'<X><DicomAttribute tag="00100020" vr="LO"><Value number="999999"/></DicomAttribute></X>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><NativeDicomModel>&a;</NativeDicomModel>',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x"><NativeDicomModel/>',
        b"<a>" * 100_000,
        b'<?xml version="1.0" encoding="U"?><NativeDicomModel/>',
        b'<?xml version="1.0" encoding="utf-7"?><NativeDicomModel/>',
    ],
)
def test_anything_else_is_refused(document):
    with pytest.raises(XmlModelError):
        from_xml(document)


@given(
    st.lists(
        st.sampled_from(
            [
                '<DicomAttribute tag="00100010" vr="PN">',
                '<DicomAttribute tag="00080018" vr="UI">',
                '<DicomAttribute tag="00081199" vr="SQ">',
                "</DicomAttribute>",
                "<Item>",
                '<Item number="3">',
                "</Item>",
                "<PersonName>",
                "</PersonName>",
                "<Alphabetic>",
                "</Alphabetic>",
                "<FamilyName>x",
                "</FamilyName>",
                "<Value>1",
                "</Value>",
                "<InlineBinary>AA==",
                "</InlineBinary>",
                '<BulkData uri="x"/>',
                "text",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_arrangement_is_read_or_refused(inside):
    with contextlib.suppress(XmlModelError):
        assert isinstance(from_xml(f"<X>{inside}</X>".encode()), dict)


def test_values_that_only_a_number_tells_of_are_bounded_in_all():
    attribute = (
        '<DicomAttribute tag="0010{:04X}" vr="LO"><Value number="40000">a</Value></DicomAttribute>'
    )
    for count in (1, 2, 3):
        inside = "".join(map(attribute.format, range(count)))
        document = f"<NativeDicomModel>{inside}</NativeDicomModel>".encode()
        if count == 3:
            with pytest.raises(XmlModelError):
                from_xml(document)
        else:
            assert len(from_xml(document)["00100000"]["Value"]) == 40_000
