"""The ring of keys: root secret -> key-encryption key (an epoch) -> one key per study.

What it owns is one small file, ``keys.db``, and its copy. It holds key-encryption keys wrapped by
the root secret and study keys wrapped by the key-encryption key of an epoch, under random names;
nothing in it is readable, and nothing in it says which study a key belongs to (the index and the
objects do).

    place 0   magic, version, verifier of the root secret
    place n   kind, epoch, name, nonce + wrapped key + tag; or zeros

Attack model: who has the disk without the root secret has nothing. Who erased a study has destroyed
its keys here, in both copies, so that copies of its sealed objects, wherever they are, can't be
opened again. Who changes a byte is found out, because every wrapping is authenticated and binds the
name and epoch; what is sound in one copy only is repaired from it.

Crash order: a study key is durable here before the first byte is sealed with it. A key that nothing
was sealed with is litter, and recovery removes it.

Calls block (they may fsync): use them from worker threads. They are safe from several at once.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.durable import write_file
from edge.crypto.providers import KeyProvider
from edge.crypto.sealed import KEY_ID_LENGTH
from edge.crypto.twin import EMPTY, PLACE, TwinFile, copies
from edge.errors import SealBroken, SecretError, StorageFull, WrongKey

__all__ = ["KeyRing", "StudyKey"]

log = logging.getLogger(__name__)

_VERSION = 1
_HEADER = struct.Struct(">8sB32s")
_MAGIC = b"EDGEKEYS"
_RECORD = struct.Struct(f">BxxxI16s60s{PLACE - 84}x")
_RESTORE = "restore keys.db from a backup; a new ring would open nothing of what is here"


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A key that objects are sealed with, and its name."""

    key_id: bytes
    secret: bytes = field(repr=False)


class _Kind(IntEnum):
    EPOCH = 1
    STUDY_KEY = 2


@dataclass(frozen=True, slots=True)
class _Record:
    """What a place holds: a wrapped key."""

    kind: _Kind
    epoch: int
    key_id: bytes
    wrapped: bytes

    @classmethod
    def wrap(cls, kind: _Kind, epoch: int, key_id: bytes, key: bytes, secret: bytes) -> _Record:
        nonce = os.urandom(12)
        return cls(
            kind,
            epoch,
            key_id,
            nonce + AESGCM(key).encrypt(nonce, secret, _bound(kind, epoch, key_id)),
        )

    @classmethod
    def from_bytes(cls, place: bytes) -> _Record | None:
        """The record of a place; None if that is empty, or holds none."""
        kind, epoch, key_id, wrapped = _RECORD.unpack(place)
        try:
            record = cls(_Kind(kind), epoch, key_id, wrapped)
        except ValueError:
            return None
        return record if record.to_bytes() == place else None

    def to_bytes(self) -> bytes:
        return _RECORD.pack(self.kind, self.epoch, self.key_id, self.wrapped)


def _bound(kind: _Kind, epoch: int, key_id: bytes) -> bytes:
    return b"%s %d " % (kind.name.encode(), epoch) + key_id


class KeyRing:
    """Opens and makes keys; close it when done.

    Args:
        path: The ring's file.
        provider: Asked once for the root secret.
        may_create: Nothing was ever sealed here, so that a missing ring may be made. An existing
            one is never completed or replaced: what it wrapped would be lost for good.
        owned: No other process writes to the ring; without it, this one only reads.

    Raises:
        KeyUnavailable: The provider can't release the root secret.
        WrongKey: The root secret does not open this ring.
        SecretError: The file can't be read, or was written by a newer version.
    """

    def __init__(
        self, path: Path, provider: KeyProvider, *, may_create: bool = True, owned: bool = True
    ) -> None:
        self._path = path
        self._owned = owned
        self._lock = threading.Lock()
        self._open: dict[bytes, StudyKey] = {}
        self._places: dict[bytes, int] = {}
        self._free: list[int] = []
        self._length = 0
        missing = not any(copy.exists() and copy.stat().st_size for copy in copies(path))
        if missing and not may_create:
            raise SecretError(
                f"the ring of keys {path} is missing, and without it nothing here opens",
                hint=_RESTORE,
            )
        self._root = provider.root_secret(first_start=may_create)
        self._wrapping = self.derive("key-encryption keys")
        # By the verifier a wrong root secret is told from a damaged ring; nothing follows from it.
        header = _HEADER.pack(_MAGIC, _VERSION, self.derive("verifier of the root secret"))
        self._header = header.ljust(PLACE, b"\0")
        if missing:
            self._create()
        try:
            self._file = TwinFile(path, owned=owned)
        except OSError as error:
            raise SecretError(
                f"the ring of keys {path} can't be read: {error.strerror}", hint=_RESTORE
            ) from error
        try:
            self._load()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def derive(self, purpose: str) -> bytes:
        """32 bytes for a purpose of their own, such as the index; always the same ones."""
        info = b"edge/1 " + purpose.encode()
        return HKDF(SHA256(), length=32, salt=None, info=info).derive(self._root)

    def escrow_root(self, seal: Callable[[bytes], bytes]) -> bytes:
        """The root secret, as *seal* makes it unreadable for everybody but its recipient."""
        return seal(self._root)

    def content(self) -> bytes:
        """Either copy of the file, for a backup; places that one of them lacks come from both."""
        with self._lock:
            return self._file.compare(self._is_sound).content

    def new_study_key(self) -> StudyKey:
        """Make a study key; it is durable when this returns.

        Raises:
            StorageFull: The disk is full.
        """
        key = StudyKey(os.urandom(KEY_ID_LENGTH), os.urandom(32))
        with self._lock:
            epoch = max(self._epochs)
            record = _Record.wrap(
                _Kind.STUDY_KEY, epoch, key.key_id, self._epochs[epoch], key.secret
            )
            place = self._free.pop() if self._free else self._length
            try:
                self._file.write({place: record.to_bytes()})
            except OSError as error:
                # One copy may have it: then it is a key that nothing is sealed with.
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise StorageFull("the disk is full; no key could be made") from error
                raise
            self._length = max(self._length, place + 1)
            self._places[key.key_id] = place
            self._open[key.key_id] = key
        return key

    def known(self, key_id: bytes) -> StudyKey | None:
        """The study key of this name, if it was opened before and not destroyed; never blocks."""
        return self._open.get(key_id)

    def study_key(self, key_id: bytes) -> StudyKey:
        """The study key of this name.

        Raises:
            SealBroken: There is none (its study was erased), or its wrapping was changed.
        """
        if (known := self._open.get(key_id)) is not None:
            return known
        with self._lock:
            place = self._places.get(key_id)
            if place is None:
                raise SealBroken("the key of a sealed object does not exist, or was destroyed")
            for content in self._file.read(place):
                record = _Record.from_bytes(content)
                secret = None if record is None else self._unwrap(record)
                if record is not None and record.key_id == key_id and secret is not None:
                    key = self._open[key_id] = StudyKey(key_id, secret)
                    return key
        raise SealBroken("the wrapping of a study key was changed")

    def key_ids(self) -> set[bytes]:
        """The names of all study keys."""
        with self._lock:
            return set(self._places)

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Destroy study keys: what is sealed with them can never be opened again."""
        with self._lock:
            places = {name: self._places[name] for name in key_ids if name in self._places}
            self._file.write(dict.fromkeys(places.values(), EMPTY))
            for name, place in places.items():
                del self._places[name]
                self._open.pop(name, None)
                self._free.append(place)

    def _create(self) -> None:
        first = _Record.wrap(_Kind.EPOCH, 1, bytes(KEY_ID_LENGTH), self._wrapping, os.urandom(32))
        for copy in copies(self._path):
            write_file(copy, self._header + first.to_bytes())

    def _load(self) -> None:
        """Read all, and repair what one copy lacks."""
        contents = self._file.read_all()
        self._epochs = self._load_epochs(contents)
        compared = self._file.compare(self._is_sound)
        if compared.damaged:
            log.error(
                "%d places of the ring of keys are damaged in both copies; what is sealed with"
                " these keys does not open until keys.db is restored from a backup",
                len(compared.damaged),
            )
        if compared.repairs and self._owned:
            self._repair(compared.repairs)
        self._length = len(compared.content) // PLACE
        for place, (kind, _, key_id, _) in enumerate(_RECORD.iter_unpack(compared.content)):
            if place == 0 or place in compared.damaged:
                continue
            if kind == _Kind.STUDY_KEY:
                self._places[key_id] = place
            elif compared.content.startswith(EMPTY, place * PLACE):
                self._free.append(place)

    def _load_epochs(self, contents: list[bytes]) -> dict[int, bytes]:
        headers = [content[:PLACE] for content in contents]
        versions = [_HEADER.unpack_from(header)[1:2] for header in headers if _is_header(header)]
        if max(versions, default=(0,)) > (_VERSION,):
            raise SecretError(
                f"the ring of keys {self._path} was written by a newer version",
                hint="install the newer version again",
            )
        epochs: dict[int, bytes] = {}
        for content in contents:
            for place, kind in enumerate(content[::PLACE]):
                if kind == _Kind.EPOCH:
                    record = _Record.from_bytes(content[place * PLACE : (place + 1) * PLACE])
                    if record is not None and (secret := self._unwrap(record)) is not None:
                        epochs[record.epoch] = secret
        if epochs:
            return epochs
        if versions and self._header not in headers:
            raise WrongKey(
                "the root key does not open the keys of this box",
                hint="give the key that this data was made with",
            )
        raise SecretError(
            f"the ring of keys {self._path} can't be read: it was damaged, and so was its copy",
            hint=_RESTORE,
        )

    def _repair(self, repairs: dict[int, bytes]) -> None:
        try:
            self._file.write(repairs)
        except OSError as error:
            # All keys are here; a disk that is full may have room at the next start.
            log.error("a copy of the ring of keys is damaged and can't be repaired: %s", error)
        else:
            log.warning(
                "%d places of the ring of keys were damaged in one copy, and are repaired",
                len(repairs),
            )

    def _is_sound(self, place: int, content: bytes) -> bool:
        if place == 0:
            return content == self._header
        record = _Record.from_bytes(content)
        return record is not None and self._unwrap(record) is not None

    def _unwrap(self, record: _Record) -> bytes | None:
        """The key in a record; None if that is not sound."""
        key = self._wrapping if record.kind is _Kind.EPOCH else self._epochs.get(record.epoch)
        if key is None:
            return None
        bound = _bound(record.kind, record.epoch, record.key_id)
        try:
            return AESGCM(key).decrypt(record.wrapped[:12], record.wrapped[12:], bound)
        except InvalidTag:
            return None


def _is_header(content: bytes) -> bool:
    return content[: len(_MAGIC)] == _MAGIC
