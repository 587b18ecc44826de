"""A disk of its own for a box, that a thief can read byte by byte.

Where this machine lets us, it is a file system in an image: each write goes through to it at once,
and what was deleted, however soon, is still there. Else (no root, no loop devices) it is a folder,
of which the files that are there are read.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BYTES = 512 * 1024**2
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Disk:
    """One, in use.

    Args:
        folder: Where it is mounted.
        image: What it is in; None if it is a folder like any other.
    """

    folder: Path
    image: Path | None

    def content(self) -> Iterator[bytes]:
        """Everything on it, that was deleted as well; as names and files if it is no image."""
        if self.image is None:
            yield from _files(self.folder)
            return
        _flush(self.folder)
        with self.image.open("rb") as image:
            end = os.fstat(image.fileno()).st_size
            at = 0
            while at < end:
                try:
                    start = os.lseek(image.fileno(), at, os.SEEK_DATA)
                except OSError:
                    return  # nothing but a hole
                at = os.lseek(image.fileno(), start, os.SEEK_HOLE)
                yield os.pread(image.fileno(), at - start, start)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk, mounted at *folder*."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        image = _mounted(folder, stack) if os.geteuid() == 0 and shutil.which("mkfs.ext4") else None
        yield Disk(folder, image)


def _mounted(folder: Path, stack: contextlib.ExitStack) -> Path | None:
    at = _MEMORY if _MEMORY.is_dir() else None
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-disk-", dir=at)))
    image = place / "image"
    with image.open("wb") as file:
        file.truncate(BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    # Every byte is on the disk before a write returns, and no block that is free again is dropped.
    options = "loop,sync,dirsync,nodiscard"
    mounted = subprocess.run(
        ["mount", "-o", options, image, folder], check=False, capture_output=True
    )
    if mounted.returncode:
        return None
    stack.callback(subprocess.run, ["umount", "--lazy", folder], check=False)
    return image


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "the disk can't be flushed")
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        yield os.fsencode(path.relative_to(folder))
        with contextlib.suppress(OSError):  # it is gone meanwhile
            if path.is_file():
                yield path.read_bytes()


def memory(pid: int) -> Iterator[bytes]:
    """All that a process and its children could have written to swap; nobody but root may look."""
    if os.geteuid():
        return
    for one in (pid, *_children(pid)):
        place = Path(f"/proc/{one}")
        with (place / "mem").open("rb", buffering=0) as content:
            for line in (place / "maps").read_text().splitlines():
                span, rights, *_ = line.split()
                start, end = (int(at, 16) for at in span.split("-"))
                if rights.startswith("rw"):
                    with contextlib.suppress(OSError):  # of a device, or gone meanwhile
                        yield os.pread(content.fileno(), end - start, start)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_children(child)]
    return found
