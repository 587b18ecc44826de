"""A box that somebody locked stays shut, by the lines of ``edge.crypto.custodian``."""

from __future__ import annotations

import base64
import contextlib
import errno
import os

import pytest

from edge.crypto import custodian as module
from edge.crypto.custodian import MARKER, Custodian
from edge.crypto.escrow import FILE, Escrow
from edge.crypto.kernel import KernelMemory
from edge.crypto.keys import KeyRing
from edge.crypto.passphrases import normal
from edge.crypto.providers import FileKeyProvider, Given
from edge.crypto.providers import wrapped as wrapped_module
from edge.crypto.providers.credential import CredentialKeyProvider
from edge.crypto.providers.network import NetworkKeyProvider
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.crypto.providers.wrapped import WrappedRoot
from edge.crypto.recovery import RecoveryKey
from edge.crypto.twin import copies
from edge.errors import DecisionRefused, KeyLocked, Needs, SecretError, WrongKey
from tests.fakes import tang
from tests.fakes.tang import Tang

KEY = RecoveryKey.new()
GOOD = "seven herons over a wet field"


class Box:
    """A data folder, its provider and its ring."""

    def __init__(self, folder, provider):
        self.folder = folder
        self.provider = provider

    def custodian(self):
        """As a start has it."""
        return Custodian(self.folder, self.provider())

    def make(self, *, recovery=True):
        custodian = self.custodian()
        if isinstance(custodian.keeper, PassphraseKeyProvider):
            self.root = custodian.open_by_passphrase(normal(GOOD), first_start=True)
        else:
            self.root = custodian.open(first_start=True)
        with_keys = self.keys()
        if recovery:
            Escrow(self.folder, with_keys).keep(KEY.recipient, 5.0)
        with_keys.close()

    def keys(self):
        return KeyRing(self.folder / "keys.db", Given(self.root))

    def lock(self, *, force=False):
        keys = self.keys()
        try:
            return self.custodian().lock("somebody", 7.0, Escrow(self.folder, keys), force=force)
        finally:
            keys.close()

    def start(self):
        """What the next start does."""
        custodian = self.custodian()
        custodian.finish_locking()
        return custodian.open(first_start=False)


@pytest.fixture(params=["file", "systemd-creds"])
def alone(request, tmp_path):
    """A box that opens with nobody there."""
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "cred").write_bytes(base64.b64encode(os.urandom(32)))
    wrapped = WrappedRoot(folder, folder / FILE)
    environ = {"CREDENTIALS_DIRECTORY": str(elsewhere)}
    if request.param == "file":
        return Box(folder, lambda: FileKeyProvider(elsewhere / "root.key"))
    return Box(folder, lambda: CredentialKeyProvider(wrapped, "cred", environ))


@pytest.fixture
def asked(tmp_path):
    """A box that asks for its passphrase."""
    wrapped = WrappedRoot(tmp_path, tmp_path / FILE)
    return Box(tmp_path, lambda: PassphraseKeyProvider(wrapped, KernelMemory(tmp_path, 60)))


def refused(open_, needs):
    with pytest.raises(KeyLocked) as locked:
        open_()
    assert locked.value.needs is needs
    return str(locked.value)


def test_a_box_that_was_locked_stays_shut_over_restarts_and_only_the_recovery_key_opens_it(alone):
    alone.make()
    assert alone.start() == alone.root
    assert alone.lock().destroys
    for _ in range(2):
        assert "somebody locked it" in refused(alone.start, Needs.RECOVERY_KEY)
        refused(lambda: alone.custodian().open_by_act(first_start=False), Needs.RECOVERY_KEY)
    with pytest.raises(WrongKey):
        alone.custodian().open_by_recovery_key(RecoveryKey.new())
    refused(alone.start, Needs.RECOVERY_KEY)
    assert alone.custodian().open_by_recovery_key(KEY) == alone.root
    assert alone.start() == alone.root


def test_who_deletes_the_marker_of_a_locked_box_has_nothing(alone):
    alone.make()
    alone.lock()
    (alone.folder / MARKER).unlink()
    with pytest.raises(SecretError):
        alone.start()
    disk = b"".join(p.read_bytes() for p in alone.folder.parent.rglob("*") if p.is_file())
    assert alone.root not in disk
    assert base64.b64encode(alone.root) not in disk


def test_a_copy_of_what_was_destroyed_does_not_open_a_locked_box(alone):
    alone.make()
    kept = {path: path.read_bytes() for path in alone.folder.parent.rglob("root.*")}
    alone.lock()
    for path, content in kept.items():
        path.write_bytes(content)
    refused(alone.start, Needs.RECOVERY_KEY)
    assert not [path for path in kept if path.exists()]


def test_a_box_without_a_recovery_key_is_not_locked_unless_forced(alone):
    alone.make(recovery=False)
    with pytest.raises(DecisionRefused, match="no recovery key") as no:
        alone.lock()
    assert "edge key recovery" in no.value.hint
    assert alone.start() == alone.root
    assert not alone.lock(force=True).destroys
    refused(alone.start, Needs.ADMIN)
    assert alone.custodian().open_by_act(first_start=False) == alone.root
    assert alone.start() == alone.root


def test_a_recovery_key_file_that_is_damaged_is_none(alone):
    alone.make()
    for path in copies(alone.folder / FILE):
        path.write_bytes(b"damaged")
    with pytest.raises(DecisionRefused, match="no recovery key"):
        alone.lock()
    assert alone.start() == alone.root


@pytest.mark.parametrize("step", ["write_file", "_shut"])
def test_a_locking_that_is_cut_short_has_happened_or_not(alone, step, monkeypatch):
    alone.make()

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((module, step, cut) if step == "write_file" else (Custodian, step, cut)))
        with pytest.raises(KeyboardInterrupt):
            alone.lock()
    if step == "write_file":
        assert alone.start() == alone.root
    else:
        refused(alone.start, Needs.RECOVERY_KEY)
        assert alone.custodian().open_by_recovery_key(KEY) == alone.root


def test_a_marker_that_is_damaged_says_locked_and_destroys_nothing(alone):
    alone.make()
    (alone.folder / MARKER).write_bytes(b"\0\0")
    refused(alone.start, Needs.ADMIN)
    assert alone.custodian().open_by_act(first_start=False) == alone.root


def test_another_secret_does_not_end_a_locking(alone, monkeypatch):
    alone.make()
    alone.lock(force=True)
    (alone.folder / MARKER).write_bytes(b'{"by":"x","at":1,"destroys":false}')
    monkeypatch.setattr(
        type(alone.custodian().keeper), "root_secret", lambda self, *, first_start: bytes(32)
    )
    with pytest.raises(WrongKey):
        alone.custodian().open_by_act(first_start=False)
    refused(alone.start, Needs.ADMIN)


def test_a_locked_box_with_a_passphrase_needs_it_again(asked):
    asked.make(recovery=False)
    keeper = asked.custodian().keeper
    remembers = keeper.remember(asked.root)
    if remembers:
        assert asked.start() == asked.root
    assert not asked.lock().destroys
    refused(asked.start, Needs.PASSPHRASE)
    with pytest.raises(WrongKey, match="the passphrase is wrong"):
        asked.custodian().open_by_passphrase(normal(GOOD + "!"), first_start=False)
    refused(asked.start, Needs.PASSPHRASE)
    assert asked.custodian().open_by_passphrase(normal(GOOD), first_start=False) == asked.root
    assert asked.custodian().locked() is None
    (asked.folder / MARKER).unlink(missing_ok=True)
    refused(asked.start, Needs.PASSPHRASE)  # what the kernel had is gone, too


def test_a_passphrase_that_nobody_knows_any_more_is_replaced_by_the_recovery_key(asked):
    asked.make()
    new = "five otters below an old bridge"
    refused(lambda: asked.custodian().open_by_recovery_key(KEY), Needs.NEW_PASSPHRASE)
    with pytest.raises(SecretError, match="too few"):
        asked.custodian().open_by_recovery_key(KEY, normal("short"))
    assert asked.custodian().open_by_passphrase(normal(GOOD), first_start=False) == asked.root
    assert asked.custodian().open_by_recovery_key(KEY, normal(new)) == asked.root
    assert asked.custodian().open_by_passphrase(normal(new), first_start=False) == asked.root
    with pytest.raises(WrongKey):
        asked.custodian().open_by_passphrase(normal(GOOD), first_start=False)


def test_a_box_that_knows_no_passphrase_says_so(alone):
    alone.make()
    with pytest.raises(SecretError, match="not opened by a passphrase"):
        alone.custodian().open_by_passphrase(normal(GOOD), first_start=False)


def test_what_was_typed_is_forgotten_whether_it_was_right_or_not(asked):
    asked.make()
    custodian = asked.custodian()
    for text in (GOOD, GOOD + "!"):
        said = normal(text)
        with contextlib.suppress(WrongKey):
            custodian.open_by_passphrase(said, first_start=False)
        assert not any(said)
        assert custodian.keeper._said == bytearray()


@pytest.fixture
def near(tmp_path):
    """A box that a server opens."""
    if why := tang.missing():
        pytest.skip(why)
    folder = tmp_path / "data"
    folder.mkdir()
    wrapped = WrappedRoot(folder, folder / FILE)
    with Tang(tmp_path / "tang") as server:
        kernel = KernelMemory(folder, 60)
        box = Box(folder, lambda: NetworkKeyProvider(wrapped, kernel, [server.server]))
        box.server = server
        yield box
        kernel.forget()


def test_a_locked_box_that_a_server_opens_needs_the_server_and_its_administrator(near):
    near.make(recovery=False)
    near.custodian().keeper.remember(near.root)
    assert not near.lock().destroys
    refused(near.start, Needs.ADMIN)
    near.server.stop()
    refused(lambda: near.custodian().open_by_act(first_start=False), Needs.SERVER)
    refused(near.start, Needs.ADMIN)
    near.server.start()
    assert near.custodian().open_by_act(first_start=False) == near.root
    assert near.start() == near.root


def test_a_box_whose_servers_are_lost_for_good_is_opened_by_its_recovery_key(near):
    near.make()
    near.lock()
    near.server.stop()
    assert near.custodian().open_by_recovery_key(KEY) == near.root
    refused(near.start, Needs.SERVER)
    near.server.new_keys()
    near.server.start()
    near.custodian().open_by_recovery_key(KEY)
    assert near.start() == near.root


def fails(number):
    def destroy(_):
        raise OSError(number, os.strerror(number), "/media/root.key")

    return destroy


def test_a_box_whose_key_can_not_be_destroyed_is_locked_and_each_start_tries_again(
    tmp_path, monkeypatch, caplog
):
    """As on a medium that can't be written."""
    box = Box(tmp_path, lambda: FileKeyProvider(tmp_path / "root.key"))
    box.make()
    keys, custodian = box.keys(), box.custodian()
    with monkeypatch.context() as patched:
        patched.setattr(FileKeyProvider, "destroy", fails(errno.EROFS))
        assert custodian.lock("somebody", 7.0, Escrow(tmp_path, keys)).destroys
        keys.close()
        assert custodian.left == "/media/root.key: Read-only file system"
        for _ in range(2):
            refused(box.start, Needs.RECOVERY_KEY)
        assert caplog.text.count("the next start tries again") == 3
        assert custodian.open_by_recovery_key(KEY) == box.root  # it is still there, and is right
        assert box.start() == box.root
        box.lock()
    assert (tmp_path / "root.key").exists()
    refused(box.start, Needs.RECOVERY_KEY)
    assert not (tmp_path / "root.key").exists()
    assert box.custodian().open_by_recovery_key(KEY) == box.root


def test_a_key_behind_a_link_is_destroyed_where_it_lies(tmp_path):
    medium = tmp_path / "medium"
    folder = tmp_path / "data"
    medium.mkdir()
    folder.mkdir()
    box = Box(folder, lambda: FileKeyProvider(folder / "root.key"))
    box.make()
    (folder / "root.key").rename(medium / "root.key")
    (folder / "root.key").symlink_to(medium / "root.key")
    assert box.start() == box.root
    assert box.lock().destroys
    refused(box.start, Needs.RECOVERY_KEY)
    assert not any((medium / "root.key").read_bytes())
    assert box.custodian().open_by_recovery_key(KEY) == box.root
    assert box.start() == box.root


def test_both_copies_of_what_a_credential_opens_are_tried(tmp_path, monkeypatch):
    tried = []

    def destroy(path):
        tried.append(path)
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(wrapped_module, "destroy_file", destroy)
    with pytest.raises(OSError, match="no"):
        WrappedRoot(tmp_path, tmp_path / FILE).destroy()
    assert len(tried) == 2


def full_disk(monkeypatch, rooms):
    """Nothing can be written until room was made so often."""
    write, made = os.write, []

    def full(descriptor, data):
        if len(made) < rooms:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    def make_room():
        made.append(True)
        return len(made) <= rooms

    monkeypatch.setattr(os, "write", full)
    return make_room


def test_a_full_disk_is_locked_in_the_room_that_was_set_aside(alone, monkeypatch):
    alone.make()
    keys, custodian = alone.keys(), alone.custodian()
    with monkeypatch.context() as patched:
        custodian.make_room = full_disk(patched, 1)
        assert custodian.lock("somebody", 7.0, Escrow(alone.folder, keys)).destroys
    keys.close()
    refused(alone.start, Needs.RECOVERY_KEY)


def test_a_disk_with_no_room_at_all_locks_nothing_and_says_so(alone, monkeypatch):
    alone.make()
    keys, custodian = alone.keys(), alone.custodian()
    with monkeypatch.context() as patched:
        full_disk(patched, 1)
        with pytest.raises(SecretError, match="can't be locked: No space left"):
            custodian.lock("somebody", 7.0, Escrow(alone.folder, keys))
    keys.close()
    assert custodian.locked() is None
    assert alone.start() == alone.root
