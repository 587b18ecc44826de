"""The steps that a service and its store's process take, counted together; one of them is fatal.

The count lies in a file that both have mapped. Before the fatal step both get SIGKILL, as a power
cut would end them: nothing is flushed, closed or cleaned up.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pathlib
import signal
import struct
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Steps", "watch_files"]

_HEAD = struct.Struct("<?IIII")
"""Armed, steps, bytes of their names, process of the service, of the sealing."""
_COUNTS = struct.Struct("<II")
_PROCESS = struct.Struct("<I")
_SERVICE, _SEALING = _HEAD.size - 2 * _PROCESS.size, _HEAD.size - _PROCESS.size
_SIZE = 256 * 1024


class Steps:
    """Counts, and kills.

    Args:
        path: The file that is shared.
        fatal: The number of the step that is not taken.
        is_service: Which of the two this process is.
    """

    def __init__(self, path: pathlib.Path, fatal: int, *, is_service: bool) -> None:
        self._fatal = fatal
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, _SIZE)
        self._shared = mmap.mmap(self._descriptor, _SIZE)
        # Nothing else is touched: the other one may count already.
        _PROCESS.pack_into(self._shared, _SERVICE if is_service else _SEALING, os.getpid())

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
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            _, count, length, service, sealing = _HEAD.unpack_from(self._shared)
            text = f"{name.replace(' ', '_')}\n".encode()
            start = _HEAD.size + length
            self._shared[start : start + len(text)] = text
            count, length = count + 1, length + len(text)
            _COUNTS.pack_into(self._shared, 1, count, length)
            if count == self._fatal:
                for process in {sealing, service} - {0, os.getpid()}:
                    os.kill(process, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def before(self, owner: Any, name: str) -> None:
        """Have each call of a function be a step."""
        original: Callable[..., Any] = getattr(owner, name)

        def stepped(*arguments: Any, **named: Any) -> Any:
            self.reach(name)
            return original(*arguments, **named)

        setattr(owner, name, stepped)


def watch_files(steps: Steps) -> None:
    """Have everything that is done to files be steps."""
    for call in ("open", "write", "pwrite", "fsync", "rename", "replace", "unlink"):
        steps.before(os, call)
