"""What is on a disk that no partition tells of: signatures, a damaged table, data without one.

Reads alone. Promises that a disk is called empty only if it has no signature, and is all zeros at
its beginning, at its end and at places between: what is not known to be empty is not. Nor is what
was found forgotten where something else can't be read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from installer import programs
from installer.programs import InstallError

MIB = 1024**2
DATA_STARTS = (2689 * MIB, 2753 * MIB)
"""Bytes before ``edge-data``, of a PC and of a Raspberry Pi: the table, and what is before it."""
LUKS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
"""How the first header of LUKS begins, and the second (LUKS2 On-Disk Format Specification, 2.1)."""
SECOND = 16 * 1024
"""Bytes from the one to the other, as cryptsetup and systemd-repart make them."""
SPREAD = 128
"""Places that are looked at between the two ends."""
EDGE = "encrypted data where an edge has its own"
UNREAD = "it can't be read"
UNTOLD = "something, without a table of partitions"


def looked_for(path: str, *, has_parts: bool) -> tuple[str, ...]:
    """What is found, in words; nothing: it is empty, or its partitions tell it all.

    Args:
        path: Its device.
        has_parts: It has partitions, and so is not empty: the data of an edge is looked for alone.
    """
    found: list[str] = []
    try:
        with open(path, "rb", buffering=0) as disk:
            size = disk.seek(0, os.SEEK_END)
            if any(has_luks(disk.fileno(), start) for start in DATA_STARTS):
                found.append(EDGE)
            if has_parts:
                return tuple(found)
            found += signatures(path)
            if not found and not all(is_zero(disk.fileno(), *place) for place in places(size)):
                found.append(UNTOLD)
    except (OSError, InstallError):
        found.append(UNREAD)  # beside what was found before
    return tuple(found)


def signatures(path: str) -> list[str]:
    """The names of those that are known, such as ``gpt``, also of its second copy alone."""
    said = programs.run("wipefs", "--noheadings", "--output", "TYPE", path)
    return sorted(set(said.split()))


def has_luks(disk: int, start: int) -> bool:
    """Whether one of the two headers is there."""
    heads = (os.pread(disk, len(LUKS[0]), start), os.pread(disk, len(LUKS[1]), start + SECOND))
    return heads[0] == LUKS[0] or heads[1] == LUKS[1]


def places(size: int) -> Iterator[tuple[int, int]]:
    """Start and length, bytes, of what is looked at."""
    yield 0, MIB
    yield max(0, size - MIB), MIB
    for start in DATA_STARTS:
        yield start, MIB
    for number in range(1, SPREAD):
        yield size * number // SPREAD, 64 * 1024


def is_zero(disk: int, start: int, length: int) -> bool:
    """Whether there is nothing; also behind its end."""
    return not os.pread(disk, length, start).strip(b"\0")
