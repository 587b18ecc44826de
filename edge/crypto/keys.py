"""The ring of keys: root secret -> key-encryption key (an epoch) -> one key per study.

What it owns is one small file, ``keys.db``. It holds key-encryption keys wrapped by the root secret
and study keys wrapped by the key-encryption key of an epoch, under random names; nothing in it is
readable, and nothing in it says which study a key belongs to (the index and the objects do).

Attack model: who has the disk without the root secret has nothing. Who erased a study has destroyed
its keys here, so that copies of its sealed objects, wherever they are, can't be opened again. Who
changes a byte is found out, because every wrapping is authenticated and binds the name and epoch.

Crash order: a study key is durable here before the first byte is sealed with it. A key that nothing
was sealed with is litter, and recovery removes it.

Calls block (they may fsync): use them from worker threads. They are safe from several at once.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.providers import KeyProvider
from edge.crypto.sealed import KEY_ID_LENGTH
from edge.errors import SealBroken, SecretError, WrongKey

__all__ = ["KeyRing", "StudyKey"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
CREATE TABLE study_keys (
    key_id BLOB PRIMARY KEY, epoch INTEGER NOT NULL REFERENCES epochs, wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A key that objects are sealed with, and its name."""

    key_id: bytes
    secret: bytes = field(repr=False)


def _derive(root: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"edge/1 " + purpose.encode()).derive(root)


def _wrap(key: bytes, secret: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, secret, bound)


def _unwrap(key: bytes, wrapped: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], bound)


class KeyRing:
    """Opens and makes keys; close it when done.

    Args:
        path: The ring's file.
        provider: Asked once for the root secret.
        may_create: Nothing was ever sealed here, so that a missing ring may be made. An existing
            one is never completed or replaced: what it wrapped would be lost for good.

    Raises:
        KeyUnavailable: The provider can't release the root secret.
        WrongKey: The root secret does not open this ring.
        SecretError: The file can't be read, or was written by a newer version.
    """

    def __init__(self, path: Path, provider: KeyProvider, *, may_create: bool = True) -> None:
        self._lock = threading.Lock()
        self._open: dict[bytes, StudyKey] = {}
        if not may_create and (not path.exists() or path.stat().st_size == 0):
            raise SecretError(
                f"the ring of keys {path} is missing, and without it nothing here opens",
                hint="restore it from a backup; a new ring would open nothing of what is here",
            )
        self._root = provider.root_secret(first_start=may_create)
        try:
            self._db = self._connect(path)
            self._epochs = self._load_epochs(may_create=may_create)
        except sqlite3.Error as error:
            raise SecretError(
                f"the ring of keys {path} can't be read: {error}", hint="restore it from a backup"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def derive(self, purpose: str) -> bytes:
        """32 bytes for a purpose of their own, such as the index; always the same ones."""
        return _derive(self._root, purpose)

    def new_study_key(self) -> StudyKey:
        """Make a study key; it is durable when this returns."""
        key = StudyKey(os.urandom(KEY_ID_LENGTH), os.urandom(32))
        with self._lock:
            epoch = max(self._epochs)
            wrapped = _wrap(self._epochs[epoch], key.secret, self._bound(key.key_id, epoch))
            with self._db:
                self._db.execute(
                    "INSERT INTO study_keys VALUES (?, ?, ?)", (key.key_id, epoch, wrapped)
                )
            self._open[key.key_id] = key
        return key

    def study_key(self, key_id: bytes) -> StudyKey:
        """The study key of this name.

        Raises:
            SealBroken: There is none (its study was erased), or its wrapping was changed.
        """
        if (known := self._open.get(key_id)) is not None:
            return known
        with self._lock:
            row = self._db.execute(
                "SELECT epoch, wrapped FROM study_keys WHERE key_id = ?", (key_id,)
            ).fetchone()
            if row is None:
                raise SealBroken("the key of a sealed object does not exist, or was destroyed")
            epoch, wrapped = row
            try:
                secret = _unwrap(self._epochs[epoch], wrapped, self._bound(key_id, epoch))
            except (InvalidTag, KeyError) as error:
                raise SealBroken("the wrapping of a study key was changed") from error
            key = self._open[key_id] = StudyKey(key_id, secret)
        return key

    def key_ids(self) -> set[bytes]:
        """The names of all study keys."""
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT key_id FROM study_keys")}

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Destroy study keys: what is sealed with them can never be opened again."""
        names = list(key_ids)
        with self._lock:
            with self._db:
                self._db.executemany(
                    "DELETE FROM study_keys WHERE key_id = ?", [(name,) for name in names]
                )
            for name in names:
                self._open.pop(name, None)

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        path.touch(mode=0o600)
        db = sqlite3.connect(path, check_same_thread=False, isolation_level="IMMEDIATE")
        # A rollback journal, not a WAL: what was deleted must not linger in a second file.
        db.executescript(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA;"
            "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;"
        )
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
        elif version > _SCHEMA_VERSION:
            db.close()
            raise SecretError(
                f"the ring of keys {path} was written by a newer version",
                hint="install the newer version again",
            )
        return db

    def _load_epochs(self, *, may_create: bool) -> dict[int, bytes]:
        wrapping = self.derive("key-encryption keys")
        rows = self._db.execute("SELECT epoch, wrapped FROM epochs").fetchall()
        (healthy,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        keys = self._db.execute("SELECT count(*) FROM study_keys").fetchone()[0]
        if healthy != "ok" or (not rows and (keys or not may_create)):
            raise SecretError("the ring of keys was damaged", hint="restore it from a backup")
        if not rows:
            first = os.urandom(32)
            with self._db:
                self._db.execute(
                    "INSERT INTO epochs VALUES (1, ?)", (_wrap(wrapping, first, b"epoch 1"),)
                )
            return {1: first}
        try:
            return {
                epoch: _unwrap(wrapping, wrapped, b"epoch %d" % epoch) for epoch, wrapped in rows
            }
        except InvalidTag as error:
            raise WrongKey(
                "the root key does not open the keys of this box",
                hint="give the key that this data was made with, or restore from the recovery key",
            ) from error

    @staticmethod
    def _bound(key_id: bytes, epoch: int) -> bytes:
        return b"study key %d " % epoch + key_id
