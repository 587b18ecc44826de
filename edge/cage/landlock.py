"""Landlock: files, ports and signals that a process gives up (landlock(7)).

Owns the rights that are known here. Everything that the kernel can take is taken; what is beneath
the folders that are named stays, as far as the caller says. Promises that a kernel which knows less
than this module takes what it knows, and that one which can't let a process rename between its
folders takes nothing: that would be no cage but a fault.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.cage import kernel

__all__ = ["STORE", "restrict", "version"]

# linux/landlock.h; the same numbers on every processor.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
"""Version -> how many rights to files it knows, in the order of their bits."""
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 5
_MAKE_REG, _REFER, _TRUNCATE = 1 << 8, 1 << 13, 1 << 14
STORE: Final = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_FILE | _MAKE_REG | _REFER | _TRUNCATE
"""To make files, to read and write them, to rename and remove them; neither folders nor devices."""
_RENAMES: Final = 2
"""The version from which files can be renamed from one folder to another."""
_TCP: Final = 0b11
"""To bind and to connect; from version 4 on."""
_SCOPES: Final = 0b11
"""To connect to abstract Unix sockets of others, and to signal others; from version 6 on."""


def version() -> int:
    """Of the kernel's Landlock.

    Raises:
        OSError: It has none, or it is off.
    """
    return kernel.call(_CREATE_RULESET, 0, 0, _GET_VERSION)


def restrict(folders: Sequence[Path] = (), rights: int = 0) -> None:
    """Give up everything but these rights beneath these folders; for this thread and its children.

    Raises:
        OSError: The kernel does not; nothing is given up then.
    """
    known = version()
    if folders and known < _RENAMES:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    files = (1 << max(bits for since, bits in _FILE_RIGHTS.items() if since <= known)) - 1
    attributes = struct.pack("=Q", files)
    if known >= 4:
        attributes += struct.pack("=Q", _TCP)
    if known >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = kernel.call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for folder in folders:
            beneath = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", rights & files, beneath)
                kernel.call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
            finally:
                os.close(beneath)
        kernel.call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
