"""What a scanner remembers of other instances never shows in what it says of this one."""

from __future__ import annotations

import random
import struct

import msgspec
import pytest

from edge.dicom.builder import ScanLimits
from edge.dicom.familiar import _LONGEST, _MOST, _MOST_MEMORY, Familiar
from edge.dicom.part10 import file_meta
from edge.dicom.scanner import InstanceScanner
from edge.errors import InvalidInstance
from tests.samples import ct_series, legal_files, sample_uid

LIMITS = ScanLimits()
EXPLICIT, BIG, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2"


def told(
    stream: bytes,
    familiar: Familiar | None = None,
    piece: int = 65536,
    limits: ScanLimits = LIMITS,
) -> object:
    """All that a scan tells, in its order."""
    scanner = InstanceScanner(familiar=familiar, limits=limits)
    try:
        for start in range(0, len(stream), piece):
            scanner.feed(stream[start : start + piece])
        found = scanner.finish()
    except InvalidInstance as error:
        return str(error)
    return found.ref, msgspec.json.encode(found.attributes), found.layout.to_bytes(), scanner.memory


def instance(elements: bytes, syntax: str) -> bytes:
    """An object with these elements between its UIDs; they must stand in group 0010 to 0018."""
    order = ">" if syntax == BIG else "<"

    def uid(group: int, number: int, value: str) -> bytes:
        text = value.encode() + b"\0" * (len(value) % 2)
        if syntax == IMPLICIT:
            return struct.pack("<HHI", group, number, len(text)) + text
        return struct.pack(order + "HH2sH", group, number, b"UI", len(text)) + text

    meta = file_meta(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        sop_uid=sample_uid("familiar"),
        transfer_syntax=syntax,
        source_ae="A",
        receiving_ae="B",
    )
    head = uid(0x0008, 0x0016, "1.2.840.10008.5.1.4.1.1.7")
    head += uid(0x0008, 0x0018, sample_uid("familiar"))
    tail = uid(0x0020, 0x000D, sample_uid("study")) + uid(0x0020, 0x000E, sample_uid("series"))
    return meta + head + elements + tail


def test_every_packaged_file_is_told_as_if_it_were_the_first():
    files = [path.read_bytes() for path in legal_files()]
    alone = [told(stream) for stream in files]
    familiar, turns = Familiar(), list(range(len(files))) * 3
    random.Random(1).shuffle(turns)
    for turn in turns:
        assert (
            told(files[turn], familiar, piece=random.Random(turn).choice([997, 65536]))
            == (alone[turn])
        )
    assert familiar.elements


def test_of_the_next_image_of_a_series_most_is_familiar():
    first, second, _ = (item.data for item in ct_series(3, seed=5))
    familiar = Familiar()
    told(first, familiar)
    before = len(familiar.elements)
    assert before > 60
    assert told(second, familiar) == told(second)
    assert len(familiar.elements) < before * 1.3


def test_images_that_arrive_at_the_same_time_do_not_mix():
    streams = [next(iter(ct_series(1, seed=seed))).data for seed in (1, 2)]
    familiar = Familiar()
    scanners = [InstanceScanner(familiar=familiar) for _ in streams]
    for start in range(0, max(map(len, streams)), 300):
        for scanner, stream in zip(scanners, streams, strict=True):
            scanner.feed(stream[start : start + 300])
    for scanner, stream in zip(scanners, streams, strict=True):
        found = scanner.finish()
        assert (found.ref, msgspec.json.encode(found.attributes)) == told(stream)[:2]


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", "ISO_IR 144", "GB18030"])
def test_the_same_bytes_in_another_character_set_are_other_text(character_set):
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 4) + b"\xc3\xa4\xd0\xb0"
    terms = character_set.encode() + b" " * (len(character_set) % 2)
    charset = struct.pack("<HH2sH", 0x0010, 0x0009, b"LO", 2) + b"x "
    familiar = Familiar()
    told(instance(charset + name, EXPLICIT), familiar)
    # (0008,0005) stands before (0008,0016).
    stream = instance(charset + name, EXPLICIT)
    meta_length = (
        len(stream)
        - len(stream.partition(b"DICM")[2])
        + struct.unpack("<I", stream[140:144])[0]
        + 12
    )
    marked = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", len(terms)) + terms
    other = stream[:meta_length] + marked + stream[meta_length:]
    assert told(other, familiar) == told(other)
    assert told(other, familiar) != told(stream, familiar)


def test_what_a_private_element_means_depends_on_what_is_before_it():
    # Implicit VR: the creator, which may be another one in the next instance, gives the VR.
    def private(creator: bytes) -> bytes:
        owner = struct.pack("<HHI", 0x0019, 0x0010, len(creator)) + creator
        value = struct.pack("<HHI", 0x0019, 0x1002, 2) + b"12"
        return owner + value

    familiar = Familiar()
    for creator in (b"GEMS_ACQU_01", b"SIEMENS MR HEADER ", b"NOBODY"):
        stream = instance(private(creator + b" " * (len(creator) % 2)), IMPLICIT)
        for _ in range(2):
            assert told(stream, familiar) == told(stream)


def test_the_same_bytes_in_another_byte_order_are_another_number():
    familiar = Familiar()
    value = b"\x01\x00"
    for syntax, order in ((EXPLICIT, "<"), (BIG, ">"), (EXPLICIT, "<")):
        element = struct.pack(order + "HH2sH", 0x0018, 0x9219, b"US", 2) + value
        stream = instance(element, syntax)
        assert told(stream, familiar) == told(stream)


def test_what_was_met_in_another_character_set_is_met_anew():
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 4) + b"A^B "
    charset = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 10) + b"ISO_IR 192"
    familiar, decoders = Familiar(), []
    for head in (b"", charset, b""):
        stream = instance(name, EXPLICIT)
        at = stream.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI"))
        told(stream[:at] + head + stream[at:], familiar)
        decoders.append(familiar.elements[name][5])
    first, other, last = decoders
    assert first is last is not other


def test_what_ends_its_item_too_late_is_refused_also_when_it_is_familiar():
    familiar = Familiar()
    element = struct.pack("<HH2sH", 0x0018, 0x1030, b"LO", 6) + b"abcdef"

    def sequence(item_length: int) -> bytes:
        item = struct.pack("<HHI", 0xFFFE, 0xE000, item_length) + element
        return struct.pack("<HH2sHI", 0x0018, 0x0012, b"SQ", 0, len(item)) + item

    whole = instance(sequence(len(element)), EXPLICIT)
    assert told(whole, familiar) == told(whole)
    short = instance(sequence(len(element) - 2), EXPLICIT)
    assert "item" in str(told(short))
    assert told(short, familiar) == told(short)


def in_item(tag: tuple[int, int], content: bytes) -> bytes:
    """A sequence of one item."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
    return struct.pack("<HH2sHI", *tag, b"SQ", 0, len(item)) + item


def test_a_number_in_a_sequence_has_the_sign_of_its_own_instance():
    familiar = Familiar()
    smallest = struct.pack("<HH2sHI", 0x0028, 0x0106, b"UN", 0, 2) + b"\xff\xff"
    sequence = in_item((0x0040, 0x0275), smallest)
    for signed in (1, 0, 1, 0):
        sign = struct.pack("<HH2sHH", 0x0028, 0x0103, b"US", 2, signed)
        stream = instance(sign + sequence, EXPLICIT)
        assert told(stream, familiar) == told(stream)


def test_a_value_in_a_sequence_that_came_twice_is_found_where_it_is():
    familiar = Familiar()
    icon = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 8) + bytes(8)
    sequence = in_item((0x0088, 0x0200), icon)
    between = struct.pack("<HH2sH", 0x0040, 0x0253, b"SH", 6) + b"abcdef"
    for elements in (sequence + between + sequence, between + sequence, sequence):
        stream = instance(elements, EXPLICIT)
        for _ in range(2):
            assert told(stream, familiar) == told(stream)


def element(rng: random.Random, syntax: str, depth: int) -> bytes:
    """Some element, perhaps a sequence of some; those of one item are in no order."""
    number = rng.choice([0x0012, 0x0013, 0x1030, 0x9219, 0x0022, 0x0103, 0x0106, 0x0107])
    group = rng.choice([0x0018, 0x0018, 0x0028, 0x0008, 0x0019])
    if depth < 3 and rng.random() < 0.4:
        items = b""
        for _ in range(rng.randrange(3)):
            content = b"".join(
                element(rng, syntax, depth + 1) for _ in range(rng.choice([0, 1, 2, 5]))
            )
            if rng.random() < 0.5:
                items += struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content
            else:
                items += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + content
                items += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        length = len(items) if rng.random() < 0.5 else 0xFFFFFFFF
        if length == 0xFFFFFFFF:
            items += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        if syntax == IMPLICIT:
            return struct.pack("<HHI", group, number, length) + items
        vr = rng.choice([b"SQ", b"SQ", b"SQ", b"UN"])
        return struct.pack("<HH2sHI", group, number, vr, 0, length) + items
    vr, value = rng.choice(
        [
            (b"LO", b"abc "),
            (b"LO", b"\xc3\xa4"),
            (b"US", b"\xff\xff"),
            (b"SS", b"\xff\xff"),
            (b"CS", b"ISO_IR 192"),
            (b"OB", bytes(rng.choice([2, 2, 5000]))),
            (b"UN", rng.choice([b"\xff\xff", b"\x01\x00"])),
            (b"UN", b"12"),
        ]
    )
    if rng.random() < 0.1:
        group, number, vr, value = 0x0008, 0x0005, b"CS", b"ISO_IR 100"
    if syntax == IMPLICIT:
        return struct.pack("<HHI", group, number, len(value)) + value
    if vr in (b"OB", b"UN"):
        return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


@pytest.mark.parametrize("memory", [64 << 20, 6_000, 40_000])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_sequences_that_were_met_before_are_told_as_if_they_were_not(syntax, memory):
    limits = ScanLimits(memory=memory)
    rng, familiar = random.Random(f"{syntax} {memory}"), Familiar()
    pool = [element(rng, syntax, 0) for _ in range(40)]
    for _ in range(300):
        chosen = [rng.choice(pool) for _ in range(rng.randrange(12))]
        if rng.random() < 0.8:
            chosen.sort(key=lambda raw: struct.unpack_from("<HH", raw))
        stream, piece = instance(b"".join(chosen), syntax), rng.choice([1 << 20, 97])
        assert told(stream, familiar, piece, limits) == told(stream, None, piece, limits)
    if syntax == EXPLICIT:
        assert any(cost < 0 for _, _, _, cost, _, _ in familiar.elements.values())


@pytest.mark.parametrize("piece", [1 << 20, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310])
def test_elements_of_the_file_meta_in_a_data_set_are_never_told(piece):
    stray = struct.pack("<HH2sH", 0x0002, 0x0200, b"LO", 40) + b"x" * 40
    stream = instance(b"", EXPLICIT)
    at = stream.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI"))
    stream = stream[:at] + stray + stream[at:]
    assert told(stream, Familiar(), piece)[:2] == told(instance(b"", EXPLICIT))[:2]


def test_it_stays_bounded():
    familiar = Familiar()
    for number in range(_MOST + 500):
        element = struct.pack("<HH2sH", 0x0010, 0x0020, b"LO", 8) + b"%08d" % number
        familiar.meet(0, element, (0x00100020, "00100020", {}, 1, None, None))
    assert len(familiar.elements) <= _MOST
    for number in range(3 * _MOST):
        familiar.meet(number, b"short", (0x00100020, "00100020", {}, 1, None, None))
    assert len(familiar.following) <= _MOST
    familiar = Familiar()
    long = struct.pack("<HH2sH", 0x0010, 0x4000, b"LT", _LONGEST) + b"x" * _LONGEST
    stream = instance(long, EXPLICIT)
    assert told(stream, familiar) == told(stream)
    assert not any(len(raw) > _LONGEST for raw in familiar.elements)
    familiar = Familiar()
    for number in range(_MOST):
        cost = -_MOST_MEMORY // 50
        familiar.meet(0, b"%d" % number, (0x00180012, "00180012", {}, cost, None, None))
        assert len(familiar.elements) <= 50
