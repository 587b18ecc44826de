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


def test_what_is_sound_in_neither_copy_is_reported_and_left(tmp_path):
    twin = lay(tmp_path, BAD + TWO, EMPTY + TWO)
    compared = twin.compare(is_sound)
    assert (compared.damaged, compared.repairs) == ({0}, {})


def test_where_the_copies_agree_nothing_is_asked(tmp_path):
    twin = lay(tmp_path, BAD, BAD)
    assert twin.compare(lambda *_: 1 / 0).content == BAD


def test_no_place_crosses_a_sector():
    assert 512 % PLACE == 0
