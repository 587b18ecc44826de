"""The recovery key: typed as people type, and opening only what was sealed for it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.crypto.paper import GROUP, GROUPS, Paper, to_paper
from edge.crypto.recovery import Recipient, RecoveryKey
from edge.errors import SealBroken, WrongKey

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KEYS = st.binary(min_size=32, max_size=32).map(RecoveryKey)
PLACES = st.integers(0, GROUPS * GROUP - 1)


def written(key):
    return " ".join(key.to_groups())


@given(KEYS, st.randoms())
def test_a_key_is_read_as_people_type_it(key, random):
    text = written(key)
    assert re.fullmatch(rf"([{ALPHABET}]{{8}} ?){{9}}", text)
    confusable = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(random.choice(confusable.get(one, one + one.lower())) for one in text)
    for form in (text, text.lower(), text.replace(" ", ""), text.replace(" ", "-"), typed):
        assert RecoveryKey.from_text(f"\n {form} \n") == key


@given(
    KEYS,
    st.lists(
        st.tuples(PLACES, st.integers(1, 31)), min_size=1, max_size=2, unique_by=lambda x: x[0]
    ),
)
def test_one_or_two_wrong_characters_are_found_and_their_groups_named(key, typos):
    text = list(written(key).replace(" ", ""))
    for place, by in typos:
        text[place] = ALPHABET[(ALPHABET.index(text[place]) + by) % 32]
    with pytest.raises(WrongKey) as found:
        RecoveryKey.from_text("".join(text))
    named = {int(number) for number in re.findall(r"\d+", str(found.value))}
    assert named == {place // GROUP + 1 for place, _ in typos}


@given(KEYS, st.integers(0, GROUPS * GROUP - 2))
def test_two_neighbours_that_were_exchanged_are_found(key, place):
    text = list(written(key).replace(" ", ""))
    text[place : place + 2] = reversed(text[place : place + 2])
    if "".join(text) != written(key).replace(" ", ""):
        with pytest.raises(WrongKey, match="of the recovery key"):
            RecoveryKey.from_text("".join(text))


@given(KEYS, PLACES, st.sampled_from(ALPHABET))
def test_a_character_too_few_or_too_many_is_found_and_its_group_named(key, place, more):
    group = place // GROUP
    groups = key.to_groups()
    at = place % GROUP
    for word in (
        groups[group][:at] + groups[group][at + 1 :],
        groups[group][:at] + more + groups[group][at:],
    ):
        typed = [*groups[:group], word, *groups[group + 1 :]]
        with pytest.raises(WrongKey) as found:
            RecoveryKey.from_text(" ".join(typed))
        assert f"look at group {group + 1}:" in found.value.hint
        with pytest.raises(WrongKey):
            RecoveryKey.from_text("".join(typed))


def test_the_key_of_the_disk_is_not_taken_for_it_and_is_called_by_its_name():
    groups = to_paper(bytes(range(32)), Paper.DISK)
    with pytest.raises(WrongKey) as found:
        RecoveryKey.from_text(" ".join(groups))
    assert str(found.value) == (
        "this is the recovery key of the disk; what is wanted is the recovery key"
    )
    assert "“Recovery key”" in found.value.hint
    groups[3] = groups[3][::-1]  # of a key that is none at all, the group to look at is told
    with pytest.raises(WrongKey, match="group 4 of the recovery key is not right"):
        RecoveryKey.from_text(" ".join(groups))


@given(KEYS, st.tuples(st.integers(0, GROUPS - 1), st.integers(0, GROUPS - 1)))
def test_groups_in_the_wrong_order_are_found(key, pair):
    groups = key.to_groups()
    one, other = pair
    groups[one], groups[other] = groups[other], groups[one]
    if groups != key.to_groups():
        with pytest.raises(WrongKey, match=f"groups {min(pair) + 1}, {max(pair) + 1} of"):
            RecoveryKey.from_text(" ".join(groups))


@given(KEYS, KEYS, st.integers(1, GROUPS - 1))
def test_groups_of_two_keys_make_none(one, other, cut):
    mixed = [*one.to_groups()[:cut], *other.to_groups()[cut:]]
    if mixed not in (one.to_groups(), other.to_groups()):
        with pytest.raises(WrongKey, match="not those of one recovery key"):
            RecoveryKey.from_text(" ".join(mixed))


@given(st.text(max_size=100))
def test_anything_else_is_no_key_and_is_not_repeated_in_the_message(text):
    with pytest.raises(WrongKey) as found:
        RecoveryKey.from_text(text)
    assert text == "" or len(text) < 4 or text not in str(found.value) + found.value.hint


def test_a_new_key_is_another_and_shows_itself_nowhere():
    key = RecoveryKey.new()
    assert key != RecoveryKey.new()
    assert key.secret.hex() not in repr(key)
    assert repr(key.recipient) == "Recipient()"


@pytest.mark.parametrize("size", [0, 1, 65536, 200_000])
def test_what_is_sealed_for_a_key_opens_with_it_alone(size):
    key, content = RecoveryKey.new(), bytes(size)
    sealed = Recipient(key.recipient.public).seal(content)
    assert key.open(sealed) == content
    assert key.recipient.seal(content) != sealed
    with pytest.raises(WrongKey, match="sealed for another") as caught:
        RecoveryKey.new().open(sealed)
    assert caught.value.hint.startswith("take the paper with the key that held when it was made")


def test_who_sees_it_learns_nothing_of_the_recipient():
    key = RecoveryKey.new()
    assert key.recipient.public not in key.recipient.seal(b"")


@given(st.data())
def test_a_byte_that_was_changed_or_cut_off_is_found(data):
    key = RecoveryKey(bytes(32))
    sealed = key.recipient.seal(b"content" * 20_000)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(changed), sealed[:at], sealed + b"\0"):
        with pytest.raises(SealBroken, match="backup"):
            key.open(broken)


def test_numbers_are_those_of_uuids_and_differ_by_purpose_and_key():
    one, other = RecoveryKey.new().recipient, RecoveryKey.new().recipient
    numbers = {who.number(what) for who in (one, other) for what in ("study", "series")}
    assert len(numbers) == 4
    assert all(number < 1 << 128 and number >> 76 & 15 == 8 for number in numbers)
