"""One box takes another one's place: cut at any step, all of one or all of the other is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.cache import replacing
from edge.cache.replacing import Replacing, begin, decide, give_back, held, settled, why_not
from edge.errors import SecretError

WHAT = Replacing("radiology", 1.0, "stick")
FILES = ("index.db", "keys.db", "root.key", "tls/ca.crt", "settings.toml")


class Cut(Exception):
    """The power goes."""


def fill(folder, words, *more):
    for name in (*FILES, *more):
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(words)


@pytest.fixture
def folder(tmp_path):
    """A first day's box, and another one decided to take its place."""
    made = tmp_path / "data"
    made.mkdir()
    (made / "lock").touch()
    fill(made, "first", "audit/1")
    with held(made) as stage:
        fill(stage, "restored", "tombstones/1")
    decide(made, WHAT)
    return made


def whose(folder):
    """What the box's files say, and nothing beside them."""
    found = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "not-replaced.txt")
    }
    [words] = set(found.values())
    assert set(found) == {*FILES, "audit/1" if words == "first" else "tombstones/1"}
    return words


def test_the_other_takes_its_place_and_holds(folder):
    assert begin(folder)
    assert replacing.read(folder).step == "tried"
    settled(folder)
    assert whose(folder) == "restored"
    assert not begin(folder)
    assert whose(folder) == "restored"
    assert not why_not(folder)


def test_one_that_does_not_start_is_gone_and_the_first_day_is_back(folder):
    begin(folder)
    (folder / "made-since").touch()
    assert give_back(folder, "no such key")
    assert begin(folder)
    assert whose(folder) == "first"
    assert why_not(folder) == "no such key"
    assert not give_back(folder, "something else")
    assert not begin(folder)


def test_one_whose_start_never_ends_is_gone_after_three(folder):
    for _ in range(3):
        assert begin(folder)
    assert begin(folder)
    assert whose(folder) == "first"
    assert "3 starts" in why_not(folder)


def test_where_something_came_in_meanwhile_nothing_takes_its_place(folder):
    assert not begin(folder, is_first_day=False)
    assert whose(folder) == "first"
    assert "something in this box" in why_not(folder)


def test_what_was_not_decided_goes_unless_somebody_is_at_it(folder):
    begin(folder)
    settled(folder)
    with held(folder) as stage:
        (stage / "root.key").write_text("x")
        begin(folder)
        assert (stage / "root.key").exists()
    begin(folder)
    assert whose(folder) == "restored"


def test_one_that_took_an_image_in_before_it_failed_is_not_taken_away(folder):
    begin(folder)
    image = folder / "objects/ab/abcd"
    image.parent.mkdir(parents=True)
    image.write_text("restored")
    assert not give_back(folder, "it is not in the audit")
    for _ in range(5):
        assert begin(folder)
    assert image.exists()
    settled(folder)
    assert not (folder / "first-day").exists()


def test_a_backup_with_a_name_that_stays_keeps_no_box_from_its_start(folder):
    """Before, neither box started again: the folder could not be removed."""
    (folder / "restoring/lock").write_text("restored")
    (folder / "restoring/first-day").mkdir()
    assert begin(folder)
    settled(folder)
    assert whose(folder) == "restored"


def test_a_mark_that_is_damaged_is_an_error_and_touches_nothing(folder):
    (folder / "replacing.json").write_text("{")
    with pytest.raises(SecretError, match="can't be told"):
        begin(folder)
    assert (folder / "index.db").read_text() == "first"
    assert (folder / "restoring/index.db").read_text() == "restored"


def _cut_at(patched, number):
    """The power goes before the change of that number; how many there were."""
    count = [0]

    def changing(act):
        def changed(*words, **named):
            count[0] += 1
            if count[0] == number:
                raise Cut
            return act(*words, **named)

        return changed

    for name in ("rename", "rmdir", "unlink", "mkdir"):
        patched.setattr(Path, name, changing(getattr(Path, name)))
    for name in ("write_file", "destroy_file"):
        patched.setattr(replacing, name, changing(getattr(replacing, name)))
    patched.setattr(shutil, "rmtree", changing(shutil.rmtree))
    return count


@pytest.mark.parametrize("is_sound", [True, False])
def test_a_cut_at_any_step_ends_in_one_of_the_two(folder, tmp_path, monkeypatch, is_sound):
    def starts():
        begin(folder)
        if is_sound:
            settled(folder)
        else:
            give_back(folder, "it does not start")
            begin(folder)

    before = tmp_path / "before"
    shutil.copytree(folder, before)
    number, was_cut = 0, True
    while was_cut:
        number += 1
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        with monkeypatch.context() as patched:
            count = _cut_at(patched, number)
            try:
                starts()
            except Cut:
                was_cut = True
            else:
                was_cut = count[0] >= number
        if replacing.read(folder) is not None:
            starts()
        begin(folder)
        assert whose(folder) == ("restored" if is_sound else "first"), number
    assert number > 15
