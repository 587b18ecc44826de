"""The root secret, changed: another one, kept by another provider or by the same.

Nothing that was sealed, wrapped or derived notices: the ring has a master of its own (``keys``).
The old secret opens nothing of this box afterwards; with a copy of the ring from before, it does.

Crash order: the ring opens by either -> the recovery key brings back the new one -> the new one is
kept, and was given back once -> the ring opens by the new one alone -> what the old one was kept in
is destroyed. Cut short before the third step, the old provider opens the box as before; from then
on the new one does, and its first start goes on with the fourth. What fails is taken back, step by
step. Calls block.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from edge.crypto.durable import destroy_file, write_file
from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing
from edge.crypto.providers.base import ROOT_LENGTH, Keeper
from edge.errors import EdgeError, SecretError, WrongKey

__all__ = ["change_root"]

log = logging.getLogger(__name__)


def change_root(keys: KeyRing, escrow: Escrow, old: Keeper, new: Keeper) -> None:
    """Give the box another root secret.

    Args:
        keys: Its ring, open.
        escrow: What it keeps of its recovery key.
        old: Keeps the secret of today.
        new: Shall keep the one of tomorrow; with the passphrase said, if it needs one.

    Raises:
        SecretError: The new provider can't keep it, or keys are being rotated; all is as before.
        OSError: The disk does not take it; likewise.
    """
    before, after = keys.escrow_root(bytes), os.urandom(ROOT_LENGTH)
    kept = {path: _content(path) for path in (*old.files, *new.files)}
    try:
        keys.add_root(after)
        escrow.follow()
        # Where the old one is, the new one takes its place; anything else there is somebody's.
        (new.keep if set(new.files) == set(old.files) else new.put_back)(after)
        if new.root_secret(first_start=False) != after:
            raise WrongKey("the new provider does not give back what it was given")
        keys.settle_root()
    except (EdgeError, OSError):
        _take_back(keys, escrow, before, kept)
        raise
    old.forget()
    for path in set(old.files) - set(new.files):
        destroy_file(path)


def _take_back(keys: KeyRing, escrow: Escrow, root: bytes, kept: dict[Path, bytes | None]) -> None:
    """All as it was; what can't be taken back opens the box as well, and is told."""
    try:
        for path, content in kept.items():
            if content != _content(path):
                _restore(path, content)
        keys.rewrap_root(root)
        escrow.follow()
    except (SecretError, OSError) as error:
        log.error("the root secret was not changed, and traces of that are left: %s", error)


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        destroy_file(path)
    else:
        write_file(path, content)


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None
