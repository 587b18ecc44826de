"""The folder of updates as root has it: by a descriptor, so that nothing leads it elsewhere.

And one root at a time: whoever sits at the machine may begin to write while a unit does.

``data_dir`` is the service's user's, who could put a link in the folder's place, and have root
read, write and delete where the link leads. Promises that whatever is done by the ``Folder`` that
is given is done in one folder, which is no link and belongs to whoever owns ``data_dir``, whatever
gets its name meanwhile. Files in it are opened without following links by whoever reads them.
Blocks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.crypto.durable import lock_file
from edge.errors import UpdateRefused
from edge.updates.journal import Folder

__all__ = ["LOCK", "alone", "held"]

LOCK: Final = Path("/run/edge-update/lock")
"""Nobody but root writes there; the next start of the machine has none."""


@contextlib.contextmanager
def alone(lock: Path, patience: float) -> Iterator[None]:
    """While no other root writes slots, or what starts the machine.

    Args:
        lock: A file in a folder of root's, which is made if it is missing.
        patience: Seconds to wait until another one is done.

    Raises:
        UpdateRefused: It is not done by then; nothing was changed.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(lock, flags, 0o600)
    except OSError as error:
        raise UpdateRefused(f"{lock} can't be used: {error.strerror}") from error
    try:
        try:
            lock_file(descriptor, patience)
        except TimeoutError:
            raise UpdateRefused(
                "another update is being written, or waits for the machine to start anew",
                hint="wait for it; systemctl stop edge-update-take ends the service's own",
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[Folder]:
    """It, made if it is missing, until the block ends.

    Raises:
        UpdateRefused: What is there is no such folder.
    """
    folder = Folder(data_dir)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder.make()
        owner = data_dir.stat().st_uid
        descriptor = os.open(folder.path, flags)
    except OSError as error:
        raise UpdateRefused(
            f"{folder.path} can't be used: {error.strerror}",
            hint="it must be a folder, and no link; move away what is there",
        ) from error
    try:
        if os.fstat(descriptor).st_uid != owner:
            raise UpdateRefused(
                f"{folder.path} does not belong to who owns {data_dir}",
                hint="somebody put it there: move it away",
            )
        yield Folder.at(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)
