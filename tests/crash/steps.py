"""The steps that a service and its store's process take, counted together; one of them is fatal.

The count lies in a file that both have mapped. Before the fatal step both get SIGKILL, as a power
cut would end them: nothing is flushed, closed or cleaned up. The store's process is in a cage from
which it signals nobody, so the service kills both; until it does, neither takes a step.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pathlib
import signal
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Steps", "watch_files"]

_HEAD = struct.Struct("<?IIII")
"""Armed, steps, bytes of their names, process of the service, of the sealing."""
_COUNTS = struct.Struct("<II")
_PROCESS = struct.Struct("<I")
_SERVICE, _SEALING = _HEAD.size - 2 * _PROCESS.size, _HEAD.size - _PROCESS.size
_SIZE = 256 * 1024
_OVER = _SIZE - 1
"""Set by the process of the store before its fatal step."""
_GLANCE = 0.001


class Steps:
    """Counts, and kills.

    Args:
        path: The file that is shared.
        fatal: The number of the step that is not taken.
        is_service: Which of the two this process is.
    """

    def __init__(self, path: pathlib.Path, fatal: int, *, is_service: bool) -> None:
        self._fatal = fatal
        self._is_service = is_service
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, _SIZE)
        self._shared = mmap.mmap(self._descriptor, _SIZE)
        # Nothing else is touched: the other one may count already.
        _PROCESS.pack_into(self._shared, _SERVICE if is_service else _SEALING, os.getpid())
        if is_service:
            threading.Thread(target=self._watch, daemon=True).start()

    @property
    def names(self) -> list[str]:
        """Of all steps so far."""
        length = _HEAD.unpack_from(self._shared)[2]
        return self._shared[_HEAD.size : _HEAD.size + length].decode().split()

    def arm(self) -> None:
        """Count from now on."""
        self._shared[0] = 1

    def reach(self, name: str) -> None:
        """A step is about to be taken."""
        if not self._shared[0]:
            return
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            _, count, length, _, _ = _HEAD.unpack_from(self._shared)
            text = f"{name.replace(' ', '_')}\n".encode()
            start = _HEAD.size + length
            self._shared[start : start + len(text)] = text
            count, length = count + 1, length + len(text)
            _COUNTS.pack_into(self._shared, 1, count, length)
            if count == self._fatal:
                self._end()
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _end(self) -> None:
        while not self._is_service:
            self._shared[_OVER] = 1
            time.sleep(_GLANCE)
        if sealing := _PROCESS.unpack_from(self._shared, _SEALING)[0]:
            os.kill(sealing, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _watch(self) -> None:
        while not self._shared[_OVER]:
            time.sleep(_GLANCE)
        self._end()

    def before(self, owner: Any, name: str) -> None:
        """Have each call of a function be a step."""
        original: Callable[..., Any] = getattr(owner, name)

        def stepped(*arguments: Any, **named: Any) -> Any:
            self.reach(name)
            return original(*arguments, **named)

        setattr(owner, name, stepped)


def watch_files(steps: Steps) -> None:
    """Have everything that is done to files be steps."""
    for call in ("open", "write", "pwrite", "fsync", "rename", "replace", "link", "unlink"):
        steps.before(os, call)
