"""Element headers of every encoding are read, and those that nobody should write."""

from __future__ import annotations

import struct

import pytest

from edge.dicom.codec import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_ELEMENTS,
    IMPLICIT_LITTLE,
    PLAIN_KEYS,
    read_header,
    true_codec,
)
from edge.errors import NotDicom

NAME = 0x00100010
ITEM = b"\xfe\xff\x00\xe0" + bytes(4)


def short(vr: bytes, length: int, order: str = "<") -> bytes:
    return struct.pack(order + "HH2sH", 0x0010, 0x0010, vr, length) + bytes(8)


def long(vr: bytes, length: int, order: str = "<") -> bytes:
    return struct.pack(order + "HH2sHI", 0x0010, 0x0010, vr, 0, length) + bytes(8)


def test_short_long_and_implicit_headers():
    assert read_header(EXPLICIT_LITTLE, NAME, short(b"PN", 6), 0, {})[0::2] == ("PN", 8, False)
    assert read_header(EXPLICIT_BIG, NAME, short(b"PN", 6, ">"), 0, {}).length == 6
    assert read_header(EXPLICIT_LITTLE, NAME, long(b"UT", 70000), 0, {})[2:4] == (12, 70000)
    implicit = struct.pack("<HHI", 0x0010, 0x0010, 6)
    header = read_header(IMPLICIT_LITTLE, NAME, implicit, 0, {})
    assert (header.vr, header.start, header.length, header.looked_up) == ("PN", 8, 6, True)


def test_a_long_header_wants_twelve_bytes():
    assert read_header(EXPLICIT_LITTLE, NAME, long(b"OB", 2)[:11], 0, {}) is None


def test_unknown_is_looked_up_and_read_as_implicit_vr():
    header = read_header(EXPLICIT_BIG, NAME, long(b"UN", 6, ">"), 0, {})
    assert (header.vr, header.content, header.length) == ("PN", IMPLICIT_LITTLE, 6)
    undefined = read_header(EXPLICIT_LITTLE, NAME, long(b"UN", 0xFFFFFFFF), 0, {})
    assert undefined.vr == "SQ"


def test_a_vr_to_come_is_unknown_bytes_with_a_long_length():
    header = read_header(EXPLICIT_LITTLE, NAME, long(b"ZZ", 70000), 0, {})
    assert (header.vr, header.start, header.length) == ("UN", 12, 70000)
    assert read_header(EXPLICIT_LITTLE, NAME, short(b"ZZ", 4), 0, {}).start == 8
    assert read_header(EXPLICIT_LITTLE, NAME, long(b"ZZ", 4)[:9], 0, {}) is None


def test_a_single_implicit_header_among_explicit_ones_is_understood():
    stray = struct.pack("<HHI", 0x0010, 0x0010, 6)
    assert read_header(EXPLICIT_LITTLE, NAME, stray, 0, {}).content is IMPLICIT_LITTLE


@pytest.mark.parametrize("codec", [EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_rubbish_is_no_header(codec):
    with pytest.raises(NotDicom):
        read_header(codec, NAME, b"\x10\x00\x10\x00\x99\x88\x77\x66", 0, {})


def test_a_guessed_sequence_must_look_like_one():
    sequence = 0x00081140
    window = struct.pack("<HHI", 0x0008, 0x1140, 8)
    assert read_header(IMPLICIT_LITTLE, sequence, window + ITEM, 0, {}).holds_items(window + ITEM)
    other = window + b"no items"
    assert not read_header(IMPLICIT_LITTLE, sequence, other, 0, {}).holds_items(other)
    assert not read_header(IMPLICIT_LITTLE, sequence, window, 0, {}).is_complete(window)


def test_the_first_element_shows_the_true_encoding():
    assert true_codec(IMPLICIT_LITTLE, b"CS") is EXPLICIT_LITTLE
    assert true_codec(IMPLICIT_LITTLE, b"\x0a\x00") is IMPLICIT_LITTLE
    assert true_codec(EXPLICIT_LITTLE, b"\x0a\x00") is IMPLICIT_LITTLE
    assert true_codec(EXPLICIT_LITTLE, b"CS") is EXPLICIT_LITTLE
    assert true_codec(EXPLICIT_BIG, b"\x00\x0a") is EXPLICIT_BIG


def test_the_quick_tables_leave_out_what_wants_care():
    for special in (0x00080005, 0x0020000D, 0x7FE00010, 0xFFFEE00D, 0x00283006, 0x00020010):
        assert not PLAIN_KEYS[special]
        assert special not in IMPLICIT_ELEMENTS
    assert PLAIN_KEYS[NAME] == "00100010"
    assert 0x00280106 not in IMPLICIT_ELEMENTS, "US or SS"
