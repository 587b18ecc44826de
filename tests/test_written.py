"""Keys on paper; more of it, as people type, in ``tests/crypto/test_recovery.py``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.crypto.recovery import RecoveryKey
from edge.written import (
    GROUP,
    WrittenError,
    from_groups,
    read_courier_key,
    to_groups,
    write_courier_key,
)

KEYS = st.binary(min_size=64, max_size=64)


@given(KEYS)
def test_a_courier_key_is_read_as_it_was_written(key):
    groups = write_courier_key(key)
    assert len(groups) == 18
    assert {len(group) for group in groups} == {GROUP}
    assert read_courier_key("\n".join(groups).lower()) == key


@given(KEYS, st.integers(0, 16))
def test_groups_that_changed_places_are_found(key, at):
    groups = write_courier_key(key)
    groups[at : at + 2] = reversed(groups[at : at + 2])
    with pytest.raises(WrittenError, match=f"groups {at + 1}, {at + 2} of the courier key"):
        read_courier_key(" ".join(groups))


def test_groups_of_two_keys_are_not_a_third_one():
    first, second = write_courier_key(bytes(64)), write_courier_key(b"\1" * 64)
    with pytest.raises(WrittenError, match="not those of one courier key"):
        read_courier_key(" ".join([*first[:9], *second[9:]]))


def test_a_key_of_another_purpose_is_not_read_as_this_one():
    with pytest.raises(WrittenError, match="144 characters, and these are 72"):
        read_courier_key(" ".join(RecoveryKey(bytes(32)).to_groups()))
    written = " ".join(to_groups(b"abc", 1, b"one"))
    assert from_groups(written, 3, 1, b"one", name="thing", compare="") == b"abc"
    with pytest.raises(WrittenError, match="not those of one thing"):
        from_groups(written, 3, 1, b"other", name="thing", compare="")
