"""Answers that are compressed, though nobody asked for that."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import httpx
import pytest

from edge.cloud.answers import AnswerTooLarge, read_body
from edge.cloud.decoding import PIECE, content_of

TEXT = b'[{"00100010": {"vr": "PN"}}]' * 10_000


def answer(body, coding=None, length=1000):
    async def pieces():
        for at in range(0, len(body), length):
            yield body[at : at + length]

    headers = {} if coding is None else {"Content-Encoding": coding}
    return httpx.Response(200, headers=headers, content=pieces())


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (None, bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("X-GZip", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
async def test_it_is_the_same_in_small_pieces(coding, pack):
    pieces = [piece async for piece in content_of(answer(pack(TEXT), coding))]
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip,identity", "none of that"])
async def test_what_is_packed_otherwise_or_twice_is_not_unpacked(coding):
    with pytest.raises(httpx.DecodingError, match="not asked for"):
        await read_body(answer(gzip.compress(TEXT), coding))


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(TEXT)[:-9]])
async def test_what_is_not_what_it_says_is_an_error(body):
    with pytest.raises(httpx.DecodingError, match="compressed"):
        await read_body(answer(body, "gzip"))


async def test_a_bomb_takes_no_more_memory_than_its_limit():
    bomb = gzip.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            await read_body(answer(bomb, "gzip", len(bomb)), limit=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
