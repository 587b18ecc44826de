"""A chain of sealed records: what is changed, moved or left out shows."""

from __future__ import annotations

import dataclasses

import pytest

from edge.crypto.chain import HEADER, MOST, START, Links, SegmentHeader, digest_of
from edge.crypto.sealed import Algorithm
from edge.errors import SealBroken

KEY = bytes(range(32))
ALGORITHMS = pytest.mark.parametrize("algorithm", list(Algorithm))


def header(algorithm=Algorithm.AES_256_GCM, number=1, first=1):
    return SegmentHeader.new(number, first, 1_800_000_000, START, algorithm)


def segment(contents, made=None):
    made = made or header()
    links, data, before = Links(KEY, made), made.to_bytes(KEY), made.previous
    for number, content in enumerate(contents, made.first):
        record = links.seal(number, before, content)
        data, before = data + record, digest_of(record)
    return made, data


@ALGORITHMS
def test_records_open_one_behind_the_other_and_name_the_one_before(algorithm):
    made, data = segment([b"one", b"", b"three" * 1000], header(algorithm))
    read = SegmentHeader.from_bytes(data, KEY)
    assert read == made
    links, offset, before = Links(KEY, read), HEADER, START
    for number, content in enumerate([b"one", b"", b"three" * 1000], 1):
        link = links.open(data, offset)
        assert (link.number, link.content, link.before) == (number, content, before)
        offset, before = link.end, link.digest
    assert offset == len(data)


def test_nothing_of_a_record_can_be_read_without_the_key():
    _, data = segment([b"a name of nobody"])
    assert b"name" not in data
    with pytest.raises(SealBroken):
        SegmentHeader.from_bytes(data, bytes(32))


def test_every_byte_of_a_header_is_proven():
    _, data = segment([])
    for at in range(HEADER):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            SegmentHeader.from_bytes(bytes(changed), KEY)


def test_every_byte_of_a_record_is_sealed():
    made, data = segment([b"content"])
    for at in range(HEADER, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            Links(KEY, made).open(bytes(changed), HEADER)


def test_every_length_that_is_cut_ends_early():
    made, data = segment([b"content"])
    for length in range(HEADER, len(data)):
        with pytest.raises(SealBroken):
            Links(KEY, made).open(data[:length], HEADER)


def test_a_record_of_another_segment_does_not_open():
    _, data = segment([b"content"])
    with pytest.raises(SealBroken):
        Links(KEY, header()).open(data, HEADER)


def test_behind_damage_the_next_record_is_found_by_its_number():
    made, data = segment([b"one", b"two", b"three"])
    links = Links(KEY, made)
    first = links.open(data, HEADER)
    damaged = data[: first.end] + bytes(5) + data[first.end + 30 :]
    found = links.find(damaged, first.end, 2)
    assert found is not None
    assert (found.number, found.content) == (3, b"three")
    assert links.find(damaged, first.end, 4) is None
    assert links.find(data[: first.end] + bytes(10_000), first.end, 2) is None


def test_a_segment_of_a_newer_version_is_told_from_a_damaged_one(monkeypatch):
    monkeypatch.setattr("edge.crypto.chain._VERSION", 2)
    _, data = segment([])
    monkeypatch.undo()
    with pytest.raises(SealBroken, match="newer"):
        SegmentHeader.from_bytes(data, KEY)


def test_a_record_has_a_longest_length():
    made, _ = segment([])
    links = Links(KEY, made)
    links.seal(1, START, bytes(MOST))
    with pytest.raises(ValueError, match="too long"):
        links.seal(1, START, bytes(MOST + 1))


def test_headers_have_salts_of_their_own():
    assert header().salt != header().salt
    assert dataclasses.replace(header(), salt=b"") != header()
