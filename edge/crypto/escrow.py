"""What a box keeps of its recovery key: for whom to seal, and its root secret, sealed for them.

What it owns is ``data_dir/recovery.key``, one small file; it outlives an index that is made anew.

    magic, version, length of the first part
    public half of the recovery key, when it was made, the studies of earlier ones; all encrypted
    with a key that follows from the master, so that nobody else can name another recipient
    the root secret, sealed for the recovery key (``recovery``)

Never holds the recovery key itself. Calls block.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.crypto.durable import write_file
from edge.crypto.keys import KeyRing
from edge.crypto.providers import ROOT_LENGTH
from edge.crypto.recovery import Recipient, RecoveryKey
from edge.errors import SealBroken, SecretError

__all__ = ["FILE", "Escrow", "Kept", "root_secret_in", "study_of"]

FILE = "recovery.key"
_HEAD = struct.Struct(">8sBxH")
_MAGIC, _VERSION = b"EDGERECO", 1
_DAMAGED = "it can't be read; make a new recovery key with edge key recovery --renew"


class _Inside(msgspec.Struct):
    public: bytes
    made: float
    former: tuple[str, ...] = ()
    """Decimal: they are too large for numbers of msgpack."""
    root: bytes = b""
    """Name of the root secret that is sealed; a box of an earlier version did not say it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of the recovery key that holds now."""

    recipient: Recipient
    made: float
    """POSIX seconds."""
    studies: frozenset[int] = field(default=frozenset())
    """Numbers of the studies in the archive that hold backups, those of earlier keys too."""


class Escrow:
    """The file in a box.

    Args:
        folder: ``data_dir``.
        keys: The box's own ring.
    """

    def __init__(self, folder: Path, keys: KeyRing) -> None:
        self.path = folder / FILE
        self._keys = keys
        self._key = keys.derive("recovery key")

    def read(self) -> Kept | None:
        """What is kept; None if no recovery key was ever made.

        Raises:
            SecretError: The file was damaged, or is of another box.
        """
        found = self._read()
        if found is None:
            return None
        recipient = Recipient(found.public)
        return Kept(
            recipient, found.made, frozenset({study_of(recipient), *map(int, found.former)})
        )

    def keep(self, recipient: Recipient, now: float) -> None:
        """Seal for this one from now on; it is durable when this returns."""
        try:
            before = self.read()
        except SecretError:
            before = None
        former = () if before is None else tuple(map(str, sorted(before.studies)))
        self._write(recipient, now, former)

    def follow(self) -> bool:
        """Seal the root secret of today, if it is another one that is sealed; whether it was.

        Until then the recovery key brings back a root secret that may open nothing any more: so
        who gives the ring another one (``KeyRing.add_root``) calls this before the old one ends.

        Raises:
            SecretError: The file was damaged.
        """
        found = self._read()
        if found is None or found.root == self._keys.root_name:
            return False
        self._write(Recipient(found.public), found.made, found.former)
        return True

    def _read(self) -> _Inside | None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecretError(f"{self.path} can't be read: {error.strerror}") from error
        try:
            head, secret, _ = _split(data)
            inside = AESGCM(self._key).decrypt(secret[:12], secret[12:], head)
            return msgspec.msgpack.decode(inside, type=_Inside)
        except (InvalidTag, SealBroken, msgspec.MsgspecError) as error:
            raise SecretError(f"{self.path} is damaged", hint=_DAMAGED) from error

    def _write(self, recipient: Recipient, made: float, former: tuple[str, ...]) -> None:
        root = self._keys.root_name
        inside = msgspec.msgpack.encode(_Inside(recipient.public, made, former, root))
        nonce = os.urandom(12)
        head = _HEAD.pack(_MAGIC, _VERSION, len(nonce) + len(inside) + 16)
        secret = nonce + AESGCM(self._key).encrypt(nonce, inside, head)
        write_file(self.path, head + secret + self._keys.escrow_root(recipient.seal))


def root_secret_in(path: Path, key: RecoveryKey) -> bytes:
    """The root secret of a box whose own copy is lost, but not its data.

    Raises:
        WrongKey: It is the recovery key of something else.
        SecretError: There is no such file, or it is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SecretError(f"{path} can't be read: {error.strerror}") from error
    try:
        root = key.open(_split(data)[2])
    except SealBroken as error:
        raise SealBroken(f"{path} is damaged", hint="restore a backup instead") from error
    if len(root) != ROOT_LENGTH:
        raise SealBroken(f"{path} is damaged", hint="restore a backup instead")
    return root


def study_of(recipient: Recipient) -> int:
    """The number of the study that holds the backups for a recovery key."""
    return recipient.number("study")


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    try:
        magic, version, length = _HEAD.unpack_from(data)
    except struct.error as error:
        raise SealBroken(f"{FILE} is cut short") from error
    if magic != _MAGIC or version != _VERSION:
        raise SealBroken(f"{FILE} is damaged, or of a newer version")
    end = _HEAD.size + length
    return data[: _HEAD.size], data[_HEAD.size : end], data[end:]
