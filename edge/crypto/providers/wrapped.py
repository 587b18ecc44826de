"""The root secret, random, and wrapped by what a provider gets from elsewhere: ``root.sealed``.

What it owns is that file and its copy in ``data_dir``. A provider says by which key it is wrapped;
this says how, so that what is written is of one form:

    magic, version, length
    the wrapping: of which provider, what it needs to find the key again, nonce + secret + tag
    the first 16 bytes of SHA-256 of all that

The digest tells damage from a wrong key, so that nobody is told that a passphrase is wrong while it
is the disk that is. What protects is the tag: it binds the provider and everything beside it, so
that nobody makes a guess cheaper, or another key do, by changing what stands there.

Crash order: first copy -> fsync -> second copy. A start takes whichever is whole, and mends the
other. The secret is durable before anything is sealed with it. Calls block.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.crypto.durable import destroy_file, write_file
from edge.crypto.providers.base import ROOT_LENGTH
from edge.crypto.twin import copies
from edge.errors import KeyLocked, KeyUnavailable, Needs, SealBroken, SecretError, WrongKey

__all__ = [
    "FILE",
    "ByCredential",
    "ByPassphrase",
    "ByServers",
    "Share",
    "WrappedRoot",
    "Wrapping",
    "unwrap",
    "wrap",
]

log = logging.getLogger(__name__)

FILE = "root.sealed"
_HEAD = struct.Struct(">8sBxH")
_MAGIC, _VERSION = b"EDGEROOT", 1
_CHECK = 16
_NONCE = 12
_MOST = 64 * 1024
"""Bytes of the file."""
_HELP = "open the box with its recovery key, edge key unlock --recovery, or restore a backup"


class ByPassphrase(msgspec.Struct, tag="passphrase", frozen=True):
    """By a passphrase, stretched by Argon2id (RFC 9106)."""

    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    box: bytes


class ByCredential(msgspec.Struct, tag="systemd-creds", frozen=True):
    """By a credential that systemd hands over."""

    salt: bytes
    box: bytes


class Share(msgspec.Struct, frozen=True):
    """By one server: what it must be asked with, and the secret under what follows."""

    thumbprint: str
    """Of the key by which the configuration names the server."""
    key: bytes
    """The server's exchange key: a point in uncompressed form."""
    ours: bytes
    """Public half of a key whose private half nobody has any more."""
    box: bytes


class ByServers(msgspec.Struct, tag="network", frozen=True):
    """By what any one of some servers gives back."""

    shares: tuple[Share, ...]


Wrapping = ByPassphrase | ByCredential | ByServers
_NAMES: dict[type[Wrapping], str] = {
    ByPassphrase: "passphrase",
    ByCredential: "systemd-creds",
    ByServers: "network",
}


def wrap(root: bytes, key: bytes, *bound: bytes | int | str) -> bytes:
    """The root secret under a key; *bound* must be the same to open it."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, root, _bound(bound))


def unwrap(box: bytes, key: bytes, *bound: bytes | int | str) -> bytes:
    """The opposite.

    Raises:
        WrongKey: It is another key, or something of it was changed.
    """
    try:
        root = AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], _bound(bound))
    except (InvalidTag, ValueError) as error:
        raise WrongKey("it does not open the root secret of this box") from error
    if len(root) != ROOT_LENGTH:
        raise WrongKey("what it opens is not a root secret")
    return root


def _bound(parts: tuple[bytes | int | str, ...]) -> bytes:
    return msgspec.msgpack.encode(("edge root secret 1", *parts))


class WrappedRoot:
    """The file in a box.

    Args:
        folder: ``data_dir``.
        recovery: The file of the recovery key, which opens the box without this one.
    """

    def __init__(self, folder: Path, recovery: Path) -> None:
        self.path = folder / FILE
        self._recovery = recovery

    def exists(self) -> bool:
        """Whether there is one."""
        return any(copy.exists() for copy in copies(self.path))

    def read(self, *kinds: type[Wrapping]) -> Wrapping | None:
        """What is there; None if there is nothing.

        Args:
            kinds: What the provider can open; empty means all.

        Raises:
            SealBroken: Both copies are damaged.
            SecretError: A newer version wrote it, or it can't be read.
            KeyUnavailable: Another provider wrapped it.
        """
        found: list[Wrapping] = []
        broken: SecretError | None = None
        for copy in copies(self.path):
            try:
                found.append(_decode(copy.read_bytes()[: _MOST + 1], copy))
            except FileNotFoundError:
                continue
            except OSError as error:
                broken = SecretError(f"{copy} can't be read: {error.strerror}", hint=_HELP)
            except SecretError as error:
                broken = error
        if not found:
            if broken is not None:
                raise broken
            return None
        if kinds and not isinstance(found[0], kinds):
            named = _NAMES[type(found[0])]
            raise KeyUnavailable(
                f'the root secret of this box is kept by "{named}", and keys.provider is another',
                hint=f'set keys.provider = "{named}" again',
            )
        return found[0]

    def required(self, *kinds: type[Wrapping]) -> Wrapping:
        """What is there.

        Raises:
            KeyLocked: Nothing is, and the recovery key opens the box.
            KeyUnavailable: Nothing is, and there is no recovery key; or as ``read``.
            SecretError: As ``read``.
        """
        found = self.read(*kinds)
        if found is not None:
            return found
        if self._recovery.exists():
            raise KeyLocked(
                f"{self.path} is not there: only the recovery key opens this box",
                needs=Needs.RECOVERY_KEY,
                hint="edge key unlock --recovery",
            )
        raise KeyUnavailable(
            f"the root secret {self.path} is not there, and without it nothing here opens",
            hint="put the file back from a copy of data_dir, or restore a backup: edge restore",
        )

    def write(self, wrapping: Wrapping) -> None:
        """Keep it; it is durable when this returns."""
        data = _encode(wrapping)
        for copy in copies(self.path):
            write_file(copy, data)

    def mend(self) -> None:
        """Make the copies equal; for who owns the folder."""
        try:
            found = self.read()
        except SecretError:
            return
        for copy in copies(self.path):
            try:
                is_whole = found is None or _decode(copy.read_bytes(), copy) == found
            except (OSError, SecretError):
                is_whole = False
            if found is not None and not is_whole:
                log.warning("%s was damaged or missing, and is made again from its copy", copy)
                write_file(copy, _encode(found))

    def destroy(self) -> None:
        """Overwrite and delete both.

        Raises:
            OSError: Something is left.
        """
        failed = None
        for copy in copies(self.path):
            try:
                destroy_file(copy)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

    def digest(self) -> str:
        """By which one is told from any other."""
        found = self.read()
        return "" if found is None else hashlib.sha256(_encode(found)).hexdigest()[:32]


def _encode(wrapping: Wrapping) -> bytes:
    inside = msgspec.msgpack.encode(wrapping)
    data = _HEAD.pack(_MAGIC, _VERSION, len(inside)) + inside
    return data + hashlib.sha256(data).digest()[:_CHECK]


def _decode(data: bytes, path: Path) -> Wrapping:
    whole, check = data[:-_CHECK], data[-_CHECK:]
    try:
        magic, version, length = _HEAD.unpack_from(whole)
        is_whole = hashlib.sha256(whole).digest()[:_CHECK] == check
        if not is_whole or magic != _MAGIC or len(whole) != _HEAD.size + length:
            raise SealBroken(f"{path} is damaged", hint=_HELP)
        if version != _VERSION:
            raise SecretError(
                f"{path} was written by a newer version", hint="install the newer version again"
            )
        found: Wrapping = msgspec.msgpack.decode(whole[_HEAD.size :], type=Wrapping)
        return found
    except (struct.error, msgspec.MsgspecError) as error:
        raise SealBroken(f"{path} is damaged", hint=_HELP) from error
