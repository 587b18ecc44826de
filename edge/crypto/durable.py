"""Small files that are whole under their name, or not there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["destroy_file", "sync_folder", "write_file"]


def write_file(path: Path, content: bytes) -> None:
    """Make or replace a file that its owner alone may read; it is durable when this returns.

    Crash order: write under another name -> fsync -> rename -> fsync the folder.
    """
    unfinished = path.with_name(f"{path.name}.new")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(path)
    sync_folder(path.parent)


def destroy_file(path: Path) -> None:
    """Overwrite a file and delete it, durably; nothing happens if there is none.

    What a disk keeps beside the places that it shows (worn flash, copies of a file system), this
    does not reach.
    """
    for place in (path, path.with_name(f"{path.name}.new")):
        try:
            descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        place.unlink(missing_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path | str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
