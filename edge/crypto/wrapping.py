"""The places of the ring of keys: each holds one key, wrapped by another.

    byte   0   kind: 1 the key of an epoch, 2 a study key, 3 the master
           1   form: 1; it is 0 in a ring that an older version made
           2   turn: how many root secrets the ring had before this one; 0 but for an epoch
           4   epoch: of this key, or of that which wraps it
           8   name: of the study key, or of the root secret that wraps; zeros for the master
          24   nonce, the wrapped key, tag
          84   seal of an epoch; zeros for the others
         100   zeros

An epoch's key is wrapped by what follows from a root secret, everything else by an epoch's key. All
that stands before the wrapped key is bound by it, and so is the number of the place: a record that
was changed, or put into another place, does not open. Whether an epoch's key that another root
secret wraps is whole can't be found out by opening it: for that there is the seal, which everybody
can check who has the key itself.

No I/O here.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.sealed import KEY_ID_LENGTH
from edge.crypto.twin import PLACE

__all__ = ["FORM", "FORMER", "NO_NAME", "SECRET", "EpochKey", "Kind", "Record", "Root", "derived"]

FORM, FORMER = 1, 0
"""What is written, and what version 1 wrote: without master, turn, seal and places."""
SECRET = 32
"""Bytes of every key."""
NO_NAME = bytes(KEY_ID_LENGTH)
_NONCE = 12
_SEAL = 16
_RECORD = struct.Struct(f">BBHI16s60s{_SEAL}s{PLACE - 100}x")
_BOUND = struct.Struct(">BBHII16s")
_NO_SEAL = bytes(_SEAL)


class Kind(IntEnum):
    """What a place holds."""

    EPOCH = 1
    STUDY_KEY = 2
    MASTER = 3


def derived(secret: bytes | bytearray, info: bytes) -> bytes:
    """32 bytes that follow from a secret."""
    return HKDF(SHA256(), length=SECRET, salt=None, info=info).derive(secret)


@dataclass(frozen=True)
class Root:
    """What follows from a root secret; not the secret itself."""

    name: bytes
    """By which it is known again; nothing follows from it."""
    verifier: bytes
    """The same, in a ring of version 1."""
    secret: bytes = field(repr=False)
    former_secret: bytes = field(repr=False)

    @classmethod
    def of(cls, root: bytes | bytearray) -> Root:
        """What follows from this one."""
        return cls(
            derived(root, b"edge ring 2 name of the root secret")[:KEY_ID_LENGTH],
            derived(root, b"edge/1 verifier of the root secret"),
            derived(root, b"edge ring 2 epochs"),
            derived(root, b"edge/1 key-encryption keys"),
        )

    def open(self, place: int, record: Record) -> EpochKey | None:
        """The key of an epoch; None if this root does not wrap it, or it is not sound."""
        if record.kind is not Kind.EPOCH:
            return None
        if record.form == FORMER:
            secret = record.unwrap(place, AESGCM(self.former_secret))
            return EpochKey(record.epoch, FORMER, secret) if secret else None
        if record.name != self.name:
            return None
        secret = record.unwrap(place, AESGCM(self.secret))
        key = EpochKey(record.epoch, FORM, secret) if secret else None
        return key if key is not None and key.is_sealed(place, record) else None

    def wrap(self, place: int, key: EpochKey, turn: int) -> Record:
        """The key of an epoch, for a place."""
        bare = Record(Kind.EPOCH, FORM, turn, key.number, self.name, b"")
        return key.sealed(place, bare.wrapping(place, AESGCM(self.secret), key.secret))


@dataclass(frozen=True)
class EpochKey:
    """The key-encryption key of one epoch."""

    number: int
    form: int
    """Of what it wraps."""
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, number: int) -> EpochKey:
        """Another one."""
        return cls(number, FORM, os.urandom(SECRET))

    @cached_property
    def aead(self) -> AESGCM:
        """What wraps."""
        return AESGCM(self.secret)

    def wrap(self, place: int, kind: Kind, name: bytes, secret: bytes) -> Record:
        """A key, for a place."""
        bare = Record(kind, self.form, 0, self.number, name, b"")
        return bare.wrapping(place, self.aead, secret)

    def sealed(self, place: int, record: Record) -> Record:
        """The record of this very key, with its seal."""
        return Record(*record.head, record.wrapped, self._seal(place, record))

    def is_sealed(self, place: int, record: Record) -> bool:
        """Whether a record of this very key is whole, whichever root wraps it."""
        return hmac.compare_digest(record.seal, self._seal(place, record))

    def _seal(self, place: int, record: Record) -> bytes:
        key = derived(self.secret, b"edge ring 2 seal of an epoch")
        said = record.bound(place) + record.wrapped
        return hmac.digest(key, said, hashlib.sha256)[:_SEAL]


@dataclass(frozen=True, slots=True)
class Record:
    """What a place holds: a wrapped key."""

    kind: Kind
    form: int
    turn: int
    epoch: int
    name: bytes
    wrapped: bytes
    seal: bytes = _NO_SEAL

    @classmethod
    def from_bytes(cls, content: bytes) -> Record | None:
        """The record of a place; None if that is empty, or holds none."""
        kind, *rest = _RECORD.unpack(content)
        try:
            record = cls(Kind(kind), *rest)
        except ValueError:
            return None
        return record if record.to_bytes() == content else None

    def to_bytes(self) -> bytes:
        """A place with it."""
        return _RECORD.pack(*self.head, self.wrapped, self.seal)

    @property
    def head(self) -> tuple[Kind, int, int, int, bytes]:
        """All that is bound."""
        return self.kind, self.form, self.turn, self.epoch, self.name

    def bound(self, place: int) -> bytes:
        """What its wrapping binds."""
        if self.form == FORMER:
            return b"%s %d " % (self.kind.name.encode(), self.epoch) + self.name
        return b"edge ring 2 " + _BOUND.pack(*self.head[:4], place, self.name)

    def wrapping(self, place: int, by: AESGCM, secret: bytes) -> Record:
        """The same, with a secret in it."""
        nonce = os.urandom(_NONCE)
        wrapped = nonce + by.encrypt(nonce, secret, self.bound(place))
        return Record(*self.head, wrapped, self.seal)

    def unwrap(self, place: int, by: AESGCM) -> bytes | None:
        """The secret in it; None if it is not sound."""
        # Nothing of version 1 has a turn or a seal, and nothing but an epoch has them now.
        plain = self.form == FORMER or self.kind is not Kind.EPOCH
        if plain and (self.turn or self.seal != _NO_SEAL):
            return None
        try:
            return by.decrypt(self.wrapped[:_NONCE], self.wrapped[_NONCE:], self.bound(place))
        except InvalidTag:
            return None
