"""By whom an update is said: Ed25519 signatures over its manifest, and the keys that are believed.

A box believes the keys that are part of the system that runs: the present one, and the next one,
whose private half nobody has used yet. When the present one is lost or stolen, an update that is
signed with the next one brings the one after that. So no key is ever taken from the data, or from
the line. Promises that a manifest is never understood before one of its signatures was proven.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.errors import UpdateRefused

__all__ = ["Signature", "key_id", "prove", "read_keys", "read_signatures", "sign", "written"]

_CONTEXT: Final = b"edge update manifest 1\n"
"""Before the manifest, so that the signature holds for nothing else."""
_MOST_KEYS: Final = 16


class Signature(msgspec.Struct, frozen=True):
    """One of them."""

    key: Annotated[str, msgspec.Meta(max_length=32)]
    """The public key, by the beginning of its digest."""
    signature: Annotated[str, msgspec.Meta(max_length=128)]
    """In base64."""


def key_id(public: Ed25519PublicKey) -> str:
    """How a key is named."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def sign(manifest: bytes, key: Ed25519PrivateKey) -> Signature:
    """Sign a manifest as it is written."""
    made = key.sign(_CONTEXT + manifest)
    return Signature(key_id(key.public_key()), base64.b64encode(made).decode())


def written(signatures: Sequence[Signature]) -> bytes:
    """As they stand in a bundle."""
    return msgspec.json.encode(list(signatures)) + b"\n"


def read_signatures(data: bytes) -> list[Signature]:
    """The same, read.

    Raises:
        UpdateRefused: They can't be understood.
    """
    try:
        return msgspec.json.decode(data, type=list[Signature])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpdateRefused("the signatures of the update can't be understood") from error


def read_keys(folder: Path) -> list[Ed25519PublicKey]:
    """The keys that are believed: ``*.pub`` of a folder, one key in base64 on a line. Blocks.

    Raises:
        UpdateRefused: There are none, or one of them can't be read.
    """
    found: list[Ed25519PublicKey] = []
    try:
        for path in sorted(folder.glob("*.pub"))[:_MOST_KEYS]:
            lines = path.read_text(encoding="ascii").splitlines()
            found += [_key(line, path) for line in map(str.strip, lines) if line and line[0] != "#"]
    except (OSError, UnicodeDecodeError) as error:
        raise UpdateRefused(f"the keys of updates in {folder} can't be read: {error}") from error
    if not found:
        raise UpdateRefused(
            f"no key for updates is in {folder}",
            hint="a disk image has them; elsewhere update.keys names a folder that you made",
        )
    return found


def _key(line: str, path: Path) -> Ed25519PublicKey:
    try:
        raw = base64.b64decode(line, validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError) as error:
        raise UpdateRefused(
            f"{path} has a line that is no key", hint="scripts/sign-update key writes such files"
        ) from error


def prove(
    manifest: bytes, signatures: Sequence[Signature], keys: Sequence[Ed25519PublicKey]
) -> str:
    """Which key has signed it.

    Raises:
        UpdateRefused: None that is believed.
    """
    known = {key_id(key): key for key in keys}
    for one in signatures:
        if (key := known.get(one.key)) is None:
            continue
        try:
            key.verify(base64.b64decode(one.signature, validate=True), _CONTEXT + manifest)
        except (binascii.Error, InvalidSignature, ValueError):
            continue
        return one.key
    raise UpdateRefused(
        "the update is signed by nobody whom this box believes",
        hint="it was changed, or is another maker's; get it from who made the box",
    )
