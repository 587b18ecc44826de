"""The data partition is made unreadable for good, for the factory reset; as root.

What opens it stands in the head of the partition (LUKS2: its key slots, and what a TPM or a key
file needs). That is destroyed by cryptsetup, and then overwritten, both copies of it: what is
behind is noise. Calls block.

The image may have a program for it, that knows what else opens the partition: then that does it,
and what is said here follows if it fails.

Order: the service ends -> the key slots are erased -> the head says that it is no more (`ERASED`),
durably -> the rest of it is overwritten -> restart. A start that finds those words finishes what
was begun, and makes a new partition. The machine restarts whatever fails: the box's own keys were
destroyed before (`edge reset`).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from edge.errors import MachineRefused
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["ERASED", "destroy", "overwrite", "wipe"]

_ERASE: Final = ("cryptsetup", "luksErase", "--disable-locks", "--batch-mode")
"""Without its lock files: who does this may write to few places."""
log = logging.getLogger(__name__)

ERASED: Final = b"edge-erased\n"
"""With what a partition begins whose data is gone (``image/libexec/disk``)."""
_HEAD: Final = 32 * 1024 * 1024
"""Bytes: LUKS2 has two copies of its metadata and all key slots in the first 16 MiB, unless
somebody made them larger."""
_CHUNK: Final = 1024 * 1024
_SERVICE: Final = ("edge.service", "edge-console@tty1.service", "edge-console-serial@*.service")


def wipe(places: Places, tools: Tools) -> None:
    """All of it; the machine restarts."""
    disk = places.data_disk
    try:
        _try(tools, "systemctl", "stop", *_SERVICE)
        if places.reset.exists() and _try(tools, str(places.reset)):
            return
        if disk.exists():
            destroy(disk, tools)
        else:
            log.warning("there is no %s: only the keys of the box were destroyed", disk)
    except OSError as error:
        log.error("the head of %s could not be overwritten: %s", disk, error)
    finally:
        tools.run("systemctl", "--no-block", "reboot", "--force")


def _try(tools: Tools, *words: str) -> bool:
    try:
        tools.run(*words)
    except MachineRefused as error:
        log.error("erasing: %s", error)
        return False
    return True


def destroy(disk: Path, tools: Tools) -> None:
    """Have nobody open a partition any more; its key slots may be gone already.

    Raises:
        OSError: Its head can't be overwritten.
    """
    _try(tools, *_ERASE, str(disk))
    overwrite(disk)


def overwrite(disk: Path) -> None:
    """Write zeros over the head of a partition, durably.

    Raises:
        OSError: It can't be written.
    """
    descriptor = os.open(disk, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        os.lseek(descriptor, 0, os.SEEK_SET)
        left, zeros = min(size, _HEAD), bytes(_CHUNK)
        piece = ERASED + zeros[len(ERASED) :]
        while left:
            left -= os.write(descriptor, piece[: min(left, _CHUNK)])
            if piece is not zeros:
                os.fsync(descriptor)
                piece = zeros
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
