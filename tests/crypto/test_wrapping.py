"""One wrapped key: nothing of it can be changed, moved or given another name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.crypto.twin import PLACE
from edge.crypto.wrapping import NO_NAME, EpochKey, Kind, Record, Root

ROOT = Root.of(bytes(32))
KEY = EpochKey.new(1)
SECRET = b"s" * 32


@pytest.mark.parametrize(
    "record",
    [
        ROOT.wrap(5, KEY, 3),
        KEY.wrap(5, Kind.STUDY_KEY, b"n" * 16, SECRET),
        KEY.wrap(5, Kind.MASTER, NO_NAME, SECRET),
    ],
    ids=["epoch", "study key", "master"],
)
def test_no_byte_of_a_record_can_be_changed(record):
    def opens(content):
        found = Record.from_bytes(content)
        if found is None:
            return False
        if found.kind is Kind.EPOCH:
            return ROOT.open(5, found) is not None
        return found.unwrap(5, KEY.aead) is not None

    whole = record.to_bytes()
    assert len(whole) == PLACE
    assert opens(whole)
    for position in range(PLACE):
        for bit in (1, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            assert not opens(bytes(damaged)), position


def test_a_record_opens_in_its_own_place_alone():
    record = KEY.wrap(5, Kind.STUDY_KEY, b"n" * 16, SECRET)
    assert record.unwrap(5, KEY.aead) == SECRET
    assert record.unwrap(6, KEY.aead) is None
    epoch = ROOT.wrap(5, KEY, 0)
    assert ROOT.open(5, epoch) == KEY
    assert ROOT.open(6, epoch) is None


def test_a_study_key_can_t_be_made_the_master():
    record = KEY.wrap(5, Kind.STUDY_KEY, NO_NAME, SECRET)
    assert replace(record, kind=Kind.MASTER).unwrap(5, KEY.aead) is None


def test_who_has_the_key_of_an_epoch_knows_whether_another_root_wraps_it_soundly():
    other = Root.of(b"o" * 32)
    record = other.wrap(5, KEY, 1)
    assert ROOT.open(5, record) is None
    assert KEY.is_sealed(5, record)
    assert not KEY.is_sealed(6, record)
    assert not KEY.is_sealed(5, replace(record, wrapped=record.wrapped[::-1]))
    assert not EpochKey.new(1).is_sealed(5, record)


def test_the_name_of_a_root_tells_nothing_of_it_and_is_always_the_same():
    assert Root.of(bytes(32)).name == ROOT.name
    assert Root.of(b"o" * 32).name != ROOT.name
    assert len({ROOT.name, ROOT.secret[:16], ROOT.former_secret[:16], ROOT.verifier[:16]}) == 4


def test_no_secret_shows_in_a_repr():
    for secret in (ROOT.secret, ROOT.former_secret, KEY.secret):
        assert repr(secret) not in repr(ROOT) + repr(KEY)
