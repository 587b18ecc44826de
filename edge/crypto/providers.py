"""Where the root secret comes from.

A provider gives 32 bytes at start and is not asked again. Everything else derives from them or is
wrapped by what derives from them (``keys``), so who has no root secret reads nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Protocol

from edge.crypto.durable import write_file
from edge.errors import KeyUnavailable, WrongKey

__all__ = ["ROOT_LENGTH", "FileKeyProvider", "KeyProvider"]

ROOT_LENGTH = 32


class KeyProvider(Protocol):
    """Releases the root secret."""

    def root_secret(self, *, first_start: bool) -> bytes:
        """The 32 bytes; made now if *first_start*.

        Raises:
            KeyUnavailable: It can't be had now.
            WrongKey: What is there is not a root secret.
        """
        ...


class FileKeyProvider:
    """Keeps the root secret in a file that its owner alone may read.

    The file is as good as the disk that it lies on: put it on another medium than ``data_dir`` (a
    USB stick, a mounted share), or use another provider, if the box itself may be stolen.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def root_secret(self, *, first_start: bool) -> bytes:
        """Read the file; make it, with mode 0600, if this is the first start and there is none."""
        if first_start and not self._path.exists():
            return self._create()
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
            text = self._path.read_bytes()
        except OSError as error:
            raise KeyUnavailable(
                f"the root key {self._path} can't be read: {error.strerror}",
                hint="put the key file back, from a copy of it if need be; "
                "a new key would open nothing of what is here",
            ) from error
        if mode & 0o077:
            raise KeyUnavailable(
                f"the root key {self._path} may be read by others (mode {mode:04o})",
                hint=f"chmod 600 {self._path}",
            )
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) != ROOT_LENGTH:
            raise WrongKey(f"{self._path} does not hold a root key")
        return secret

    def put_back(self, secret: bytes) -> None:
        """Write a secret that was lost here.

        Raises:
            WrongKey: Another one is there; it is left alone.
        """
        if self._path.exists() and self.root_secret(first_start=False) != secret:
            raise WrongKey(
                f"{self._path} holds the root key of another box",
                hint="move it away; nothing was changed",
            )
        self._write(secret)

    def _create(self) -> bytes:
        # Crash order: the secret is durable under its name before anything is sealed with it.
        secret = os.urandom(ROOT_LENGTH)
        self._write(secret)
        return secret

    def _write(self, secret: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, base64.b64encode(secret) + b"\n")
