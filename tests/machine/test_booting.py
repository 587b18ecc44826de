"""What holds at every start of the machine."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from edge.machine.booting import MOST_STARTS, answer_setup, begin, call, forget_setup
from edge.machine.networks import Networks

SETUP = "[setup]\ntoken = '7K2M-Q0XE-41TR-ZB9D'\n"


@pytest.fixture
def start(machine):
    def start():
        names = []
        begin(machine.places, Networks(machine.places, machine.tools), names.append)
        return names

    return start


@pytest.fixture
def stick(places):
    """The folder on the boot partition."""
    folder = places.boot[1] / "EDGE-SETUP"
    folder.mkdir(parents=True)
    return folder


def test_a_machine_on_its_first_day_begins_with_nothing(places, start):
    assert start() == []
    assert places.ca_bundle.exists()
    assert not places.setup.exists()


def test_its_name_comes_back(places, start):
    names = []
    call(places, "radiology", names.append)
    assert names == start() == ["radiology"]


def test_a_name_that_was_damaged_is_none(places, start):
    places.kept.mkdir(parents=True)
    for damage in (b"", b"\xff", b"a b\n", b"../x\n"):
        places.name_kept.write_bytes(damage)
        assert start() == []


def test_what_sets_the_box_up_is_fetched_off_the_boot_partition(places, start, stick):
    (stick / "edge.toml").write_text(SETUP)
    (stick / "clinic-root.crt").write_text("a certificate")
    (stick / "result.txt").write_text("of the last time")
    (stick / ".hidden").write_text("of nobody's business")
    (stick / "too-long.pem").write_bytes(b"#" * (64 * 1024 + 1))
    (stick / "folder").mkdir()
    start()
    found = sorted(path.name for path in places.setup.iterdir())
    assert found == ["clinic-root.crt", "edge.toml"], "the authority's file may have any name"
    assert (places.setup / "edge.toml").read_text() == SETUP
    assert places.setup.stat().st_mode & 0o007 == 0


def test_not_more_is_fetched_than_a_person_puts_there(places, start, stick):
    (stick / "edge.toml").write_text(SETUP)
    for number in range(40):
        (stick / f"a{number:02}.pem").write_text("a certificate")
    start()
    assert (places.setup / "edge.toml").read_text() == SETUP
    assert len(list(places.setup.iterdir())) == 33


def test_links_and_folders_are_not_fetched(places, start, stick, tmp_path):
    (tmp_path / "secret").write_text("root's")
    (stick / "edge.toml").symlink_to(tmp_path / "secret")
    start()
    assert not places.setup.exists()
    (stick / "edge.toml").unlink()
    (stick / "edge.toml").mkdir()
    start()
    assert not places.setup.exists()
    (stick / "edge.toml").rmdir()
    (stick / "edge.toml").write_text(SETUP)
    (stick / "ca.pem").symlink_to(tmp_path / "secret")
    start()
    assert [path.name for path in places.setup.iterdir()] == ["edge.toml"]


def test_one_that_is_too_long_is_refused_and_goes_with_its_passwords(places, start, stick):
    (stick / "edge.toml").write_bytes(b"#" * (64 * 1024 + 1))
    start()
    assert not places.setup.exists()
    assert [path.name for path in stick.iterdir()] == ["result.txt"]
    said = (stick / "result.txt").read_text()
    assert "Nothing was changed: EDGE-SETUP/edge.toml is longer than 65536 bytes" in said
    assert "was removed" in said


@pytest.mark.parametrize("length", [10, 64 * 1024 + 1])
def test_nobody_is_told_that_a_file_went_which_is_there(places, start, stick, length, monkeypatch):
    file = stick / "edge.toml"
    file.write_bytes(b"#" * length)
    for _ in range(MOST_STARTS):
        start()
    before = Path.unlink

    def unlink(path, missing_ok=False):
        if path == file:
            raise OSError(errno.EROFS, "Read-only file system")
        before(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        file.write_bytes(b"#" * length)
        start()
    assert file.exists()
    said = places.setup_answer.read_text()
    assert "could not be removed (Read-only file system)" in said
    assert "was removed" not in said
    file.write_bytes(b"#" * length)
    start()
    assert not file.exists()
    assert "was removed" in places.setup_answer.read_text()


def test_a_machine_starts_even_if_that_can_not_be_fetched(places, start, stick):
    (stick / "edge.toml").write_text(SETUP)
    places.setup.write_text("stands in its way")
    start()
    assert (stick / "edge.toml").read_text() == SETUP


def test_once_it_was_taken_it_is_gone_and_an_answer_is_there(places, start, stick):
    (stick / "edge.toml").write_text(SETUP)
    start()
    assert forget_setup(places, "This box was set up.\n")
    assert not places.setup.exists()
    assert [path.name for path in stick.iterdir()] == ["result.txt"]
    start()
    assert not places.setup.exists()
    assert not forget_setup(places, "again")


def test_a_file_that_something_stands_in_the_way_of_is_tried_at_some_starts(places, start, stick):
    (stick / "edge.toml").write_text(SETUP)
    for _ in range(MOST_STARTS):
        start()
        assert (places.setup / "edge.toml").read_text() == SETUP
        answer_setup(places, "The network did not come up.\n", "later")
        assert (stick / "edge.toml").read_text() == SETUP
        assert not places.setup.exists()
    start()
    assert not places.setup.exists()
    assert [path.name for path in stick.iterdir()] == ["result.txt"], "it has passwords in it"
    said = (stick / "result.txt").read_text()
    assert f"was tried at {MOST_STARTS} starts" in said
    assert "The network did not come up." in said
    assert places.setup_answer.read_text() == said
    # Another file is another try, and so is the same once it was put there anew.
    for text in (f"{SETUP}# mended\n", SETUP):
        (stick / "edge.toml").write_text(text)
        start()
        assert (places.setup / "edge.toml").read_text() == text
