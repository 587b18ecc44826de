"""System calls that Python has no function for, by ctypes.

Owns nothing and decides nothing. Promises that what the kernel refuses is an OSError.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

__all__ = ["call", "filter_calls", "gain_nothing", "hide_memory"]

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER: Final = 1
_TSYNC: Final = 1
"""SECCOMP_FILTER_FLAG_TSYNC: for every thread that there is."""
_PROGRAM: Final = struct.Struct("=H6xQ")
"""``struct sock_fprog`` where pointers have 64 bits: instructions, and where they are."""

_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)


def call(number: int, *words: int | bytes) -> int:
    """Make a system call; of bytes it is given the address.

    Raises:
        OSError: It failed.
    """
    arguments = [
        ctypes.c_char_p(it) if isinstance(it, bytes) else ctypes.c_long(it) for it in words
    ]
    _LIBRARY.syscall.restype = ctypes.c_long
    return _done(_LIBRARY.syscall(ctypes.c_long(number), *arguments))


def gain_nothing() -> None:
    """No program that this process starts has rights that it has not (PR_SET_NO_NEW_PRIVS).

    Raises:
        OSError: The kernel does not know that.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def hide_memory() -> None:
    """Let no process of the same user look into this one, and leave no core dump."""
    _prctl(_PR_SET_DUMPABLE, 0)


def filter_calls(number: int, program: bytes) -> None:
    """Have the kernel ask this program about every system call from now on, of every thread.

    Args:
        number: Of the call ``seccomp`` here.
        program: Eight bytes for each instruction.

    Raises:
        OSError: The kernel does not filter, or not so.
    """
    held = ctypes.create_string_buffer(program, len(program))
    described = _PROGRAM.pack(len(program) // 8, ctypes.addressof(held))
    if call(number, _SET_MODE_FILTER, _TSYNC, described):
        raise OSError("a thread has filters of its own")


def _prctl(option: int, value: int) -> None:
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    _done(_LIBRARY.prctl(ctypes.c_int(option), *words))


def _done(answer: int) -> int:
    if answer == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
