"""What a box keeps of its recovery key."""

from __future__ import annotations

import os

import pytest

from edge.crypto.escrow import FILE, Escrow, root_secret_in, study_of
from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.crypto.recovery import RecoveryKey
from edge.crypto.twin import copies
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
    for ours, theirs in zip(copies(escrow.path), copies(forged.path), strict=True):
        theirs.rename(ours)
    with pytest.raises(SecretError, match="damaged"):
        escrow.read()


def write_both(escrow, content):
    for path in copies(escrow.path):
        path.write_bytes(content)


def test_every_byte_of_either_file_may_be_damaged_and_is_mended(escrow, tmp_path):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 5.0)
    before, root = escrow.read(), root_secret_in(escrow.path, key)
    both = copies(escrow.path)
    whole = both[0].read_bytes()
    assert both[1].read_bytes() == whole
    damages = [(position, 1) for position in range(len(whole))]
    for number, (position, bit) in enumerate(damages):
        damaged = bytearray(whole)
        damaged[position] ^= bit
        both[number % 2].write_bytes(damaged)
        assert escrow.read() == before, position
        assert root_secret_in(escrow.path, key) == root, position
        assert escrow.content() == whole, position
        assert not escrow.follow()
        assert [path.read_bytes() for path in both] == [whole, whole], position


def test_every_byte_of_both_files_may_be_damaged_and_is_found(escrow):
    """Also of the root secret in it, which the box itself can't open."""
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 5.0)
    whole = escrow.path.read_bytes()
    for position in range(len(whole)):
        write_both(escrow, whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        for act in (escrow.read, escrow.follow, escrow.content):
            with pytest.raises(SecretError, match="damaged"):
                act()
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        write_both(escrow, whole[:length])
        with pytest.raises(SecretError, match="damaged"):
            escrow.read()


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_missing_is_made_again_from_the_other(escrow, which):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 5.0)
    both = copies(escrow.path)
    whole = both[0].read_bytes()
    both[which].unlink()
    assert escrow.read().recipient == key.recipient
    escrow.follow()
    assert [path.read_bytes() for path in both] == [whole, whole]


def test_a_renewal_that_was_cut_short_leaves_the_old_key_of_use(escrow):
    old, new = RecoveryKey.new(), RecoveryKey.new()
    escrow.keep(old.recipient, 1.0)
    second = copies(escrow.path)[1]
    before = second.read_bytes()
    escrow.keep(new.recipient, 2.0)
    second.write_bytes(before)
    assert root_secret_in(escrow.path, old) == root_secret_in(escrow.path, new)
    with pytest.raises(WrongKey):
        root_secret_in(escrow.path, RecoveryKey.new())


def test_damage_is_found_and_another_key_mends_it(escrow, tmp_path):
    key = RecoveryKey.new()
    escrow.keep(key.recipient, 0.0)
    whole = escrow.path.read_bytes()
    for broken in (b"", whole[:40], whole[:20] + b"\0\0" + whole[22:], os.urandom(200)):
        write_both(escrow, broken)
        with pytest.raises(SecretError, match="damaged"):
            escrow.read()
    write_both(escrow, whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SealBroken):
        root_secret_in(escrow.path, key)
    write_both(escrow, b"nothing")
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
