"""The ring of keys, on a real file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge.crypto.keys import KeyRing
from edge.crypto.providers import FileKeyProvider
from edge.errors import KeyUnavailable, SealBroken, SecretError, WrongKey


class Fixed:
    """A provider that always has the same secret."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def root_secret(self, *, first_start: bool) -> bytes:
        return self.secret


def ring(tmp_path: Path, secret: bytes = bytes(32)) -> KeyRing:
    return KeyRing(tmp_path / "keys.db", Fixed(secret))


def test_a_study_key_is_found_again_after_a_restart(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    keys.close()
    again = ring(tmp_path)
    assert again.study_key(made.key_id) == made
    assert again.key_ids() == {made.key_id}


def test_another_root_secret_opens_nothing_and_says_so(tmp_path):
    ring(tmp_path).close()
    with pytest.raises(WrongKey, match="does not open the keys of this box"):
        ring(tmp_path, b"x" * 32)


def test_a_destroyed_key_is_gone(tmp_path):
    keys = ring(tmp_path)
    made, other = keys.new_study_key(), keys.new_study_key()
    keys.destroy([made.key_id])
    with pytest.raises(SealBroken, match="destroyed"):
        keys.study_key(made.key_id)
    assert keys.study_key(other.key_id) == other
    keys.close()
    with pytest.raises(SealBroken):
        ring(tmp_path).study_key(made.key_id)


def test_no_secret_stands_in_the_file(tmp_path):
    keys = ring(tmp_path)
    made = keys.new_study_key()
    content = (tmp_path / "keys.db").read_bytes()
    assert made.key_id in content
    assert made.secret not in content
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0


def test_wrapped_keys_that_traded_places_do_not_open(tmp_path):
    keys = ring(tmp_path)
    one, two = keys.new_study_key(), keys.new_study_key()
    keys.close()
    with sqlite3.connect(tmp_path / "keys.db") as db:
        rows = dict(db.execute("SELECT key_id, wrapped FROM study_keys"))
        for key_id, other in ((one.key_id, two.key_id), (two.key_id, one.key_id)):
            db.execute("UPDATE study_keys SET wrapped = ? WHERE key_id = ?", (rows[other], key_id))
    db.close()
    with pytest.raises(SealBroken, match="changed"):
        ring(tmp_path).study_key(one.key_id)


def test_derived_keys_differ_by_purpose_and_stay_the_same(tmp_path):
    keys = ring(tmp_path)
    assert keys.derive("index") != keys.derive("tls")
    assert keys.derive("index") == ring(tmp_path).derive("index")
    assert len(keys.derive("index")) == 32


def test_a_ring_of_a_newer_version_is_refused(tmp_path):
    ring(tmp_path).close()
    with sqlite3.connect(tmp_path / "keys.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SecretError, match="newer version"):
        ring(tmp_path)


def test_a_file_that_is_no_ring_is_refused(tmp_path):
    (tmp_path / "keys.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(SecretError, match="can't be read"):
        ring(tmp_path)


def test_the_secret_does_not_show_in_a_repr(tmp_path):
    made = ring(tmp_path).new_study_key()
    assert repr(made.secret) not in repr(made)


def test_the_root_key_is_made_at_the_first_start_for_its_owner_alone(tmp_path):
    path = tmp_path / "secrets" / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_bytes()
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    assert path.read_bytes() == first


def test_a_root_key_that_is_missing_is_never_made_anew(tmp_path):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.unlink()
    with pytest.raises(KeyUnavailable, match="can't be read"):
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path), may_create=False)
    assert not path.exists()


def test_a_root_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.chmod(0o640)
    with pytest.raises(KeyUnavailable) as caught:
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path))
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ="])
def test_a_file_that_holds_no_root_key_is_refused(tmp_path, content):
    path = tmp_path / "root.key"
    KeyRing(tmp_path / "keys.db", FileKeyProvider(path)).close()
    path.write_bytes(content)
    with pytest.raises(WrongKey):
        KeyRing(tmp_path / "keys.db", FileKeyProvider(path))


@pytest.mark.parametrize("damage", ["missing", "empty", "no epochs"])
def test_a_ring_is_never_made_anew_where_something_was_sealed(tmp_path, damage):
    keys = ring(tmp_path)
    keys.new_study_key()
    keys.close()
    path = tmp_path / "keys.db"
    if damage == "no epochs":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("DELETE FROM epochs")
        db.close()
    else:
        path.unlink() if damage == "missing" else path.write_bytes(b"")
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(SecretError):
        KeyRing(path, Fixed(bytes(32)), may_create=False)
    assert (path.read_bytes() if path.exists() else None) == before


def test_keys_without_an_epoch_are_a_damaged_ring_wherever_they_are(tmp_path):
    keys = ring(tmp_path)
    keys.new_study_key()
    keys.close()
    with sqlite3.connect(tmp_path / "keys.db") as db:
        db.execute("DELETE FROM epochs")
    db.close()
    with pytest.raises(SecretError, match="damaged"):
        ring(tmp_path)
