"""Bytes set aside so that the index can be written when the disk is full.

Even making room needs a write: eviction commits before it unlinks. When the disk has nothing left,
the file ``ballast`` is removed, and made again once there is room. It holds zeros, nothing else.

Calls block; they belong into the writer's thread.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

__all__ = ["Ballast"]

_MARGIN = 4
"""It is made again when so many times its size is free."""


class Ballast:
    """The file.

    Args:
        path: Where it lies: on the disk of the index.
        size: Its bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._unfinished = path.with_name(f"{path.name}.new")
        self.missing = 0
        """Free bytes of the disk that belong to it."""

    def release(self) -> bool:
        """Give its bytes to whoever writes next; whether there were any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        self.missing = self._size
        return True

    def restore(self) -> None:
        """Make it again, if it is missing and there is room."""
        if self._path.exists():
            self.missing = 0
            return
        self.missing = self._size
        if shutil.disk_usage(self._path.parent).free < _MARGIN * self._size:
            return
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # no room after all: next time
            descriptor = os.open(self._unfinished, flags, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
            self._unfinished.replace(self._path)
            self.missing = 0
