"""Data sets encoded anew: every value keeps its bytes, in every encoding and however it arrives."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dicom.builder import ScanLimits
from edge.dicom.codec import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from edge.dicom.familiar import Familiar
from edge.dicom.recoder import Recoder, Replacement
from edge.dicom.walker import Walker
from edge.errors import NotDicom

CODECS = {"implicit": IMPLICIT_LITTLE, "explicit": EXPLICIT_LITTLE, "big": EXPLICIT_BIG}
LONG = "OB OD OF OL OV OW SQ UC UN UR UT".split()
UNDEFINED = 0xFFFFFFFF


def element(codec, tag, vr, value, length=None):
    length = len(value) if length is None else length
    order = ">" if codec is EXPLICIT_BIG else "<"
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if codec.implicit:
        return head + struct.pack("<I", length) + value
    if vr in LONG:
        return head + vr.encode() + bytes(2) + struct.pack(f"{order}I", length) + value
    return head + vr.encode() + struct.pack(f"{order}H", length) + value


def item(codec, tag=0xFFFEE000, value=b"", length=None):
    order = ">" if codec is EXPLICIT_BIG else "<"
    length = len(value) if length is None else length
    return struct.pack(f"{order}HHI", tag >> 16, tag & 0xFFFF, length) + value


def sequence(codec, tag, *items, defined=False):
    """With undefined lengths, as the recoder writes them, or with defined ones."""
    if defined:
        return element(codec, tag, "SQ", b"".join(item(codec, value=one) for one in items))
    end = item(codec, 0xFFFEE00D)
    body = b"".join(item(codec, length=UNDEFINED) + one + end for one in items)
    return element(codec, tag, "SQ", body + item(codec, 0xFFFEE0DD), UNDEFINED)


def data_set(codec, *, defined=False):
    """The same values in any encoding."""
    order = ">" if codec is EXPLICIT_BIG else "<"

    def words(*values):
        return struct.pack(f"{order}{len(values)}H", *values)

    inner = element(codec, 0x00080100, "SH", b"CODE") + element(
        codec, 0x00409225, "FD", struct.pack(f"{order}d", 1.5)
    )
    nested = sequence(codec, 0x00081140, inner, b"", defined=defined)
    return b"".join(
        [
            element(codec, 0x00080005, "CS", b"ISO_IR 192"),
            sequence(codec, 0x00081110, nested, defined=defined),
            element(codec, 0x00090010, "LO", b"ACME"),
            element(codec, 0x00280010, "US", words(2)),
            element(codec, 0x00280103, "US", words(1)),
            element(codec, 0x00280106, "SS", words(0xFFFE)),
            element(codec, 0x00281201, "OW", words(1, 2, 3)),
            element(codec, 0x7FE00010, "OW", words(0x0102, 0x0304)),
        ]
    )


def recoded(source, target, data, step=1 << 20, **options):
    recoder = Recoder(source, target, 0, **options)
    pieces = [recoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(pieces) + recoder.finish()


@pytest.mark.parametrize("target", CODECS)
@pytest.mark.parametrize("source", CODECS)
@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_data_set_says_the_same_in_every_encoding(source, target, defined, step):
    source, target = CODECS[source], CODECS[target]
    turned = (source is EXPLICIT_BIG) != (target is EXPLICIT_BIG)
    found = recoded(
        source,
        target,
        data_set(source, defined=defined),
        step,
        cell_bytes=2,
        swapped_pixels=turned,
    )
    assert found == data_set(target)


def test_group_lengths_go_and_trailing_zeros_too():
    codec = EXPLICIT_LITTLE
    plain = element(codec, 0x00080060, "CS", b"CT")
    for zeros in (0, 2, 4, 6, 8, 40):
        data = element(codec, 0x00080000, "UL", b"\x0a\0\0\0") + plain + bytes(zeros)
        assert recoded(codec, codec, data) == plain


def test_what_stood_as_unknown_stays_so():
    data = element(EXPLICIT_LITTLE, 0x00091001, "UN", b"\x01\x02\x03\x04")
    assert recoded(EXPLICIT_LITTLE, EXPLICIT_BIG, data) == element(
        EXPLICIT_BIG, 0x00091001, "UN", b"\x01\x02\x03\x04"
    )


def test_unknown_sequences_of_undefined_length_become_sequences():
    inner = element(IMPLICIT_LITTLE, 0x00080100, "SH", b"CODE")
    body = item(IMPLICIT_LITTLE, length=UNDEFINED) + inner + item(IMPLICIT_LITTLE, 0xFFFEE00D)
    end = item(IMPLICIT_LITTLE, 0xFFFEE0DD)
    data = element(EXPLICIT_LITTLE, 0x00081140, "UN", body + end, UNDEFINED)
    expected = sequence(
        EXPLICIT_LITTLE, 0x00081140, element(EXPLICIT_LITTLE, 0x00080100, "SH", b"CODE")
    )
    assert recoded(EXPLICIT_LITTLE, EXPLICIT_LITTLE, data) == expected


def test_text_that_is_too_long_for_its_vr_becomes_unknown():
    data = element(IMPLICIT_LITTLE, 0x00104000, "LT", b"x" * 70_000)
    found = recoded(IMPLICIT_LITTLE, EXPLICIT_LITTLE, data)
    assert found == element(EXPLICIT_LITTLE, 0x00104000, "UN", b"x" * 70_000)


def test_values_are_replaced_and_put_where_they_belong():
    codec = EXPLICIT_BIG
    data = element(IMPLICIT_LITTLE, 0x00280004, "CS", b"YBR_RCT ") + element(
        IMPLICIT_LITTLE, 0x00280010, "US", b"\x02\0"
    )
    replaced = {
        0x00280006: Replacement("US", b"\1\0"),
        0x00280004: Replacement("CS", b"RGB "),
        0x00282110: Replacement("CS", b"01"),
    }
    assert recoded(IMPLICIT_LITTLE, codec, data, replaced=replaced) == b"".join(
        [
            element(codec, 0x00280004, "CS", b"RGB "),
            element(codec, 0x00280006, "US", b"\0\1"),
            element(codec, 0x00280010, "US", b"\0\2"),
            element(codec, 0x00282110, "CS", b"01"),
        ]
    )


def test_the_walk_stops_at_the_pixels_and_goes_on_behind_them():
    codec = EXPLICIT_LITTLE
    before = element(codec, 0x00280010, "US", b"\2\0")
    tables = element(codec, 0x7FE00001, "OV", bytes(8))
    pixels = element(codec, 0x7FE00010, "OW", b"1234")
    behind = element(codec, 0xFFFCFFFC, "OB", b"zz")
    data = before + tables + pixels + behind
    recoder = Recoder(codec, codec, 100, apart=True)
    assert recoder.feed(data) == before
    assert recoder.pixels is not None
    at = 100 + data.index(b"1234")
    assert (recoder.pixels.position, recoder.pixels.length) == (at, 4)
    recoder.resume(at + 4)
    assert recoder.feed(behind) + recoder.finish() == behind


def test_icons_that_are_encapsulated_are_copied():
    def icon(codec):
        fragments = item(codec) + item(codec, value=b"\xff\xd8\xff\xd9") + item(codec, 0xFFFEE0DD)
        return sequence(codec, 0x00880200, element(codec, 0x7FE00010, "OB", fragments, UNDEFINED))

    assert recoded(EXPLICIT_LITTLE, EXPLICIT_BIG, icon(EXPLICIT_LITTLE)) == icon(EXPLICIT_BIG)
    assert recoded(IMPLICIT_LITTLE, EXPLICIT_LITTLE, icon(IMPLICIT_LITTLE)) == icon(EXPLICIT_LITTLE)


@pytest.mark.parametrize("cut", range(1, len(data_set(EXPLICIT_LITTLE)), 3))
def test_a_data_set_that_ends_early_is_refused_or_ends_between_elements(cut):
    whole = data_set(EXPLICIT_LITTLE)
    try:
        found = recoded(EXPLICIT_LITTLE, EXPLICIT_LITTLE, whole[:cut])
    except NotDicom:
        return
    assert found == whole[:cut]


def test_sequences_beyond_measure_are_refused():
    deep = element(EXPLICIT_LITTLE, 0x00081140, "SQ", b"", UNDEFINED) + item(
        EXPLICIT_LITTLE, length=UNDEFINED
    )
    with pytest.raises(NotDicom, match="nested deeper"):
        recoded(EXPLICIT_LITTLE, IMPLICIT_LITTLE, deep * 2000)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(CODECS)),
    st.sampled_from(sorted(CODECS)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(1, 300),
)
def test_damaged_data_sets_are_refused_and_never_anything_worse(source, target, damage, step):
    source, target = CODECS[source], CODECS[target]
    data = bytearray(data_set(source))
    for position, value in damage:
        data[position % len(data)] = value
    try:
        found = recoded(source, target, bytes(data), step)
    except NotDicom:
        return
    assert len(found) <= 3 * len(data) + 64


_DELIMITERS = (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(sorted(CODECS)),
    st.sampled_from(sorted(CODECS)),
    st.booleans(),
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(0, 8),
            st.binary(max_size=8) | st.integers(0, 11).map(bytes) | st.sampled_from(_DELIMITERS),
        ),
        max_size=3,
    ),
    st.integers(0, 9),
    st.integers(1, 300),
)
def test_whatever_is_admitted_can_be_encoded_anew(source, target, defined, damage, zeros, step):
    source, target = CODECS[source], CODECS[target]
    data = data_set(source, defined=defined)
    for position, cut, other in damage:
        put = other if isinstance(other, bytes) else item(source, other, length=cut)
        data = data[:position] + put + data[position + cut :]
    data += bytes(zeros)
    walker = Walker(source, ScanLimits(), 0, Familiar())
    try:
        walker.feed(data)
        walker.finish()
    except NotDicom:
        return
    recoded(source, target, data, step)
