"""The recovery key: what is left of a box after theft or fire, on paper and in nobody's disk.

A key is 256 random bits. From them follows a pair of keys (X25519); the box keeps its public half
alone, so that it can seal for whoever has the paper and can't open that itself. Who knows the
public half could make such a sealed thing, too: the box keeps it as a secret (``escrow``), and what
is sealed names it by a hash.

On paper it is nine groups of eight characters (`edge.written`).

    sealed for a key     magic, version, whose key, ephemeral public key, their digest
                         then a sealed object (``sealed``), its key from X25519 and HKDF-SHA256

No I/O here.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.paper import Paper, from_paper, to_paper
from edge.crypto.sealed import HEADER_LENGTH, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import SealBroken, WrongKey

__all__ = ["Recipient", "RecoveryKey"]

_LENGTH = 32
_MAGIC, _VERSION = b"EDGEBKUP", 1
_ENVELOPE = struct.Struct(">8sB7x16s32s")
_CHECK = 16
_HEAD = _ENVELOPE.size + _CHECK
_NO_KEY = bytes(KEY_ID_LENGTH)
_DAMAGED = "the backup is damaged or cut short"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom the box seals for: the public half of a recovery key. Kept secret all the same."""

    public: bytes = field(repr=False)

    @property
    def mark(self) -> bytes:
        """16 bytes that tell one key from another, and nothing else of it."""
        return self.number("mark").to_bytes(16, "big")

    def number(self, purpose: str) -> int:
        """128 bits for a purpose, in the form of a UUID (RFC 9562 5.8); always the same ones."""
        digest = hashlib.sha256(b"edge recovery 1 " + purpose.encode() + b"\0" + self.public)
        number = int.from_bytes(digest.digest()[:16], "big")
        number = number & ~(0xF << 76) | (8 << 76)
        return number & ~(3 << 62) | (2 << 62)

    def seal(self, content: bytes) -> bytes:
        """Seal something that only the recovery key opens."""
        ephemeral = X25519PrivateKey.generate()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self.public))
        sender = ephemeral.public_key().public_bytes_raw()
        head = _ENVELOPE.pack(_MAGIC, _VERSION, self.mark, sender)
        head += hashlib.sha256(head).digest()[:_CHECK]
        header = Header.new(Algorithm.AES_256_GCM, _NO_KEY)
        sealer = Sealer(header, _secret(shared, sender, self.public), head)
        return b"".join([head, header.to_bytes(), *sealer.seal(content), sealer.finish()])


@dataclass(frozen=True)
class RecoveryKey:
    """The key itself, for as long as a command runs."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> RecoveryKey:
        """Another one."""
        return cls(os.urandom(_LENGTH))

    @cached_property
    def _private(self) -> X25519PrivateKey:
        info = b"edge recovery key pair 1"
        derived = HKDF(SHA256(), length=32, salt=None, info=info).derive(self.secret)
        return X25519PrivateKey.from_private_bytes(derived)

    @cached_property
    def recipient(self) -> Recipient:
        """Its public half."""
        return Recipient(self._private.public_key().public_bytes_raw())

    def open(self, data: bytes) -> bytes:
        """What was sealed for this key.

        Raises:
            WrongKey: It was sealed for another.
            SealBroken: It was changed or cut short, or is no backup.
        """
        head, sealed = data[:_HEAD], data[_HEAD:]
        if head[: len(_MAGIC)] != _MAGIC:
            raise SealBroken("this is no backup of an edge, or its beginning is damaged")
        if hashlib.sha256(head[: _ENVELOPE.size]).digest()[:_CHECK] != head[_ENVELOPE.size :]:
            raise SealBroken(_DAMAGED)
        _, version, mark, sender = _ENVELOPE.unpack_from(head)
        if version != _VERSION:
            raise SealBroken(
                f"the backup has version {version}, newer than this program",
                hint="install the version that made it",
            )
        if mark != self.recipient.mark:
            raise WrongKey(
                "this recovery key does not open it: it was sealed for another",
                hint="take the paper with the key that held when it was made: another opens only"
                " what was made after it",
            )
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
            header = Header.from_bytes(sealed[:HEADER_LENGTH])
            secret = _secret(shared, sender, self.recipient.public)

            def read_at(offset: int, length: int) -> bytes:
                return sealed[offset : offset + length]

            opener = Opener(header, secret, head, len(sealed), read_at)
            return opener.read(0, opener.length)
        except (SealBroken, ValueError) as error:
            raise SealBroken(_DAMAGED) from error

    def to_groups(self) -> list[str]:
        """The key for paper."""
        return to_paper(self.secret, Paper.BACKUPS)

    @classmethod
    def from_text(cls, text: str) -> RecoveryKey:
        """A key as somebody typed it.

        Raises:
            WrongKey: It is none; the message names the groups to look at, or which other key it is.
        """
        return cls(from_paper(text, Paper.BACKUPS))


def _secret(shared: bytes, sender: bytes, public: bytes) -> bytes:
    info = b"edge backup 1"
    return HKDF(SHA256(), length=32, salt=sender + public, info=info).derive(shared)
