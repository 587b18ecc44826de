"""What makes a data set an item of a worklist, and what is kept of a stranger's."""

import io
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from edge.dicom.identifier import IDENTIFIER_SYNTAXES, read_identifier, write_identifier
from edge.dicom.scheduled import STEP, Request, query_for, step_for, steps_in_file, steps_of
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, is_uid
from edge.errors import InvalidInstance
from tests.worklists import day, item, model, save


def test_a_step_is_known_by_its_study_and_its_id():
    (step,) = steps_of(model(item(1)))
    assert step.key == f"{item(1).StudyInstanceUID}/SPS1"
    assert (step.accession_number, step.day, step.time) == ("A1", day(), "0900")
    assert step.of_step("00080060") == "CT"
    assert step.of_patient("00100010") == "DOE^JANE"


def test_of_several_steps_each_becomes_an_item():
    two = model(item(1))
    (step,) = two[STEP]["Value"]
    two[STEP]["Value"] = [step, {**step, "00400009": {"vr": "SH", "Value": ["SPS2"]}}, {}]
    assert [(one.step_id, len(one.attributes[STEP]["Value"])) for one in steps_of(two)] == [
        ("SPS1", 1),
        ("SPS2", 1),
    ]


def test_what_is_of_the_wrong_kind_is_left_out_and_the_rest_is_kept():
    strange = model(item(1))
    strange |= {
        "00101030": {"vr": "DS", "Value": ["heavy"]},
        "00100040": {"vr": "OB", "InlineBinary": "AAAA"},
        "001021B0": {"vr": "LO", "Value": ["a text of another kind"]},
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00020010": {"vr": "UI", "Value": ["1.2"]},
        "00100000": {"vr": "UL", "Value": [12]},
        "00104000": {"vr": "LT", "BulkDataURI": "http://elsewhere"},
        "00102000": 7,
        "0010200": {"vr": "LO"},
        "00102203": {"vr": "CS", "Value": "YES"},
        "00102160": {"vr": "SH", "Value": [{"Alphabetic": "x"}]},
        "00081110": {"vr": "SQ", "Value": 5},
    }
    (step,) = steps_of(strange)
    kept = step.attributes
    assert kept["001021B0"] == {"vr": "LT", "Value": ["a text of another kind"]}
    assert kept["00104000"] == {"vr": "LT"}
    assert kept["00081110"] == {"vr": "SQ"}
    gone = "00101030 00100040 00080005 00020010 00100000 00102000 0010200 00102203 00102160".split()
    assert not kept.keys() & set(gone)
    for syntax in IDENTIFIER_SYNTAXES:
        assert write_identifier(kept, syntax)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({STEP: {"vr": "SQ"}}, "no Scheduled Procedure Step"),
        ({STEP: {"vr": "SQ", "Value": [{}]}}, "no Scheduled Procedure Step"),
        ({STEP: {"vr": "LO", "Value": ["x"]}}, "no Scheduled Procedure Step"),
        ({STEP: {"vr": "SQ", "Value": [{"00080060": {"vr": "CS"}}] * 17}}, "more than 16"),
        ({"00104000": {"vr": "LT", "Value": ["x" * 200_000]}}, "longer than 128 KiB"),
    ],
)
def test_what_is_no_item_is_refused(change, why):
    with pytest.raises(InvalidInstance, match=why):
        steps_of(model(item(1)) | change)


def test_nesting_beyond_measure_is_cut():
    node = {"00080100": {"vr": "SH", "Value": ["deep"]}}
    for _ in range(500):
        node = {"00321064": {"vr": "SQ", "Value": [node]}}
    (step,) = steps_of(model(item(1)) | node)
    assert json.dumps(step.attributes).count("00321064") == 9


PLAIN = st.none() | st.booleans() | st.integers(-9, 99999) | st.floats() | st.text(max_size=3)
KEYS = st.sampled_from(["vr", "Value", "00100010", "00400100"])
JSON = (
    PLAIN
    | st.lists(PLAIN, max_size=2)
    | st.dictionaries(KEYS, PLAIN, max_size=2)
    | st.lists(st.dictionaries(KEYS, st.dictionaries(KEYS, PLAIN, max_size=2), max_size=2))
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["00100010", "00400100", "0020000D", "00400002"]),
        st.fixed_dictionaries(
            {"vr": st.sampled_from(["PN", "SQ", "UI", "DA", "OB", "XX", "US"]), "Value": JSON}
        )
        | JSON,
        max_size=3,
    )
)
def test_whatever_comes_is_an_item_or_refused(strange):
    for whole in (strange, model(item(1)) | strange):
        try:
            found = steps_of(whole)
        except InvalidInstance:
            continue
        for step in found:
            assert step.key
            assert step.of_patient("00100010") is not None


# Files.


@pytest.mark.parametrize("implicit", [False, True])
def test_a_file_is_read_with_its_meta_information_and_without(tmp_path, implicit):
    path = save(item(1, name="M\u00dcLLER", charset="ISO_IR 100"), tmp_path / "1.wl")
    (step,) = steps_in_file(path.read_bytes())
    assert step.of_patient("00100010") == "M\u00dcLLER"
    bare = DicomBytesIO()
    bare.is_implicit_VR, bare.is_little_endian = implicit, True
    write_dataset(bare, item(2))
    (step,) = steps_in_file(bare.getvalue())
    assert step.step_id == "SPS2"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not DICOM at all",
        bytes(128) + b"DICM",
        bytes(128) + b"DICM\x02\x00\x10\x00UI\x04\x001.2\x00",
        b"\xff" * 500,
        struct.pack("<HH2sxxI", 0x0040, 0x0100, b"SQ", 0xFFFFFFFF) * 3000,
        struct.pack("<HHI", 0x0010, 0x0010, 0x7FFFFFFF),
    ],
)
def test_a_broken_file_is_refused(data):
    with pytest.raises(InvalidInstance):
        steps_in_file(data)


def test_a_file_that_is_cut_anywhere_is_refused_or_read():
    out = io.BytesIO()
    item(1).save_as(out, implicit_vr=False, little_endian=True)
    whole = out.getvalue()
    for length in range(len(whole)):
        try:
            steps_in_file(whole[:length])
        except InvalidInstance:
            continue


# What is made here.


def test_a_step_that_is_made_has_all_that_scanners_need():
    step = step_for(
        Request("ROE^RICHARD=\u738b", "4711", "MR", "MR1", "20260310", "0915", description="Knee")
    )
    assert is_uid(step.study_uid)
    assert 0 < len(step.step_id) <= 16
    assert step.attributes["00100010"]["Value"] == [
        {"Alphabetic": "ROE^RICHARD", "Ideographic": "\u738b"}
    ]
    # Type 1 and 2 of PS3.4 Table K.6-1.
    assert {"00400001", "00400002", "00400003", "00080060", "00400006", "00400009"} <= (
        step.attributes[STEP]["Value"][0].keys()
    )
    assert {"00100010", "00100020", "00100030", "00100040", "0020000D", "00401001"} <= (
        step.attributes.keys()
    )
    assert step.of_step("00400007") == "Knee"
    another = step_for(Request("A", "1", "CT", "CT1", "20260310", "0000"))
    assert another.key != step.key
    assert another.of_step("00400007") == "CT study"


def test_a_query_asks_for_all_that_is_known_of_a_station_and_some_days():
    asked = query_for(station="CT1", first_day="20260309", last_day="20260317")
    read = read_identifier(
        write_identifier(asked, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN
    )
    (step,) = read[STEP]["Value"]
    assert step["00400001"]["Value"] == ["CT1"]
    assert step["00400002"]["Value"] == ["20260309-20260317"]
    assert {tag for tag, element in read.items() if element.get("Value")} == {STEP}
    assert {"00100010", "0020000D", "00321064", "00081110", "001021C0"} <= read.keys()
