"""Places kept in two files: whichever copy is sound counts."""

from __future__ import annotations

from edge.crypto.twin import EMPTY, PLACE, TwinFile, copies

ONE, TWO, BAD = b"1" * PLACE, b"2" * PLACE, b"x" * PLACE


def is_sound(_place, content):
    return content in (ONE, TWO)


def lay(tmp_path, first, second):
    for copy, content in zip(copies(tmp_path / "file"), (first, second), strict=True):
        copy.write_bytes(content)
    return TwinFile(tmp_path / "file", owned=True)


def test_the_sound_copy_of_each_place_counts(tmp_path):
    twin = lay(tmp_path, ONE + BAD + ONE, BAD + TWO + ONE)
    compared = twin.compare(is_sound)
    assert compared.content == ONE + TWO + ONE
    assert compared.repairs == {0: ONE, 1: TWO}
    twin.write(compared.repairs)
    assert twin.compare(is_sound).repairs == {}


def test_a_write_that_was_cut_short_is_finished_and_a_removal_is_not(tmp_path):
    twin = lay(tmp_path, ONE + TWO, ONE)
    assert twin.compare(is_sound).repairs == {1: TWO}
    twin = lay(tmp_path, ONE + EMPTY, ONE + TWO)
    assert twin.compare(is_sound).repairs == {1: TWO}


def test_of_two_that_are_sound_the_one_that_counts_more_is_taken(tmp_path):
    worth = {ONE: 1, TWO: 2}
    for first, second in ((ONE, TWO), (TWO, ONE)):
        twin = lay(tmp_path, first + ONE, second + BAD)
        compared = twin.compare(lambda _, content: worth.get(content, 0))
        assert compared.content == TWO + ONE


def test_what_is_sound_in_neither_copy_is_reported_and_left(tmp_path):
    twin = lay(tmp_path, BAD + TWO, EMPTY + TWO)
    compared = twin.compare(is_sound)
    assert (compared.damaged, compared.repairs) == ({0}, {})


def test_places_are_read_one_by_one_or_many_at_once(tmp_path):
    many = b"".join(bytes([number]) * PLACE for number in range(100))
    twin = lay(tmp_path, many, many[: 50 * PLACE])
    assert twin.read(7) == [many[7 * PLACE : 8 * PLACE]] * 2
    first, second = twin.read(40, 70)
    assert first == many[40 * PLACE :] + bytes(10 * PLACE)
    assert second == many[40 * PLACE : 50 * PLACE] + bytes(60 * PLACE)


def test_where_the_copies_agree_nothing_is_asked(tmp_path):
    twin = lay(tmp_path, BAD, BAD)
    assert twin.compare(lambda *_: 1 / 0).content == BAD


def test_no_place_crosses_a_sector():
    assert 512 % PLACE == 0
