"""The root secret in the kernel's memory, from one start of the service to the next.

What it owns is one key of the user's keyring (keyrings(7)) for each box. The kernel swaps no page
of it, gives it to nobody but this user and root, and forgets it when its time is up, at a restart
of the machine, and without power: what a thief carries out of the house has it no more. Nothing is
kept on the disk.

Where the kernel has no keyrings, or a container forbids them, nothing is remembered, and nothing
else is different. Calls take microseconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from pathlib import Path

__all__ = ["KernelMemory"]

_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
"""Machine -> numbers of add_key(2) and keyctl(2)."""
_THIS_PROCESS, _THIS_USER = -2, -4
_LINK, _SEARCH, _READ, _SET_TIMEOUT, _INVALIDATE = 8, 10, 11, 15, 21
_MOST_SECONDS = 2**31 - 1
_LONGEST = 256
"""Bytes of a key: what it is, and the secret."""
_DIGEST = 32


class KernelMemory:
    """What is remembered of one box.

    Args:
        folder: ``data_dir``: another box on this machine is another.
        seconds: After which it is forgotten; 0 remembers nothing.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._seconds = int(min(seconds, _MOST_SECONDS))
        self._name = b"edge:root:" + hashlib.sha256(bytes(folder)).hexdigest()[:32].encode()
        self._calls = _CALLS.get(platform.machine())
        self._libc = ctypes.CDLL(None, use_errno=True)

    def keep(self, what: str, secret: bytes) -> bool:
        """Remember it, in place of what was; whether it is remembered.

        Args:
            what: It is; who asks for anything else gets nothing.
            secret: Some 32 bytes.
        """
        self.forget()
        if self._seconds == 0 or self._calls is None:
            return False
        room = ctypes.create_string_buffer(_digest(what) + secret, _DIGEST + len(secret))
        key = self._libc.syscall(
            ctypes.c_long(self._calls[0]),
            b"user",
            self._name,
            room,
            ctypes.c_size_t(len(room)),
            ctypes.c_long(_THIS_USER),
        )
        ctypes.memset(room, 0, len(room))
        if key < 0:
            return False
        if self._link() < 0 or self._call(_SET_TIMEOUT, key, self._seconds) < 0:
            self._call(_INVALIDATE, key)  # one without an end is none of ours
            return False
        return True

    def recall(self, what: str) -> bytes | None:
        """It, if it is remembered."""
        if self._seconds == 0 or (key := self._find()) is None:
            return None
        room = ctypes.create_string_buffer(_LONGEST)
        length = self._call(_READ, key, ctypes.cast(room, ctypes.c_void_p), len(room))
        found = room.raw[: max(0, min(length, _LONGEST))]
        ctypes.memset(room, 0, len(room))
        return found[_DIGEST:] if found[:_DIGEST] == _digest(what) else None

    def forget(self) -> None:
        """Whatever is remembered of this box."""
        if (key := self._find()) is not None:
            self._call(_INVALIDATE, key)

    def _find(self) -> int | None:
        if self._calls is None:
            return None
        self._link()
        key = self._call(_SEARCH, _THIS_USER, b"user", self._name, 0)
        return key if key >= 0 else None

    def _link(self) -> int:
        """A key may be read by who has it in a keyring of the process, and by nobody by its number.

        A service has a session of its own (systemd.exec, ``KeyringMode=``), and the user's keyring
        is not in that.
        """
        return self._call(_LINK, _THIS_USER, _THIS_PROCESS)

    def _call(self, *arguments: int | bytes | ctypes.c_void_p) -> int:
        if self._calls is None:
            return -1
        given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        return int(self._libc.syscall(ctypes.c_long(self._calls[1]), *given))


def _digest(what: str) -> bytes:
    return hashlib.sha256(what.encode()).digest()
