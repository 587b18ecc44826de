"""What a box keeps of its recovery key: for whom to seal, and its root secret, sealed for them.

What it owns is ``data_dir/recovery.key``, one small file, and its copy beside it; they outlive an
index that is made anew. Whoever reads takes the one that is sound, and ``follow`` mends the other.

    magic, version, length of the first part
    public half of the recovery key, when it was made, the studies of earlier ones, and a digest of
    what follows, which the box can't open; all encrypted with a key that follows from the master,
    so that nobody else can name another recipient
    the root secret, sealed for the recovery key (``recovery``)

Never holds the recovery key itself. Calls block.
"""

from __future__ import annotations

import hashlib
import logging
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
from edge.crypto.twin import copies
from edge.errors import SealBroken, SecretError, WrongKey

__all__ = ["FILE", "Escrow", "Kept", "root_secret_in", "study_of"]

log = logging.getLogger(__name__)

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
    digest: bytes = b""
    """Of that root secret, sealed; likewise."""


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
            SecretError: Both files were damaged, or are of another box.
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
        A copy that is damaged is mended.

        Raises:
            SecretError: Both files were damaged.
        """
        found = self._read()
        if found is None:
            return False
        if found.root == self._keys.root_name and found.digest:
            self._mend()
            return False
        self._write(Recipient(found.public), found.made, found.former)
        return True

    def content(self) -> bytes:
        """A file that is sound, for a backup.

        Raises:
            SecretError: There is none.
        """
        for data in self._files():
            if self._opened(data) is not None:
                return data
        raise SecretError(f"{self.path} is damaged", hint=_DAMAGED)

    def _read(self) -> _Inside | None:
        files = self._files()
        for data in files:
            if (found := self._opened(data)) is not None:
                return found
        if files:
            raise SecretError(f"{self.path} is damaged", hint=_DAMAGED)
        return None

    def _files(self) -> list[bytes]:
        found = [_content(path) for path in copies(self.path)]
        return [data for data in found if data is not None]

    def _opened(self, data: bytes) -> _Inside | None:
        """What is in a file, if all of it is as it was written here."""
        try:
            head, secret, sealed = _split(data)
            inside = AESGCM(self._key).decrypt(secret[:12], secret[12:], head)
            found = msgspec.msgpack.decode(inside, type=_Inside)
        except (InvalidTag, ValueError, SealBroken, msgspec.MsgspecError):
            return None
        return found if found.digest in (b"", hashlib.sha256(sealed).digest()) else None

    def _mend(self) -> None:
        sound = self.content()
        for path in copies(self.path):
            if _content(path) != sound:
                write_file(path, sound)
                log.warning("%s was damaged, and is mended", path.name)

    def _write(self, recipient: Recipient, made: float, former: tuple[str, ...]) -> None:
        sealed, root = self._keys.escrow_root(recipient.seal), self._keys.root_name
        digest = hashlib.sha256(sealed).digest()
        inside = msgspec.msgpack.encode(_Inside(recipient.public, made, former, root, digest))
        nonce = os.urandom(12)
        head = _HEAD.pack(_MAGIC, _VERSION, len(nonce) + len(inside) + 16)
        secret = nonce + AESGCM(self._key).encrypt(nonce, inside, head)
        # One after the other: at any moment one of them is whole. Between the two, each is for
        # another recovery key; the paper has that of the second, for no new one was shown yet.
        for path in copies(self.path):
            write_file(path, head + secret + sealed)


def root_secret_in(path: Path, key: RecoveryKey) -> bytes:
    """The root secret of a box whose own copy is lost, but not its data.

    Raises:
        WrongKey: It is the recovery key of something else.
        SecretError: There is no such file, or it is damaged.
    """
    files = [data for each in copies(path) if (data := _content(each)) is not None]
    if not files:
        raise SecretError(f"{path} can't be read: there is none")
    failed: list[SecretError] = []
    for data in files:
        try:
            root = key.open(_split(data)[2])
        except SecretError as error:
            failed.append(error)
            continue
        if len(root) == ROOT_LENGTH:
            return root
    for each in failed:
        if isinstance(each, WrongKey):
            raise each
    raise SealBroken(f"{path} is damaged", hint="restore a backup instead") from failed[0]


def _content(path: Path) -> bytes | None:
    """Of a file; None if there is none.

    Raises:
        SecretError: It can't be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretError(
            f"{path} can't be read: {error.strerror}",
            hint="give it to the user that the service runs as, who owns the folder",
        ) from error


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
