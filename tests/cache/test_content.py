"""Content by range: pieces stay small, and say the same as the whole."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cache.content import PIECE, InflatedContent, clipped, gathered
from edge.dicom.frames import Extent
from edge.errors import NotDicom
from tests.dicom.streams import part10

DEFLATED = "1.2.840.10008.1.2.1.99"


class Memory:
    """Bytes that count how often they are read."""

    def __init__(self, data: bytes, piece: int = 100_000) -> None:
        self.data, self.piece, self.reads = data, piece, 0

    async def read(self, offset, length):
        self.reads += 1
        return self.data[offset : offset + length]

    async def stream(self, offset=0, length=None):
        end = len(self.data) if length is None else offset + length
        for at in range(offset, end, self.piece):
            yield self.data[at : min(at + self.piece, end)]


def deflated(data: bytes) -> bytes:
    """A Part 10 file whose data set is this, deflated."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return part10(compressor.compress(data) + compressor.flush(), DEFLATED)


async def pieces_of(stream):
    return [piece async for piece in stream]


async def test_what_inflates_to_much_comes_in_small_pieces():
    data = b"begin" + bytes(24 * PIECE) + b"end"
    file = deflated(data)
    assert len(file) < PIECE
    pieces = await pieces_of(InflatedContent(Memory(file)).stream())
    assert max(map(len, pieces)) <= PIECE
    assert b"".join(pieces) == data
    assert await InflatedContent(Memory(file)).read(24 * PIECE, 8) == bytes(5) + b"end"


@pytest.mark.parametrize(("offset", "length"), [(0, 3), (99_999, 2), (5, 250_000), (299_990, 50)])
async def test_a_range_of_what_is_deflated_is_that_of_the_data_set(offset, length):
    data = bytes(range(250)) * 1200
    content = InflatedContent(Memory(deflated(data), piece=37))
    assert await content.read(offset, length) == data[offset : offset + length]


async def test_what_is_not_deflated_is_said_to_be_so():
    with pytest.raises(NotDicom, match="inflated"):
        await InflatedContent(Memory(part10(b"\xff" * 100, DEFLATED))).read(0, 10)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=30))
async def test_extents_that_follow_each_other_are_joined(gaps_and_lengths):
    extents, at = [], 0
    for gap, length in gaps_and_lengths:
        extents.append(Extent(at + gap, length))
        at += gap + length
    data = bytes(n % 251 for n in range(at))
    found = b"".join(await pieces_of(gathered(Memory(data), extents)))
    assert found == b"".join(data[it.offset : it.offset + it.length] for it in extents)


async def test_many_small_extents_cost_one_read_and_large_ones_come_in_pieces():
    content = Memory(bytes(4 * PIECE))
    small = [Extent(n * 10, 2) for n in range(10_000)]
    assert await pieces_of(gathered(content, small)) == [bytes(20_000)]
    assert content.reads == 1
    pieces = await pieces_of(gathered(content, [*small, Extent(200_000, 3 * PIECE)]))
    assert sum(map(len, pieces)) == 20_000 + 3 * PIECE
    assert max(map(len, pieces)) <= PIECE


@given(
    st.lists(st.integers(0, 20), max_size=8),
    st.integers(0, 100),
    st.none() | st.integers(0, 100),
)
def test_a_range_of_extents_is_that_of_their_bytes(lengths, offset, length):
    extents, at, whole = [], 0, []
    for size in lengths:
        extents.append(Extent(at, size))
        whole += range(at, at + size)
        at += size + 7  # something lies between
    found = [
        position
        for extent in clipped(extents, offset, length)
        for position in range(extent.offset, extent.offset + extent.length)
    ]
    assert found == whole[offset : None if length is None else offset + length]
