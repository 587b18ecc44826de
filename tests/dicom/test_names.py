"""Person names: folded for literal matching, taken apart for fuzzy matching."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.names import fold_name, is_alike, sound_of, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DOE^JOHN^^^", "Doe^John"),
        ("Müller", "MÜLLER"),
        ("Straße", "STRASSE"),
        (" Doe ^ John ", "DOE^JOHN"),
        ("ﾔﾏﾀﾞ", "ヤマダ"),
    ],
)
def test_names_that_mean_the_same_fold_to_the_same(one, other):
    assert fold_name(one) == fold_name(other)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Müller-Lüdenscheidt^Jürgen^^Dr.", ["muller", "ludenscheidt", "jurgen", "dr"]),
        ("O'Neill^Seán", ["oneill", "sean"]),
        ("Łukasz Sørensen", ["lukasz", "sorensen"]),
        ("山田^太郎", ["山田", "太郎"]),
        ("김^희중", ["김", "희중"]),
        ("*DOE?^", ["doe"]),
        ("^^", []),
    ],
)
def test_a_name_is_taken_apart_into_plain_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Müller^Jürgen", "jurgen mueller"),
        ("Müller^Jürgen", "JÜR"),
        ("Mueller^Jurgen", "Müller, Jürgen"),
        ("Meyer^Anna", "Maier"),
        ("Schmidt^Hans", "Schmitt"),
        ("Schmidt^Hans", "Shmid"),
        ("Stephenson^Ann", "Stevenson"),
        ("Philipps", "Fillips"),
        ("Johansson^Björn", "bjorn johanson"),
        ("Kowalczyk^Łukasz", "lukas kovalcik"),
        ("山田^太郎", "太郎"),
        ("Thompson", "Tomson"),
    ],
)
def test_names_are_alike_whatever_order_accents_endings_and_spelling(name, asked):
    assert is_alike(name, words_of(asked))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Müller^Jürgen", "muller anna"),
        ("Smith^John", "mith"),
        ("Li^Na", "Lou"),
        ("Meyer^Anna", "Bauer"),
        ("Doe^John", ""),
    ],
)
def test_names_that_are_not_alike_are_told_apart(name, asked):
    assert not is_alike(name, words_of(asked))


@given(st.text(max_size=40))
def test_any_text_has_words_that_have_words_of_their_own(text):
    words = words_of(text)
    assert is_alike(text, words) == bool(words)
    assert all(word == word.casefold() for word in words)
    assert all(not (sound := sound_of(word)) or sound.isupper() for word in words)
