"""How the C library keeps the memory of pieces, for the whole process.

Images pass in pieces of up to a mebibyte, each in memory that another has just freed. glibc gives
so much back to the system at once, and each page of it that is taken anew is a fault: 330 for a
frame of 512 KiB, a third of all the processor time that serving it takes. Owns the two numbers that
end this. They hold for everything in the process, so the composition root sets them, once.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# malloc.h of glibc; mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 8 * 1024 * 1024
"""Bytes at the end of an arena that are kept for what comes next; a few pieces."""
_LARGE = 4 * 1024 * 1024
"""Longer allocations still go back to the system as soon as they are freed."""


def keep_freed_memory() -> None:
    """Keep a few freed mebibytes; does nothing where the C library is another one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
