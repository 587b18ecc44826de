"""The grammar of PS3.5 7 is walked in pieces of any size; what is hostile ends early."""

from __future__ import annotations

import struct
import tracemalloc

import msgspec
import pytest

from edge.dicom.builder import ScanLimits
from edge.dicom.codec import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Codec
from edge.dicom.familiar import Familiar
from edge.dicom.frames import BulkValue
from edge.dicom.walker import Walker
from edge.errors import NotDicom
from tests.dicom.streams import (
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    element,
    implicit,
    item,
    sequence,
)

NAME = element(0x00100010, b"PN", b"Doe^Jane")
JANE = {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
MEBI = bytes(1024**2)


def walk(
    data: bytes, codec: Codec = EXPLICIT_LITTLE, *, piece: int = 1 << 30, **limits: int
) -> Walker:
    walker = Walker(codec, ScanLimits(**limits), 0, Familiar())
    for start in range(0, len(data), piece):
        walker.feed(data[start : start + piece])
    walker.finish()
    return walker


@pytest.mark.parametrize("items_undefined", [True, False])
@pytest.mark.parametrize("sequence_undefined", [True, False])
def test_sequences_end_by_length_or_by_delimiter(sequence_undefined, items_undefined):
    inner = item(NAME, undefined=items_undefined)
    data = sequence(0x00081110, inner, item(undefined=True), inner, undefined=sequence_undefined)
    walker = walk(data + NAME)
    assert walker.model.root["00081110"]["Value"] == [{"00100010": JANE}, {}, {"00100010": JANE}]
    assert walker.model.root["00100010"] == JANE


def test_an_empty_sequence_has_no_value():
    walker = walk(sequence(0x00081110) + sequence(0x00081115, undefined=True))
    assert walker.model.root == {"00081110": {"vr": "SQ"}, "00081115": {"vr": "SQ"}}


def test_a_superfluous_delimiter_at_the_end_of_a_length_is_passed_over():
    inner = implicit(0xFFFEE000, NAME + ITEM_END)
    walker = walk(element(0x00081110, b"SQ", inner + SEQUENCE_END))
    assert walker.model.root["00081110"]["Value"] == [{"00100010": JANE}]


def test_group_lengths_and_stray_file_meta_are_no_attributes():
    data = element(0x00020010, b"UI", b"1.2.3\0") + element(0x00100000, b"UL", bytes(4)) + NAME
    assert walk(data).model.root == {"00100010": JANE}


def test_unknown_of_undefined_length_is_a_sequence_in_implicit_vr():
    inner = implicit(0x00100010, b"Doe^Jane")
    for content in (inner, NAME):  # some writers go on in explicit VR
        for undefined in (True, False):
            data = sequence(0x00291010, item(content), vr=b"UN", undefined=True)
            public = sequence(0x00081110, item(content), vr=b"UN", undefined=undefined)
            for one in (data, public):
                (found,) = walk(one).model.root.values()
                assert found == {"vr": "SQ", "Value": [{"00100010": JANE}]}


def test_unknown_that_only_the_dictionary_takes_for_a_sequence_stays_bytes():
    walker = walk(element(0x00081110, b"UN", b"no items"))
    assert walker.model.root["00081110"] == {"vr": "UN", "InlineBinary": "bm8gaXRlbXM="}


def test_single_elements_may_fall_into_implicit_vr():
    data = NAME + implicit(0x00100020, b"4711") + element(0x00100040, b"CS", b"F ")
    assert walk(data).model.root["00100020"] == {"vr": "LO", "Value": ["4711"]}


@pytest.mark.parametrize(
    ("announced", "data"),
    [(IMPLICIT_LITTLE, NAME), (EXPLICIT_LITTLE, implicit(0x00100010, b"Doe^Jane"))],
)
def test_a_whole_data_set_in_the_wrong_encoding_is_understood(announced, data):
    assert walk(data, announced).model.root == {"00100010": JANE}


def test_odd_lengths_are_taken_as_they_are():
    data = element(0x00100010, b"PN", b"Doe") + element(0x00100020, b"LO", b"4")
    assert walk(data).model.root["00100020"]["Value"] == ["4"]


def test_zeros_behind_the_data_set_are_padding_and_nothing_else_is():
    for zeros in (3, 8, 500, 70_000):
        assert walk(NAME + bytes(zeros), piece=7).model.root == {"00100010": JANE}
    with pytest.raises(NotDicom, match="follows"):
        walk(NAME + bytes(100) + b"x" + bytes(20))


def test_trailing_padding_is_an_element():
    walker = walk(NAME + element(0xFFFCFFFC, b"OB", bytes(2000)))
    assert walker.model.root["FFFCFFFC"]["BulkDataURI"] == "FFFCFFFC"


def test_encapsulated_values_may_also_be_icons():
    pixels = b"".join([item(), item(b"\xff\xd8\xff\xe0"), SEQUENCE_END])
    icon = element(0x7FE00010, b"OB", pixels, UNDEFINED)
    data = sequence(0x00880200, item(icon, undefined=True)) + icon
    walker = walk(data)
    inner = walker.model.bulk["00880200/0/7FE00010"]
    assert data[inner.offset : inner.offset + inner.length] == item() + item(b"\xff\xd8\xff\xe0")
    assert walker.model.bulk["7FE00010"].encapsulated
    assert list(walker.encapsulated.lengths) == [4]


def test_a_large_value_is_bulk_data_at_any_depth():
    wave = element(0x54001010, b"OW", bytes(70_000))
    data = sequence(0x54000100, item(NAME), item(wave)) + element(0x7FE00008, b"OF", bytes(8))
    walker = walk(data, piece=1000)
    position = data.index(wave) + 12
    assert walker.model.bulk["54000100/1/54001010"] == BulkValue("OW", position, 70_000)
    assert walker.model.bulk["7FE00008"].length == 8, "pixels always are"


def test_lookup_tables_and_long_text_stand_in_the_model():
    data = element(0x00281201, b"OW", bytes(128 * 1024)) + element(0x00420010, b"UT", b"a" * 91_999)
    walker = walk(data, piece=50_000)
    assert len(walker.model.root["00281201"]["InlineBinary"]) > 128 * 1024
    assert len(walker.model.root["00420010"]["Value"][0]) == 91_999
    assert not walker.model.bulk


def test_floats_that_json_lacks_are_bulk_data():
    data = element(0x00189087, b"FD", struct.pack("<d", float("nan"))) + NAME
    walker = walk(data)
    assert walker.model.root["00189087"] == {"vr": "FD", "BulkDataURI": "00189087"}
    assert walker.model.bulk["00189087"] == BulkValue("FD", 8, 8)


def test_elements_out_of_order_are_put_in_order():
    data = NAME + element(0x00080060, b"CS", b"CT") + element(0x00100020, b"LO", b"4711")
    inner = sequence(0x00081110, item(data))
    root = walk(data + inner).model.root
    assert list(root) == ["00080060", "00081110", "00100010", "00100020"]
    assert list(root["00081110"]["Value"][0]) == ["00080060", "00100010", "00100020"]


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8, 13, 4096])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_pieces_make_no_difference(piece, kind):
    data = b"".join(
        [
            element(0x00080005, b"CS", b"ISO_IR 192"),
            sequence(0x00081110, item(NAME), item(undefined=True), undefined=True),
            sequence(0x00081115, item(sequence(0x00081199, item(NAME))), vr=b"UN"),
            NAME,
            element(0x00189087, b"FD", struct.pack("<d", float("inf"))),
            element(0x00291010, b"OB", bytes(1500)),
            sequence(0x00291020, item(implicit(0x00100010, b"Doe^Jane")), vr=b"UN", undefined=True),
            element(0x7FE00010, b"OB", item() + item(b"\xff\xd8\xff\xd9" * 9), UNDEFINED),
            SEQUENCE_END,
            element(0xFFFCFFFC, b"OB", bytes(3)),
            bytes(5),
        ]
    )
    whole = walk(data)
    walker = Walker(EXPLICIT_LITTLE, ScanLimits(), 0, Familiar())
    for start in range(0, len(data), piece):
        walker.feed(kind(data[start : start + piece]))
    walker.finish()
    assert walker.model.root == whole.model.root
    assert walker.model.bulk == whole.model.bulk
    assert walker.encapsulated.lengths == whole.encapsulated.lengths


def nested(levels: int) -> bytes:
    opening = element(0x00081110, b"SQ", b"", UNDEFINED) + implicit(0xFFFEE000, b"", UNDEFINED)
    return opening * levels


HOSTILE = {
    "sequences nested thousands deep": nested(5000),
    "a sequence without its delimiter": sequence(0x00081110, item(NAME), undefined=True)[:-8],
    "an item without its delimiter": element(
        0x00081110, b"SQ", implicit(0xFFFEE000, NAME, UNDEFINED) + SEQUENCE_END, UNDEFINED
    ),
    "an item longer than its sequence": element(0x00081110, b"SQ", implicit(0xFFFEE000, NAME, 90)),
    "an element longer than its item": sequence(
        0x00081110, item(element(0x00100010, b"PN", b"Doe^Jane", 300))
    ),
    "a sequence longer than its item": sequence(
        0x00081110, item(element(0x00081115, b"SQ", item(NAME), 4000))
    ),
    "fragments longer than their item": sequence(
        0x00081110, item(element(0x7FE00010, b"OB", implicit(0xFFFEE000, b"", 4000), UNDEFINED))
    ),
    "an item that ends inside a header": sequence(0x00081110, item(NAME[:5])),
    "an item that ends inside a length": sequence(0x00081110, item(element(1 << 20, b"OB")[:10])),
    "rubbish for an item": sequence(0x00081110, b"rubbish!", undefined=True),
    "rubbish for a fragment": element(0x7FE00010, b"OB", b"rubbish!", UNDEFINED),
    "a fragment of undefined length": element(
        0x7FE00010, b"OB", implicit(0xFFFEE000, b"", UNDEFINED), UNDEFINED
    ),
    "pixel data without its delimiter": element(0x7FE00010, b"OB", item() + item(b"ab"), UNDEFINED),
    "native pixel data of 2**32-2 bytes": element(0x7FE00010, b"OW", b"abcd", UNDEFINED - 1),
    "a value beyond the end": element(0x00100010, b"PN", b"Doe^Jane", 5000),
    "text of undefined length": element(0x00420010, b"UT", NAME, UNDEFINED),
    "a delimiter of an item that never began": NAME + ITEM_END,
    "a delimiter of a sequence that never began": NAME + SEQUENCE_END,
    "an item outside any sequence": NAME + item(NAME),
    "half a header": NAME + b"\x10\x00\x20",
    "no header": NAME + b"\x10\x00\x20\x00\xff\xfe\xfd\xfc",
}


@pytest.mark.parametrize("piece", [1, 1 << 30])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused(name, piece):
    with pytest.raises(NotDicom):
        walk(NAME + HOSTILE[name], piece=piece)


@pytest.mark.parametrize("codec", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
def test_random_bytes_are_refused(codec):
    for seed in range(200):
        noise = b"".join(struct.pack("<Q", hash((seed, n, 7)) & (1 << 64) - 1) for n in range(400))
        with pytest.raises(NotDicom):
            walk(b"\xff" + noise, codec, piece=333)


def feed_large(walker: Walker, header: bytes, mebibytes: int, end: bytes) -> int:
    """Feed a value of so many MiB; the most memory that it took."""
    tracemalloc.start()
    try:
        walker.feed(header)
        for _ in range(mebibytes):
            walker.feed(MEBI)
        walker.feed(end)
        walker.finish()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def opened(tag: int, vr: bytes, content: bytes) -> bytes:
    """The beginning of a sequence of one item, both without length."""
    return element(tag, vr, implicit(0xFFFEE000, content, UNDEFINED), UNDEFINED)


CLOSED = ITEM_END + SEQUENCE_END
LARGE = {
    "a multi-frame of 2 GB": (element(0x7FE00010, b"OW", b"", 2048 << 20), 2048, b""),
    "a PDF": (element(0x00420011, b"OB", b"", 100 << 20), 100, NAME),
    "a text": (element(0x00420010, b"UT", b"", 100 << 20), 100, NAME),
    "a waveform": (
        opened(0x54000100, b"SQ", element(0x54001010, b"OW", b"", 50 << 20)),
        50,
        CLOSED,
    ),
    "private bulk": (opened(0x00291010, b"UN", implicit(0x00291020, b"", 50 << 20)), 50, CLOSED),
    "one fragment": (
        element(0x7FE00010, b"OB", item() + implicit(0xFFFEE000, b"", 300 << 20), UNDEFINED),
        300,
        SEQUENCE_END,
    ),
}


@pytest.mark.parametrize(("header", "mebibytes", "end"), LARGE.values(), ids=LARGE)
def test_a_large_value_takes_no_memory(header, mebibytes, end):
    walker = Walker(EXPLICIT_LITTLE, ScanLimits(), 0, Familiar())
    assert feed_large(walker, header, mebibytes, end) < 300_000
    (value,) = walker.model.bulk.values()
    assert value.length >= mebibytes << 20


def test_two_thousand_frames_of_attributes_take_little_memory():
    position = element(0x00200032, b"DS", b"1.5\\2\\3 ")
    groups = b"".join(sequence(tag, item(position)) for tag in range(0x00209110, 0x00209118))
    frame = item(groups)
    tracemalloc.start()
    try:
        walker = Walker(EXPLICIT_LITTLE, ScanLimits(memory=8 << 20), 0, Familiar())
        walker.feed(element(0x52009230, b"SQ", b"", 2_000 * len(frame)))
        for _ in range(2_000):
            walker.feed(frame)
        walker.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    items = walker.model.root["52009230"]["Value"]
    assert len(items) == 2_000
    assert msgspec.json.decode(msgspec.json.encode(items[1_999])) == msgspec.json.decode(
        msgspec.json.encode(items[0])
    )


@pytest.mark.parametrize("undefined", [True, False])
def test_a_sequence_of_too_many_items_becomes_bulk_data(undefined):
    block = item(NAME) * 1000
    count = 100
    length = UNDEFINED if undefined else count * len(block)
    walker = Walker(EXPLICIT_LITTLE, ScanLimits(memory=1 << 20), 0, Familiar())
    tracemalloc.start()
    try:
        walker.feed(element(0x52009230, b"SQ", b"", length))
        for _ in range(count // 10):
            walker.feed(block * 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    walker.feed(SEQUENCE_END if undefined else b"")
    walker.feed(element(0x52009231, b"LO", b"behind"))
    walker.finish()
    assert walker.model.root["52009230"] == {"vr": "UN", "BulkDataURI": "52009230"}
    assert walker.model.bulk == {"52009230": BulkValue("UN", 12, count * len(block))}
    assert walker.model.root["52009231"]["Value"] == ["behind"]
    assert peak < 3 << 20


def test_endless_elements_and_fragments_end():
    with pytest.raises(NotDicom, match="too many elements"):
        walk(sequence(0x00081110, *[item()] * 1000), steps=500)
    with pytest.raises(NotDicom, match="fragments"):
        walk(element(0x7FE00010, b"OB", item() * 300, UNDEFINED), fragments=200)
    flat = b"".join(element(tag, b"LO", b"x" * 64) for tag in range(0x00091000, 0x00093000))
    with pytest.raises(NotDicom, match="more elements"):
        walk(flat, memory=1 << 20)
