"""What lies in the folder of updates is whole, or not there."""

from __future__ import annotations

import fcntl
import os
import stat

import pytest

from edge.updates.history import Deed
from edge.updates.journal import Found, Order, State, Trial


def found(version="1.1"):
    return Found(version=version, where="http://x/1", bytes=1, made=0.0, notes={"en": "n"})


def test_nothing_is_there_at_first(folder):
    assert folder.state() == State()
    assert folder.order() is None
    assert folder.trial() is None
    assert folder.history() == []
    assert not folder.path.exists()


def test_what_is_written_is_read_again_and_nobody_elses(folder):
    folder.write_state(State(wanted=found(), synced=7))
    folder.write_order(Order(act="install", version="1.1", file="1.1.edgeupdate"))
    folder.write_trial(Trial(version="1.1", before="1.0", boot_id="x"))
    assert folder.state().wanted == found()
    assert folder.order().file == "1.1.edgeupdate"
    assert folder.trial().before == "1.0"
    for path in (folder.path, *folder.path.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    folder.drop_order()
    folder.drop_order()
    assert folder.order() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"act": "burn", "version": "1"}', b"\xff"])
def test_what_was_damaged_is_not_there(folder, content):
    folder.make()
    for name in ("order.json", "trial.json", "history.jsonl"):
        (folder.path / name).write_bytes(content)
    assert folder.order() is None
    assert folder.trial() is None
    assert folder.history() == []


def test_a_link_is_no_order(folder, tmp_path):
    folder.write_order(Order(act="install", version="1.1"))
    elsewhere = tmp_path / "elsewhere"
    (folder.path / "order.json").rename(elsewhere)
    (folder.path / "order.json").symlink_to(elsewhere)
    assert folder.order() is None


@pytest.mark.parametrize("name", ["order.json", "trial.json", "history.jsonl"])
def test_a_pipe_is_nothing_either(folder, name):
    folder.make()
    os.mkfifo(folder.path / name)
    writer = os.open(folder.path / name, os.O_RDWR)
    try:
        assert (folder.order(), folder.trial(), folder.history()) == (None, None, [])
    finally:
        os.close(writer)


def test_who_keeps_the_history_locked_holds_up_nobody_for_long(folder, monkeypatch):
    monkeypatch.setattr("edge.updates.journal._DECIDING", 0.1)
    folder.note(Deed.GOOD, "1.0")
    with (folder.path / "history.jsonl").open("rb") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        folder.note(Deed.BAD, "1.1")
    assert [entry.version for entry in folder.history()] == ["1.0", "1.1"]


def test_a_torn_line_costs_itself_alone(folder):
    folder.note(Deed.FETCHED, "1.1")
    with (folder.path / "history.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "at": 1.0, "de')
    folder.note(Deed.ORDERED, "1.1", by="anna")
    numbers = [(entry.number, entry.deed) for entry in folder.history()]
    assert numbers == [(1, Deed.FETCHED), (2, Deed.ORDERED)]


def test_the_history_is_cut_and_goes_on_counting(folder):
    for _ in range(401):
        folder.note(Deed.FETCHED, "1.1")
    folder.cut_history()
    assert [folder.history()[0].number, folder.history()[-1].number] == [202, 401]
    assert folder.note(Deed.GOOD, "1.1").number == 402


def test_bundles_of_other_versions_go(folder):
    folder.make()
    for name in ("1.1.edgeupdate", "1.2.edgeupdate.part", "1.0.edgeupdate", "note.txt"):
        (folder.path / name).touch()
    folder.copying("1.3").touch()
    folder.keep_only("1.2")
    assert {path.name for path in folder.path.iterdir()} == {
        "1.2.edgeupdate.part",
        "note.txt",
        "brought-1.3.edgeupdate.part",
    }
    os.utime(folder.copying("1.3"), (0, 0))
    folder.keep_only("1.2")
    assert not folder.copying("1.3").exists()
