"""The folder ``EDGE-SETUP`` on a medium that anybody may have written: read, and answered.

Promises what `edge.cache.disk` does: no link is followed, and only regular files of a bounded size
are read. The answer stands in ``result.txt`` beside the file, for who comes back for the stick, and
is whole or not there; a token that was taken is struck out of the file, so that the same stick
makes nobody another box's first admin. Calls block, but for those of `Token`.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.cache.disk import Folder, on_disk
from edge.errors import ConfigError, EdgeError, SealBroken
from edge.provision.text import LONGEST, text_of, without_token

__all__ = [
    "ANSWER",
    "FILE",
    "FOLDER",
    "Found",
    "Token",
    "answer",
    "beside",
    "find",
    "read_folder",
    "read_large",
]

FOLDER: Final = "EDGE-SETUP"
FILE: Final = "edge.toml"
ANSWER: Final = "result.txt"
_FORMS: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MOST_FILES: Final = 32
_MOST_OF_BACKUP: Final = 256 * 1024 * 1024
"""Bytes that are taken into memory."""


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


def read_large(medium: Path, name: str) -> bytes:
    """A file beside that which sets a box up: a backup.

    Raises:
        DiskUnusable: It can't be read.
        ConfigError: There is none of that name, or it is too long.
    """
    with on_disk(medium), Folder.named(medium) as top, top.folder(FOLDER) as folder:
        # FAT tells no case apart; what is there need not be one.
        found = [one for one in folder.names() if one.lower() == name.lower()]
        if not found or not folder.is_file(found[0]):
            raise ConfigError(
                f"{FOLDER}/{name} is not there", hint=f"put the backup into the folder of {FILE}"
            )
        try:
            descriptor = folder.open(found[0])
        except SealBroken as error:
            raise ConfigError(f"{FOLDER}/{name} is no plain file") from error
        with open(descriptor, "rb") as opened:  # noqa: PTH123 - of a descriptor
            data = opened.read(_MOST_OF_BACKUP + 1)
    if len(data) > _MOST_OF_BACKUP:
        raise ConfigError(f"{FOLDER}/{name} is longer than a backup can be")
    return data


def answer(medium: Path, words: str, *, name: str = FOLDER) -> None:
    """Write what became of it; if that can't be, what was said before goes, too.

    Args:
        medium: Where it was found.
        words: For people.
        name: Of the folder that it was found in.

    Raises:
        DiskUnusable: It can't be written.
        StorageFull: It is full.
    """
    with on_disk(medium), Folder.named(medium) as top, top.folder(name) as folder:
        try:
            text = words.replace("\n", "\r\n")  # Windows' editor, too
            _write(folder, ANSWER, text.encode(errors="replace"))
        except OSError:
            with contextlib.suppress(OSError):
                folder.remove(ANSWER)
            raise
        folder.sync()


class Token:
    """That which stands in the file of a medium, struck out where it stands.

    So it needs no room on a medium that is full, and the file is there at any moment, as its editor
    wrote it.

    Args:
        medium: Where it was found.
        token: As it is written there.
    """

    def __init__(self, medium: Path, token: str) -> None:
        self._medium = medium
        self._token = token
        self._struck: tuple[int, bytes] | None = None
        """Where something was written over, and what stood there."""

    async def strike_out(self) -> None:
        """It stands there no more, durably.

        Raises:
            DiskUnusable: It can't be written, and stands there as before.
        """
        await asyncio.to_thread(self._strike_out)

    async def put_back(self) -> None:
        """It stands there again, if it was struck out.

        Raises:
            DiskUnusable: It can't be written.
        """
        if self._struck is not None:
            await asyncio.to_thread(self._write, *self._struck)
            self._struck = None

    def _strike_out(self) -> None:
        with on_disk(self._medium), Folder.named(self._medium) as top, top.folder(FOLDER) as folder:
            before = _read(folder, FILE) or b""
        form = _FORMS.get(before[:2], "utf-8")
        text = before.decode(form, "replace")
        after = without_token(text, self._token).encode(form)
        if after == before or len(after) != len(before):
            return  # somebody wrote another file meanwhile
        different = [at for at, byte in enumerate(before) if byte != after[at]]
        start, end = different[0], different[-1] + 1
        self._struck = start, before[start:end]
        try:
            self._write(start, after[start:end])
        except EdgeError:
            with contextlib.suppress(EdgeError):
                self._write(*self._struck)
            self._struck = None
            raise

    def _write(self, at: int, data: bytes) -> None:
        with on_disk(self._medium), Folder.named(self._medium) as top, top.folder(FOLDER) as folder:
            descriptor = folder.change(FILE)
            try:
                while data:
                    done = os.pwrite(descriptor, data, at)
                    data, at = data[done:], at + done
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


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
