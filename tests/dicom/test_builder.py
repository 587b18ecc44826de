"""The model grows in order and within its bounds."""

from __future__ import annotations

import msgspec
import pytest

from edge.dicom.builder import ENDLESS, ModelBuilder, ScanLimits
from edge.dicom.codec import EXPLICIT_LITTLE
from edge.dicom.frames import BulkValue
from edge.dicom.json_model import LITTLE
from edge.errors import NotDicom

NAME = 0x00100010


def put(model: ModelBuilder, tag: int, vr: str, value: bytes) -> None:
    model.put(tag, f"{tag:08X}", LITTLE[vr], value, 1000)
    model.level.passed(tag)


def builder(**limits: int) -> ModelBuilder:
    return ModelBuilder(EXPLICIT_LITTLE, ScanLimits(**limits))


def test_the_character_set_counts_from_where_it_stands_and_inside():
    model = builder()
    put(model, 0x00080005, "CS", b"ISO_IR 192")
    put(model, NAME, "PN", "Zoë".encode())
    model.open_sequence("00400275", EXPLICIT_LITTLE, 10, ENDLESS)
    model.open_item(EXPLICIT_LITTLE, ENDLESS)
    put(model, 0x00400007, "LO", b"Knie links")
    put(model, 0x00080005, "CS", b"ISO_IR 144")
    put(model, NAME, "PN", b"\xbb")
    model.close_item()
    model.open_item(EXPLICIT_LITTLE, ENDLESS)
    put(model, NAME, "PN", "é".encode())
    model.close_item()
    model.close_sequence(99)
    first, second = model.root["00400275"]["Value"]
    assert model.root["00100010"]["Value"] == [{"Alphabetic": "Zoë"}]
    assert first["00100010"]["Value"] == [{"Alphabetic": "Л"}]
    assert second["00100010"]["Value"] == [{"Alphabetic": "é"}]


def test_attributes_stand_in_ascending_order_whatever_was_sent():
    model = builder()
    for tag in (0x00100020, NAME, 0x00080060):
        put(model, tag, "LO", b"x")
    model.finish()
    assert list(model.root) == ["00080060", "00100010", "00100020"]


def test_bulk_values_have_paths():
    model = builder()
    model.open_sequence("54000100", EXPLICIT_LITTLE, 10, ENDLESS)
    for _ in range(2):
        model.open_item(EXPLICIT_LITTLE, ENDLESS)
        model.refer("54001010", "OW", 500, 3000)
        model.close_item()
    model.close_sequence(99)
    assert list(model.bulk) == ["54000100/0/54001010", "54000100/1/54001010"]
    items = model.root["54000100"]["Value"]
    assert items[1]["54001010"] == {"vr": "OW", "BulkDataURI": "54000100/1/54001010"}


def test_a_vr_that_may_not_be_bulk_data_is_shown_as_unknown():
    model = builder()
    model.refer("00081030", "LO", 500, 3000)
    model.refer("00081032", "OB", 500, 0)
    assert model.root["00081030"]["vr"] == "UN"
    assert model.root["00081032"] == {"vr": "OB"}, "nothing is no bulk data"


@pytest.mark.parametrize(
    ("signed", "vr", "value"), [(b"\1\0", "SS", -2), (b"\0\0", "US", 65534), (None, "US", 65534)]
)
def test_pixel_representation_settles_signedness_also_if_it_comes_later(signed, vr, value):
    model = builder()
    put(model, 0x00189810, model.resolve("US or SS", "00189810"), b"\xfe\xff")
    if signed is not None:
        put(model, 0x00280103, "US", signed)
    put(model, 0x00280106, model.resolve("US or SS", "00280106"), b"\xfe\xff")
    model.finish()
    for key in ("00189810", "00280106"):
        assert model.root[key] == {"vr": vr, "Value": [value]}


def test_a_lookup_table_is_words_unless_it_has_one_entry():
    model = builder()
    assert model.resolve("US or OW", "00283006") == "OW"
    put(model, 0x00283002, "US", b"\1\0\0\0\x10\0")
    assert model.resolve("US or OW", "00283006") == "US"
    assert model.resolve("OB or OW", "7FE00010") == "OW"


def test_the_number_of_lookup_entries_is_never_negative():
    model = builder()
    put(model, 0x00281101, "SS", b"\x00\x80\x00\x80\x10\x00")
    assert model.root["00281101"]["Value"] == [32768, -32768, 16]


def test_the_first_study_uid_is_remembered():
    model = builder()
    put(model, 0x0020000D, "UI", b"1.2.3\0")
    put(model, 0x0020000D, "UI", b"1.2.4\0")
    assert model.study_uid == "1.2.3"


def test_a_study_uid_inside_a_sequence_is_another_ones():
    model = builder()
    model.open_sequence("00081110", EXPLICIT_LITTLE, 10, ENDLESS)
    model.open_item(EXPLICIT_LITTLE, ENDLESS)
    put(model, 0x0020000D, "UI", b"1.2.3\0")
    assert model.study_uid is None


def test_nesting_has_an_end():
    model = builder(depth=2)
    for _ in range(2):
        model.open_sequence("00081110", EXPLICIT_LITTLE, 10, ENDLESS)
        model.open_item(EXPLICIT_LITTLE, ENDLESS)
    with pytest.raises(NotDicom, match="deeper"):
        model.open_sequence("00081110", EXPLICIT_LITTLE, 10, ENDLESS)


def fill(model: ModelBuilder, items: int) -> None:
    model.open_sequence("52009230", EXPLICIT_LITTLE, 10, ENDLESS)
    for _ in range(items):
        model.open_item(EXPLICIT_LITTLE, ENDLESS)
        put(model, 0x00200032, "DS", b"1.5\\2\\3 ")
        model.close_item()
    model.close_sequence(5010)


def test_items_of_a_large_model_are_kept_as_their_own_json():
    model = builder(memory=100_000)
    fill(model, 200)
    items = model.root["52009230"]["Value"]
    assert isinstance(items[0], dict)
    assert isinstance(items[-1], msgspec.Raw)
    again = msgspec.json.decode(msgspec.json.encode(model.root))
    assert (
        again["52009230"]["Value"] == [{"00200032": {"vr": "DS", "Value": [1.5, 2.0, 3.0]}}] * 200
    )
    assert model.cost < 100_000


def test_a_sequence_beyond_the_bound_becomes_bulk_data_and_the_rest_goes_on():
    model = builder(memory=100_000)
    put(model, NAME, "PN", b"Doe^Jane")
    fill(model, 10_000)
    put(model, 0x7FE00003, "UV", bytes(8))
    assert model.root["52009230"] == {"vr": "UN", "BulkDataURI": "52009230"}
    assert model.bulk == {"52009230": BulkValue("UN", 10, 5000)}
    assert list(model.root) == ["00100010", "52009230", "7FE00003"]
    assert not model.muted


def test_a_data_set_of_too_many_elements_is_refused():
    model = builder(memory=10_000)
    for tag in range(0x00090010, 0x00090038):
        put(model, tag, "LO", b"CREATOR ")
    assert model.crowded
    with pytest.raises(NotDicom, match="more elements"):
        put(model, 0x00090040, "LT", bytes(1024))
