"""What a box keeps of its recovery key."""

from __future__ import annotations

import os

import pytest

from edge.crypto.escrow import FILE, Escrow, root_secret_in, study_of
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.recovery import RecoveryKey
from edge.errors import SealBroken, SecretError, WrongKey


@pytest.fixture
def ring(tmp_path):
    keys = KeyRing(tmp_path / "keys.db", FileKeyProvider(tmp_path / "root.key"))
    yield keys
    keys.close()


@pytest.fixture
def escrow(tmp_path, ring):
    return Escrow(tmp_path, ring)


def test_there_is_nothing_before_a_key_was_made(escrow):
    assert escrow.read() is None


def test_the_box_keeps_whom_to_seal_for_and_nothing_that_opens(escrow):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 5.0)
    kept = escrow.read()
    assert (kept.recipient, kept.made) == (key.recipient, 5.0)
    content = escrow.path.read_bytes()
    assert key.secret not in content
    assert key.recipient.public not in content
    assert escrow.path.stat().st_mode & 0o777 == 0o600


def test_studies_of_earlier_keys_are_remembered(escrow):
    keys = [RecoveryKey.new() for _ in range(3)]
    for key in keys:
        escrow.keep(key.recipient, 0.0)
    kept = escrow.read()
    assert kept.recipient == keys[-1].recipient
    assert kept.studies == {study_of(key.recipient) for key in keys}


def test_the_root_secret_comes_back_with_the_recovery_key_alone(escrow, tmp_path):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 0.0)
    root = root_secret_in(tmp_path / FILE, key)
    assert root == FileKeyProvider(tmp_path / "root.key").root_secret(first_start=False)
    with pytest.raises(WrongKey):
        root_secret_in(tmp_path / FILE, RecoveryKey.new())


def test_nobody_without_the_root_secret_names_another_recipient(escrow, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    keys = KeyRing(other / "keys.db", FileKeyProvider(other / "root.key"))
    forged = Escrow(other, keys)
    forged.keep(RecoveryKey.new().recipient, 0.0)
    keys.close()
    forged.path.rename(escrow.path)
    with pytest.raises(SecretError, match="damaged"):
        escrow.read()


def test_damage_is_found_and_another_key_mends_it(escrow, tmp_path):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 0.0)
    whole = escrow.path.read_bytes()
    for broken in (b"", whole[:40], whole[:20] + b"\0\0" + whole[22:], os.urandom(200)):
        escrow.path.write_bytes(broken)
        with pytest.raises(SecretError, match="damaged"):
            escrow.read()
    escrow.path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SealBroken):
        root_secret_in(escrow.path, key)
    escrow.path.write_bytes(b"nothing")
    escrow.keep(key.recipient, 1.0)
    assert escrow.read().recipient == key.recipient


def test_the_recovery_key_follows_a_root_secret_that_changes(escrow, ring, tmp_path):
    assert not escrow.follow()  # there is none yet
    keys = [RecoveryKey.new() for _ in range(2)]
    for made, key in enumerate(keys):
        escrow.keep(key.recipient, float(made))
    before = escrow.read()
    assert not escrow.follow()
    ring.add_root(b"n" * 32)
    assert escrow.follow()
    assert root_secret_in(escrow.path, keys[1]) == b"n" * 32
    assert escrow.read() == before
    assert not escrow.follow()


def test_a_file_that_does_not_say_which_root_it_holds_is_written_anew_once(escrow, monkeypatch):
    key = RecoveryKey.new()
    with monkeypatch.context() as patch:
        patch.setattr(KeyRing, "root_name", b"")  # as an earlier version wrote it
        escrow.keep(key.recipient, 0.0)
    assert escrow.follow()
    assert not escrow.follow()
