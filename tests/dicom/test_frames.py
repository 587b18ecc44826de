"""Frames are found where pydicom finds them, and layouts survive the index."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames, get_frame
from pydicom.pixels.utils import get_expected_length, pack_bits

from edge.dicom.frames import (
    BulkValue,
    Extent,
    Layout,
    PixelLayout,
    frame_starts,
)
from edge.errors import InstanceNotFound
from tests.dicom.streams import SEQUENCE_END, UNDEFINED, element, instance

RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
MPEG4 = "1.2.840.10008.1.2.4.102"


def joined(stream: bytes, extents: Iterable[Extent]) -> bytes:
    return b"".join(stream[e.offset : e.offset + e.length] for e in extents)


def frame_in(stream: bytes, pixels: PixelLayout, number: int, piece: int = 5) -> bytes:
    """A frame, its bits moved to where they belong, fed piece by piece."""
    data = joined(stream, pixels.extents(number))
    if (bits := pixels.bits(number)) is not None:
        pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        data = b"".join([*map(bits.feed, pieces), bits.finish()])
    assert pixels.frame_length(number) == len(data)
    return data


def image(transfer_syntax: str, frames: int, pixel_data: bytes, more: bytes = b"") -> bytes:
    """A stream with little more than frames; ``pixel_data`` is encapsulated already."""
    number = element(0x00280008, b"IS", str(frames).encode().ljust(4))
    pixels = element(0x7FE00010, b"OB", pixel_data, UNDEFINED) + SEQUENCE_END
    return instance(end=number + more + pixels, transfer_syntax=transfer_syntax)


def test_frames_of_packaged_images_are_those_of_pydicom(scanned):
    if scanned.path.name == "badVR.dcm":
        pytest.skip("its Number of Frames is '1A'")
    dataset = pydicom.dcmread(scanned.path)
    pixels = scanned.layout.pixels
    if "PixelData" not in dataset:
        assert pixels is None
        return
    assert pixels is not None
    count = int(dataset.get("NumberOfFrames") or 1)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
        assert expected[-1] == get_frame(dataset.PixelData, count - 1, number_of_frames=count)
    elif "Rows" not in dataset:
        expected = [dataset.PixelData]
    else:
        length = get_expected_length(dataset) // count
        expected = [dataset.PixelData[i * length : (i + 1) * length] for i in range(count)]
        if scanned.path.name == "SC_rgb_small_odd_big_endian.dcm":
            # 27 bytes, of which the last stands second in its word.
            expected = [b"".join((dataset.PixelData[:26], b"\0", dataset.PixelData[27:]))]
    assert pixels.number_of_frames == count
    for number, frame in enumerate(expected, 1):
        assert frame_in(scanned.offsets_in, pixels, number, piece=4096) == frame
    for ask in (pixels.extents, pixels.frame_length):
        with pytest.raises(InstanceNotFound):
            ask(count + 1)


@pytest.mark.parametrize("has_table", [True, False])
def test_several_fragments_per_frame(scan, has_table):
    frames = [b"\xff\xd8\xff" + bytes([n]) * (40 + n) for n in range(5)]
    stream = image(JPEG, 5, encapsulate(frames, fragments_per_frame=3, has_bot=has_table))
    pixels = scan(stream).layout.pixels
    assert len(pixels.fragments) == 15
    for number, frame in enumerate(frames, 1):
        found = joined(stream, pixels.extents(number))
        assert found[: len(frame)] == frame
        assert len(list(pixels.extents(number))) == 3
        assert pixels.frame_length(number) == len(found)


def test_the_extended_offset_table_knows_the_padding(scan):
    frames = [b"\xff\xd8\xff" + bytes(n) for n in (4, 9, 12)]
    data, offsets, _padded = encapsulate_extended(frames)
    lengths = struct.pack("<3Q", *map(len, frames))
    tables = element(0x7FE00001, b"OV", offsets) + element(0x7FE00002, b"OV", lengths)
    stream = image(JPEG, 3, data, tables)
    pixels = scan(stream).layout.pixels
    for index, frame in enumerate(frames):
        assert frame_in(stream, pixels, index + 1) == frame
        assert frame == get_frame(data, index, extended_offsets=(offsets, lengths))


def test_a_lying_offset_table_is_not_believed(scan):
    good = encapsulate([b"one!", b"two!"])
    lying = good[:8] + b"\x03\x00\x00\x00" + good[12:]
    for data in (good, lying):
        stream = image(RLE, 2, data)
        pixels = scan(stream).layout.pixels
        assert [joined(stream, pixels.extents(n)) for n in (1, 2)] == [b"one!", b"two!"]


def test_frames_whose_ends_cannot_be_told_are_not_found(scan):
    pixels = scan(image(RLE, 2, encapsulate([b"abc", b"def", b"ghi"], has_bot=False))).layout.pixels
    for frame in (1, 2):
        with pytest.raises(InstanceNotFound):
            pixels.extents(frame)


def test_a_video_is_one_stream(scan):
    stream = image(MPEG4, 250, encapsulate([b"begin", b"go on"], has_bot=False))
    pixels = scan(stream).layout.pixels
    assert joined(stream, pixels.extents(1)) == b"begin\0go on\0"
    assert joined(stream, pixels.all_fragments()) == b"begin\0go on\0"
    with pytest.raises(InstanceNotFound):
        pixels.extents(2)


@pytest.mark.parametrize("frame", [0, -1, 4])
def test_frames_count_from_one(frame):
    with pytest.raises(InstanceNotFound):
        PixelLayout(3, 100, 30, 80).extents(frame)


def test_native_frames_follow_each_other():
    pixels = PixelLayout(3, 100, 30, 80)
    assert [list(pixels.extents(n)) for n in (1, 2, 3)] == [
        [Extent(100, 10)],
        [Extent(110, 10)],
        [Extent(120, 10)],
    ]


def test_a_frame_beyond_the_value_is_not_found():
    pixels = PixelLayout(3, 100, 25, 80)
    with pytest.raises(InstanceNotFound):
        pixels.extents(3)


@given(st.integers(1, 70), st.integers(1, 6), st.integers(1, 9), st.randoms(use_true_random=False))
def test_frames_of_single_bits_begin_inside_bytes(pixels_per_frame, frames, piece, random):
    images = [[random.randrange(2) for _ in range(pixels_per_frame)] for _ in range(frames)]
    packed = pack_bits(np.array(images, "u1").ravel(), pad=False)
    pixels = PixelLayout(frames, 0, len(packed), pixels_per_frame)
    for number, pixel_values in enumerate(images, 1):
        found = frame_in(packed, pixels, number, piece)
        assert found == pack_bits(np.array(pixel_values, "u1"), pad=False)


@given(st.integers(1, 70), st.integers(1, 6), st.integers(1, 9), st.randoms(use_true_random=False))
def test_frames_in_big_endian_words_begin_inside_words(pixels_per_frame, frames, piece, random):
    images = [random.randbytes(pixels_per_frame) for _ in range(frames)]
    value = turned(b"".join(images))
    pixels = PixelLayout(frames, 0, len(value), pixels_per_frame * 8, word_bits=16)
    for number, pixel_values in enumerate(images, 1):
        assert frame_in(value, pixels, number, piece) == turned(pixel_values)


def turned(data: bytes) -> bytes:
    """Bytes in words of the other order, the last word filled up with 0."""
    return np.frombuffer(data + bytes(len(data) % 2), "<u2").byteswap().tobytes()


@given(
    st.integers(1, 6).flatmap(
        lambda frames: st.lists(
            st.lists(st.integers(1, 50), min_size=1, max_size=4), min_size=frames, max_size=frames
        )
    )
)
def test_an_offset_table_gives_the_boundaries(frames):
    fragments = [length * 2 for frame in frames for length in frame]
    offsets, first = [], []
    position = index = 0
    for frame in frames:
        offsets.append(position)
        first.append(index)
        position += sum(length * 2 + 8 for length in frame)
        index += len(frame)
    starts = frame_starts(len(frames), fragments, [], offsets=offsets)
    assert (list(range(len(frames))) if starts is None else list(starts)) == first
    starts = frame_starts(len(frames), fragments, first)
    assert (list(range(len(frames))) if starts is None else list(starts)) == first


@given(
    st.integers(1, 12),
    st.lists(st.integers(0, 3).map(lambda half: half * 2), max_size=10),
    st.sets(st.integers(0, 9)),
    st.lists(st.integers(0, 99), max_size=12),
)
def test_where_there_is_a_frame_there_are_all_before_it(count, fragments, opening, offsets):
    pixels = PixelLayout(count, 0, 0, encapsulated=True, fragments=array("I", fragments))
    opening = sorted(index for index in opening if index < len(fragments))
    pixels.starts = frame_starts(count, fragments, opening, offsets=offsets)
    native = PixelLayout(count, 0, len(fragments), 12)
    for layout in (pixels, native):
        there = [is_there(layout, number) for number in range(count + 2)]
        assert there == [False, *sorted(there[1:-1], reverse=True), False]


def test_empty_fragments_do_not_count_as_frames():
    assert list(frame_starts(2, [4, 0, 4], [])) == [0, 2]
    assert not list(frame_starts(2, [], []))


def test_a_layout_survives_the_index():
    bulk = {
        "7FE00010": BulkValue("OB", 10, 20, encapsulated=True),
        "54000100/0/54001010": BulkValue("OW", 1, 2),
    }
    pixels = PixelLayout(2, 18, 12, encapsulated=True, fragments=array("I", [4, 6, 8]))
    pixels.starts = array("I", [0, 2])
    layout = Layout(bulk, deflated=True, pixels=pixels)
    again = Layout.from_bytes(layout.to_bytes())
    assert again == layout
    assert list(again.pixels.extents(2)) == [Extent(18 + 8 + 4 + 8 + 6 + 8, 8)]
    assert Layout.from_bytes(Layout().to_bytes()) == Layout()
    words = Layout(pixels=PixelLayout(2, 18, 30, 120, word_bits=16))
    assert Layout.from_bytes(words.to_bytes()) == words


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"\x01abc", b"\x01" + b"x\x9c"])
def test_what_is_no_layout_is_refused(data):
    with pytest.raises(ValueError, match="layout"):
        Layout.from_bytes(data)


def test_a_layout_of_many_frames_stays_small():
    lengths = array("I", [30000 + n % 1000 for n in range(1000)])
    layout = Layout(
        pixels=PixelLayout(1000, 2000, 31_000_000, encapsulated=True, fragments=lengths)
    )
    assert len(layout.to_bytes()) < 5000


def is_there(pixels: PixelLayout, number: int) -> bool:
    try:
        pixels.frame_length(number)
    except InstanceNotFound:
        return False
    return True
