"""``edge key unlock`` and ``edge key lock`` without a service, and what is typed at a terminal.

With one, they are journeys (`tests.journeys.test_locked_box`).
"""

from __future__ import annotations

import errno
import io
import os
import pty
import subprocess
import sys

import pytest

from edge import __main__
from edge.access.audit import shut
from edge.access.audit.entry import Kind
from edge.commands.key_unlock import _passphrase, give_to_owner
from edge.crypto.custodian import MARKER
from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.recovery import RecoveryKey
from edge.errors import EdgeError

KEY = RecoveryKey.new()


@pytest.fixture
def edge(tmp_path, capsys):
    """Runs a command on a box whose service does not run."""
    configuration = tmp_path / "edge.toml"

    def run(*words, provider="file"):
        configuration.write_text(
            f'[appliance]\ndata_dir = "{tmp_path}/data"\n[keys]\nprovider = "{provider}"\n'
        )
        status = __main__.main(["--config", str(configuration), "key", *words])
        return status, capsys.readouterr().err

    return run


@pytest.fixture
def box(tmp_path):
    """A data folder with keys in it, and with a recovery key."""
    folder = tmp_path / "data"
    folder.mkdir()
    keys = KeyRing(folder / "keys.db", FileKeyProvider(folder / "root.key"))
    Escrow(folder, keys).keep(KEY.recipient, 1.0)
    keys.close()
    (folder / "index.db").touch()
    return folder


@pytest.fixture
def paper(tmp_path):
    path = tmp_path / "paper"
    path.write_text(" ".join(KEY.to_groups()))
    return str(path)


def test_a_box_whose_service_does_not_run_is_locked_and_opened_too(edge, box, paper):
    root = (box / "root.key").read_bytes()
    assert edge("lock") == (0, "edge: the box is locked\n")
    assert edge("lock") == (0, "edge: the box is locked\n")
    assert not (box / "root.key").exists()
    status, said = edge("unlock")
    assert (status, "edge key unlock --recovery" in said) == (1, True)
    assert edge("unlock", "--recovery", "--key-file", paper) == (0, "edge: the box is open\n")
    assert (box / "root.key").read_bytes() == root
    assert not (box / MARKER).exists()
    assert edge("unlock") == (0, "edge: the box is open\n")


def test_edge_key_restore_opens_a_locked_box_too(edge, box, paper):
    assert edge("lock")[0] == 0
    assert edge("restore", "--key-file", paper)[0] == 0
    assert not (box / MARKER).exists()


def test_without_a_recovery_key_it_must_be_forced_and_the_key_stays(edge, box):
    for path in box.glob("recovery.key*"):
        path.unlink()
    root = (box / "root.key").read_bytes()
    status, said = edge("lock")
    assert (status, "no recovery key" in said) == (1, True)
    assert "edge key lock --force" in said
    assert edge("lock", "--force")[0] == 0
    assert (box / MARKER).exists()
    assert (box / "root.key").read_bytes() == root
    assert edge("unlock")[0] == 0
    assert not (box / MARKER).exists()


def test_a_passphrase_has_nobody_to_go_to_without_a_service(edge, box):
    status, said = edge("unlock", provider="passphrase")
    assert status == 1
    assert "the service does not run" in said
    assert "start it with edge serve" in said


def test_a_box_with_a_passphrase_has_no_root_key_to_restore(edge, box, paper):
    status, said = edge("restore", "--key-file", paper, provider="passphrase")
    assert status == 1
    assert "edge key unlock --recovery" in said


def test_where_there_is_no_box_nothing_is_locked(edge, tmp_path):
    status, said = edge("lock")
    assert (status, "there is no box" in said) == (1, True)
    assert not (tmp_path / "data").exists()


def waiting(folder):
    return [(entry.what, entry.actor.kind) for entry in shut.entries_in(folder)]


def test_what_no_service_heard_of_waits_for_the_audit(edge, box, paper, tmp_path):
    assert edge("unlock")[0] == 0
    assert waiting(box) == []
    assert edge("lock")[0] == 0
    other = tmp_path / "other"
    other.write_text(" ".join(RecoveryKey.new().to_groups()))
    assert edge("unlock", "--recovery", "--key-file", str(other))[0] == 1
    assert edge("unlock", "--recovery", "--key-file", paper)[0] == 0
    assert waiting(box) == [
        ("wrong tries to open the box", Kind.MACHINE),
        ("the box was locked", Kind.MACHINE),
        ("the box was opened", Kind.MACHINE),
    ]
    *_, opened = shut.entries_in(box)
    assert opened.detail["by"] == "the recovery key"
    assert "locked by" in opened.detail
    assert oct((box / "unlocked").stat().st_mode)[-3:] == "600"


def test_what_could_not_be_destroyed_is_said(edge, box, monkeypatch):
    def destroy(_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/media/root.key")

    monkeypatch.setattr(FileKeyProvider, "destroy", destroy)
    status, said = edge("lock")
    assert status == 1
    assert "the box is locked" in said
    assert "could be destroyed: /media/root.key: Read-only file system" in said
    assert (box / MARKER).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_root_gives_away_nothing_that_the_services_user_led_it_to(tmp_path):
    """That user may put links into the folder, and swap them at any moment."""
    folder, theirs = tmp_path / "data", tmp_path / "shadow"
    folder.mkdir()
    theirs.write_text("root's own")
    (folder / "mine").write_text("written by root")
    (folder / "link").symlink_to(theirs)
    (folder / "twin").hardlink_to(theirs)
    os.mkfifo(folder / "pipe")
    os.chown(folder, 65534, 65534)
    give_to_owner(folder)
    assert (theirs.stat().st_uid, theirs.stat().st_gid) == (0, 0)
    assert (folder / "mine").stat().st_uid == 65534
    assert (folder / "link").lstat().st_uid == (folder / "pipe").stat().st_uid == 0


def test_a_link_in_place_of_the_folders_lock_is_not_followed(edge, box, tmp_path):
    (box / "lock").unlink(missing_ok=True)
    (box / "lock").symlink_to(tmp_path / "made by root")
    status, said = edge("lock")
    assert (status, "lock can't be opened" in said) == (2, True)
    assert not (tmp_path / "made by root").exists()


def typed(*lines, is_new):
    """What a process says that asks for a passphrase at a terminal."""
    program = (
        "from edge.commands.key_unlock import _passphrase\n"
        f"print('got', _passphrase(None, is_new={is_new}))\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as asking:
        os.close(theirs)
        said = ""
        for line in lines:
            while not said.endswith(": "):
                said += asking.stderr.read(1)
            os.write(ours, f"{line}\n".encode())
            said += "|"
        out, rest = asking.communicate(timeout=60)
    os.close(ours)
    return out, said + rest


def test_at_a_terminal_it_is_asked_for_and_not_shown():
    out, said = typed("seven herons", is_new=False)
    assert out == "got seven herons\n"
    assert "herons" not in said


def test_a_new_one_is_typed_twice():
    good = "seven herons over a wet field"
    assert typed(good, good, is_new=True)[0] == f"got {good}\n"
    out, said = typed(good, "seven herns", is_new=True)
    assert out == ""
    assert "the two passphrases are not the same" in said


def test_a_new_one_that_is_too_weak_is_asked_for_once():
    out, said = typed("seven", is_new=True)
    assert out == ""
    assert "The same again" not in said
    assert "has 5 characters: too few" in said


def test_where_nobody_can_type_it_the_file_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(EdgeError, match="nobody typed") as refused:
        _passphrase(None, is_new=True)
    assert "--file" in refused.value.hint
