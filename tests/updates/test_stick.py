"""An update on a stick is found, proven, copied, and given to the service's user."""

from __future__ import annotations

import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from edge.errors import StorageFull, UpdateRefused
from edge.updates.history import Deed
from edge.updates.standing import news
from edge.updates.stick import bring, has_any, newest_on, refuse
from tests.updates.makers import place_of


@pytest.fixture
def stick(tmp_path):
    made = tmp_path / "stick"
    (made / "EDGE-UPDATE").mkdir(parents=True)
    return made


def put(stick, maker, version="1.1", **more):
    path = maker.bundle(version, **more)
    return path.rename(stick / "EDGE-UPDATE" / f"{version}-{more.get('machine', 'x')}.edgeupdate")


def test_the_newest_that_fits_is_taken(stick, maker, keys, place, folder):
    put(stick, maker, "1.1")
    best = put(stick, maker, "1.2")
    put(stick, maker, "1.3", machine="rpi")
    put(stick, maker, "2.0", minimum="1.5")
    (stick / "EDGE-UPDATE" / "x.edgeupdate").write_bytes(b"x")
    assert has_any(stick)
    assert newest_on(stick, keys, place) == best
    found = bring(folder, best, keys, place, by="anna")
    assert found.version == "1.2"
    assert folder.bundle("1.2").read_bytes() == best.read_bytes()
    assert [(entry.deed, entry.by) for entry in folder.history()] == [(Deed.BROUGHT, "anna")]
    assert not list(folder.path.glob("*.part"))


def test_a_stick_without_one_is_no_fault_and_one_that_does_not_fit_says_why(
    tmp_path, stick, maker, keys, place
):
    assert not has_any(tmp_path / "machine")
    with pytest.raises(UpdateRefused, match="no update is in"):
        newest_on(stick, keys, place)
    torn = stick / "EDGE-UPDATE" / "1.1.edgeupdate"
    torn.write_bytes(maker.bundle("1.1").read_bytes()[:-1])
    with pytest.raises(UpdateRefused, match=r"^1\.1\.edgeupdate has \d+ bytes"):
        newest_on(stick, keys, place)
    torn.unlink()
    put(stick, maker, "2.0", minimum="1.5")
    with pytest.raises(UpdateRefused, match=r"^2\.0-x\.edgeupdate: .* can be taken from 1\.5 on"):
        newest_on(stick, keys, place)


def test_what_a_mac_puts_beside_a_file_is_no_update(stick, maker, keys, place, tmp_path):
    path = put(stick, maker)
    path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    with pytest.raises(UpdateRefused, match="runs already"):
        newest_on(stick, keys, place_of(tmp_path / "other", "1.1"))
    path.unlink()
    with pytest.raises(UpdateRefused, match="no update is in"):
        newest_on(stick, keys, place)


def test_a_damaged_file_leaves_nothing(stick, maker, keys, place, folder):
    path = put(stick, maker)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UpdateRefused, match="is damaged"):
        bring(folder, path, keys, place, by="")
    assert folder.whole() == []
    assert folder.history() == []


def test_one_that_runs_already_is_not_copied(stick, maker, keys, tmp_path, folder):
    path = put(stick, maker)
    with pytest.raises(UpdateRefused, match="runs already"):
        bring(folder, path, keys, place_of(tmp_path / "other", "1.1"), by="")


def test_a_stick_that_is_refused_is_told_of_once_and_says_nothing_about_a_version(folder):
    refuse(folder, "1.1.edgeupdate: version 1.1 runs already", by="edge")
    refuse(folder, "1.1.edgeupdate: version 1.1 runs already", by="edge")
    refuse(folder, "that is no update", by="edge")
    deeds = [(entry.deed, entry.version) for entry in folder.history()]
    assert deeds == [(Deed.REFUSED, "")] * 2
    assert news(folder, 0.0) == ""


def test_a_full_disk_says_how_much_is_free_and_needed(
    stick, maker, keys, place, folder, monkeypatch
):
    path = put(stick, maker)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(StorageFull, match=r"1 MB have to be free .* 0 MB are") as caught:
        bring(folder, path, keys, place, by="")
    assert "delete studies" in caught.value.hint


def all_at_once(times, what):
    """Do it so often at one moment; what came of each."""
    begin = threading.Barrier(times)

    def do(_):
        begin.wait(20)
        return what()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(do, range(times)))


def test_two_sticks_with_one_version_at_one_moment_bring_it_once(stick, maker, keys, place, folder):
    path = put(stick, maker, size=3_000_000)
    brought = all_at_once(4, lambda: bring(folder, path, keys, place, by="edge").version)
    assert brought == ["1.1"] * 4
    assert folder.bundle("1.1").read_bytes() == path.read_bytes()
    assert [entry.deed for entry in folder.history()] == [Deed.BROUGHT]
    assert not list(folder.path.glob("*.part"))


def test_a_copy_that_is_damaged_by_now_is_made_again(stick, maker, keys, place, folder):
    path = put(stick, maker)
    bring(folder, path, keys, place, by="")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    folder.bundle("1.1").write_bytes(data)
    bring(folder, path, keys, place, by="")
    assert folder.bundle("1.1").read_bytes() == path.read_bytes()


def test_what_a_stick_that_was_pulled_out_left_goes_with_the_next(
    stick, maker, keys, place, folder
):
    """Whoever copied it was ended with the stick; a box without a line has nobody else to do so."""
    folder.make()
    folder.copying("1.05").write_bytes(b"half of it")
    bring(folder, put(stick, maker), keys, place, by="anna")
    assert not list(folder.path.glob("*.part"))


def test_one_that_was_not_wanted_is_in_the_history_when_it_is_brought_again(
    stick, maker, keys, place, folder
):
    path = put(stick, maker)
    for _ in range(2):
        bring(folder, path, keys, place, by="")
        folder.note(Deed.CANCELLED, "1.1")
    deeds = [entry.deed for entry in folder.history()]
    assert deeds == [Deed.BROUGHT, Deed.CANCELLED] * 2


def test_who_waits_without_end_for_another_stick_is_told(stick, maker, keys, place, folder):
    path = put(stick, maker)
    bring(folder, path, keys, place, by="")
    descriptor = os.open(folder.path / "copying.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UpdateRefused, match="another stick is being copied") as caught:
            bring(folder, path, keys, place, by="", patience=0.1)
    finally:
        os.close(descriptor)
    assert "put this stick in again" in caught.value.hint
