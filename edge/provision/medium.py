"""The folder ``EDGE-SETUP`` on a medium that anybody may have written: read, and answered.

Promises what `edge.cache.disk` does: no link is followed, and only regular files of a bounded size
are read. The answer stands in ``result.txt`` beside the file, for who comes back for the stick; a
token that was taken is struck out of the file, so that the same stick makes nobody another box's
first admin. Calls block.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.cache.disk import Folder, on_disk
from edge.errors import ConfigError, SealBroken
from edge.provision.file import LONGEST, text_of, without_token

__all__ = ["ANSWER", "FILE", "FOLDER", "Found", "answer", "beside", "find", "read_folder"]

FOLDER: Final = "EDGE-SETUP"
FILE: Final = "edge.toml"
ANSWER: Final = "result.txt"
_NEW: Final = "edge-toml.new"
_MOST_FILES: Final = 32


@dataclass(frozen=True, slots=True)
class Found:
    """What lies on a medium."""

    text: str
    """Of the file that sets a box up."""
    beside: Mapping[str, bytes]
    """Other files in its folder, of a bounded size."""


def find(medium: Path) -> Found | None:
    """What is on a medium; None if it is none that sets boxes up.

    Raises:
        DiskUnusable: It can't be read.
        ConfigError: What it has is no file of the kind.
    """
    with on_disk(medium), Folder.named(medium) as top:
        if not top.is_folder(FOLDER):
            return None
        with top.folder(FOLDER) as folder:
            return _found(folder)


def read_folder(path: Path) -> Found | None:
    """The same of the folder itself.

    Raises:
        DiskUnusable: It can't be read.
        ConfigError: What it has is no file of the kind.
    """
    with on_disk(path), Folder.named(path) as folder:
        return _found(folder)


def beside(path: Path) -> dict[str, bytes]:
    """What lies in a folder beside such a file.

    Raises:
        DiskUnusable: It can't be read.
    """
    with on_disk(path), Folder.named(path) as folder:
        return _beside(folder)


def answer(medium: Path, words: str, *, token: str = "", name: str = FOLDER) -> None:
    """Write what became of it.

    Args:
        medium: Where it was found.
        words: For people.
        token: That was taken, and is struck out; empty if none was.
        name: Of the folder that it was found in.

    Raises:
        DiskUnusable: It can't be written.
    """
    with on_disk(medium), Folder.named(medium) as top, top.folder(name) as folder:
        _write(folder, ANSWER, words.replace("\n", "\r\n").encode())  # Windows' editor, too
        if token:
            found = _found(folder)
            if found is not None and token in found.text:
                _write(folder, _NEW, without_token(found.text, token).encode())
                folder.rename(_NEW, FILE)
        folder.sync()


def _found(folder: Folder) -> Found | None:
    if not folder.is_file(FILE):
        return None
    data = _read(folder, FILE)
    if data is None:
        raise ConfigError(f"{FOLDER}/{FILE}: is longer than {LONGEST} bytes")
    return Found(text_of(data, f"{FOLDER}/{FILE}"), _beside(folder))


def _beside(folder: Folder) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in folder.names():
        if len(found) == _MOST_FILES or name in (FILE, ANSWER) or not folder.is_file(name):
            continue
        if (data := _read(folder, name)) is not None:
            found[name] = data
    return found


def _read(folder: Folder, name: str) -> bytes | None:
    try:
        descriptor = folder.open(name)
    except SealBroken:
        return None
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - of a descriptor
        data = opened.read(LONGEST + 1)
    return data if len(data) <= LONGEST else None


def _write(folder: Folder, name: str, data: bytes) -> None:
    with open(folder.create(name), "wb") as opened:  # noqa: PTH123 - of a descriptor
        opened.write(data)
        opened.flush()
        with contextlib.suppress(OSError):
            os.fsync(opened.fileno())
