"""The root secret in a file."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from edge.crypto.durable import destroy_file, write_file
from edge.crypto.providers.base import ROOT_LENGTH
from edge.errors import KeyUnavailable, WrongKey

__all__ = ["FileKeyProvider", "read_secret"]


class FileKeyProvider:
    """Keeps the root secret in a file that its owner alone may read.

    The file is as good as the disk that it lies on: put it on another medium than ``data_dir`` (a
    USB stick, a mounted share), or use another provider, if the box itself may be stolen.
    """

    opens_alone = True
    is_destroyed_by_locking = True

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
        if (secret := read_secret(text)) is None:
            raise WrongKey(f"{self._path} does not hold a root key")
        return secret

    @property
    def files(self) -> tuple[Path, ...]:
        """The one."""
        return (self._path,)

    def keep(self, secret: bytes) -> None:
        """Write it, in place of the one that is there."""
        self._write(secret)

    def put_back(self, secret: bytes) -> None:
        """Write a secret that was lost here.

        Raises:
            KeyUnavailable: It can't be written there.
            WrongKey: Another one is there; it is left alone.
        """
        if self._path.exists():
            if self.root_secret(first_start=False) != secret:
                raise WrongKey(
                    f"{self._path} holds the root key of another box",
                    hint="move it away; nothing was changed",
                )
            return  # as on a medium that can't be written, where it could not be destroyed either
        try:
            self._write(secret)
        except OSError as error:
            raise KeyUnavailable(
                f"the root key {self._path} can't be written: {error.strerror}",
                hint="see to its medium; the box stays as it is",
            ) from error

    def mend(self) -> None:
        """Nothing: it is kept once, and a copy of it elsewhere by whoever is careful."""

    def destroy(self) -> None:
        """Overwrite the file, and delete it; a disk that writes elsewhere may keep the bytes.

        Of a link, the file that it leads to is overwritten.
        """
        destroy_file(self._path)

    def remember(self, secret: bytes) -> bool:
        """Nothing: the file is there."""
        del secret
        return False

    def forget(self) -> None:
        """Nothing was remembered."""

    def _create(self) -> bytes:
        # Crash order: the secret is durable under its name before anything is sealed with it.
        secret = os.urandom(ROOT_LENGTH)
        self._write(secret)
        return secret

    def _write(self, secret: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, base64.b64encode(secret) + b"\n")


def read_secret(text: bytes) -> bytes | None:
    """The 32 bytes that a text has in Base64; None if it has not."""
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        return None
    return secret if len(secret) == ROOT_LENGTH else None
