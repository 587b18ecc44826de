"""The sealed form: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.crypto.sealed import (
    CHUNK,
    HEADER_LENGTH,
    Algorithm,
    Header,
    Opener,
    Sealer,
    content_length,
    sealed_length,
)
from edge.errors import SealBroken

KEY = bytes(range(32))
NAME = bytes(16)
LONG = bytes(index * 7 % 251 for index in range(3 * CHUNK + 5))
LENGTHS = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17]


def seal(content: bytes, algorithm: Algorithm = Algorithm.AES_256_GCM, step: int = 10**9) -> bytes:
    header = Header.new(algorithm, bytes(16))
    sealer = Sealer(header, KEY, NAME)
    parts = [header.to_bytes()]
    for start in range(0, len(content), step):
        parts += sealer.seal(content[start : start + step])
    return b"".join([*parts, sealer.finish()])


def opener(sealed: bytes, key: bytes = KEY, name: bytes = NAME) -> Opener:
    header = Header.from_bytes(sealed[:HEADER_LENGTH])
    return Opener(header, key, name, len(sealed), lambda at, count: sealed[at : at + count])


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_sealed_opens_again(algorithm, length):
    content = os.urandom(length)
    sealed = seal(content, algorithm)
    assert len(sealed) == sealed_length(length)
    assert content_length(len(sealed)) == length
    assert opener(sealed).read(0, length) == content
    assert opener(sealed).length == length


@given(step=st.integers(1, 3 * CHUNK), length=st.integers(0, 4 * CHUNK))
def test_the_pieces_it_came_in_do_not_matter(step, length):
    step = max(step, length // 50 + 1)
    content = os.urandom(length)
    assert opener(seal(content, step=step)).read(0, length) == content


@given(offset=st.integers(0, 4 * CHUNK), length=st.integers(0, 4 * CHUNK))
def test_any_range_opens_alone(offset, length):
    assert opener(seal(LONG)).read(offset, length) == LONG[offset : offset + length]


def test_the_same_content_never_looks_the_same_twice():
    assert seal(b"x" * 100)[HEADER_LENGTH:] != seal(b"x" * 100)[HEADER_LENGTH:]


@pytest.mark.parametrize("length", [0, 5, CHUNK, CHUNK + 5])
def test_every_byte_that_is_flipped_is_noticed(length):
    content = os.urandom(length)
    sealed = bytearray(seal(content))
    positions = {*range(HEADER_LENGTH), *range(HEADER_LENGTH, len(sealed), 997), len(sealed) - 1}
    for position in positions:
        sealed[position] ^= 0x40
        with pytest.raises(SealBroken):
            opener(bytes(sealed)).read(0, max(length, 1))
        sealed[position] ^= 0x40
    assert opener(bytes(sealed)).read(0, length) == content


@pytest.mark.parametrize("cut", [1, 16, 17, CHUNK + 16, 2 * (CHUNK + 16)])
def test_what_was_cut_short_does_not_open_at_its_end(cut):
    sealed = seal(os.urandom(3 * CHUNK))[:-cut]

    def read_to_the_end():
        broken = opener(sealed)
        return broken.read(0, broken.length)

    with pytest.raises(SealBroken):
        read_to_the_end()


def test_chunks_can_not_trade_places():
    sealed = seal(os.urandom(3 * CHUNK))
    step = CHUNK + 16
    first, second = HEADER_LENGTH, HEADER_LENGTH + step
    swapped = (
        sealed[:first]
        + sealed[second : second + step]
        + sealed[first : first + step]
        + sealed[second + step :]
    )
    with pytest.raises(SealBroken):
        opener(swapped).read(0, 10)


def test_an_object_under_another_name_does_not_open():
    with pytest.raises(SealBroken):
        opener(seal(b"content"), name=b"another name 16b").read(0, 7)


def test_another_key_opens_nothing():
    with pytest.raises(SealBroken):
        opener(seal(b"content"), key=bytes(32)).read(0, 7)


def test_an_impossible_length_is_refused():
    for length in (0, 63, 79, HEADER_LENGTH + CHUNK + 16 + 3):
        with pytest.raises(SealBroken):
            content_length(length)
