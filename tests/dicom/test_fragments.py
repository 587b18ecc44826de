"""Fragments of an encapsulated value are noted, never held."""

from __future__ import annotations

import struct

import pytest
from pydicom.encaps import encapsulate

from edge.dicom.fragments import Fragments
from edge.errors import NotDicom

DELIMITER = b"\xfe\xff\xdd\xe0" + bytes(4)


def walk(stream: bytes, most: int = 100) -> Fragments:
    fragments = Fragments("OB", 1000, most)
    pos = 0
    while fragments.value is None:
        pos, need = fragments.step(stream, pos, 1000)
        assert not need, "the stream is whole"
    return fragments


def test_lengths_offset_table_and_start_markers_are_noted():
    stream = encapsulate([b"\xff\xd8\xff\xe0aa", b"\xff\x4f\xff\x51bb", b"other!"]) + DELIMITER
    found = walk(stream)
    assert list(found.lengths) == [6, 6, 6]
    assert list(found.opening) == [0, 1]
    assert struct.unpack("<3I", found.table) == (0, 14, 28)
    assert found.first == 1000 + 8 + 12
    assert (found.value.offset, found.value.length) == (1000, len(stream) - 8)
    assert found.value.encapsulated


def test_it_says_how_many_bytes_it_wants():
    fragments = Fragments("OB", 0, 100)
    stream = encapsulate([b"abcdef"])
    assert fragments.step(stream[:7], 0, 0) == (0, 8)
    assert fragments.step(stream[:8], 0, 0) == (0, 12), "the offset table is read"
    assert fragments.step(stream[:12], 0, 0) == (12, 0)
    assert fragments.step(stream[:20], 12, 0) == (12, 12), "the start marker is looked at"
    assert fragments.step(stream[:24], 12, 0) == (26, 0), "the rest may pass by"


@pytest.mark.parametrize(
    "stream",
    [
        b"\x10\x00\x10\x00" + bytes(4),
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
        b"\xfe\xff\x0d\xe0" + bytes(4),
    ],
)
def test_anything_else_is_refused(stream):
    with pytest.raises(NotDicom):
        Fragments("OB", 0, 100).step(stream, 0, 0)


def test_too_many_fragments_are_refused():
    with pytest.raises(NotDicom, match="too many"):
        walk(encapsulate([b"ab"] * 4) + DELIMITER, most=3)
