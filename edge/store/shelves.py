"""Where sealed objects lie, and under which names.

    data_dir/objects/<2>/<name>         an object that is whole
    data_dir/objects/<2>/<name>.aside   one that is not *the* instance of its UID

A name is 128 random bits in hexadecimal; nothing that was received shapes a path. Anything else in
the folders is not ours, and is let alone, as is what has the name of an object of another shelf.
Calls block.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.crypto.durable import sync_folder
from edge.errors import InstanceNotFound

__all__ = ["NAME", "Shelves"]

NAME: Final = re.compile(r"[0-9a-f]{32}")
"""Of an object."""
_ASIDE: Final = ".aside"


class Shelves:
    """The folders of objects.

    Args:
        folder: ``data_dir/objects``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = str(folder)

    def __iter__(self) -> Iterator[str]:
        """The two-digit prefixes that names are filed under."""
        return (f"{number:02x}" for number in range(256))

    def filled(self) -> set[str]:
        """Those prefixes under which anything lies."""
        found = set()
        for shelf in self:
            with os.scandir(self.of(shelf)) as entries:
                if next(entries, None) is not None:
                    found.add(shelf)
        return found

    def path(self, name: str) -> str:
        """Where an object belongs; for each of thousands, a Path takes as long as opening it."""
        return f"{self.of(name)}/{name}"

    def of(self, name: str) -> str:
        """The folder where an object belongs."""
        return f"{self._prefix}/{name[:2]}"

    def prepare(self) -> None:
        """Make the folders."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        for shelf in self:
            (self.folder / shelf).mkdir(exist_ok=True, mode=0o700)
        sync_folder(self.folder)

    def open(self, name: str) -> int:
        """A descriptor of an object, wherever it lies.

        Raises:
            InstanceNotFound: There is no object of this name.
        """
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            return os.open(self.path(name), flags)
        except FileNotFoundError:
            try:
                return os.open(self.path(name) + _ASIDE, flags)
            except FileNotFoundError as error:
                raise InstanceNotFound(f"object {name} is not in the store") from error

    def bring_home(self) -> int:
        """Move objects that lie on another shelf to their own; how many there were.

        One whose own place is taken stays where it is, and is no object of this store.
        """
        moved = 0
        for shelf in self:
            with os.scandir(self.of(shelf)) as entries:
                lost = [
                    entry.name
                    for entry in entries
                    if NAME.fullmatch(name := entry.name.removesuffix(_ASIDE))
                    and not name.startswith(shelf)
                    and entry.is_file(follow_symlinks=False)
                ]
            for found in lost:
                name = found.removesuffix(_ASIDE)
                if not any(os.path.lexists(self.path(name) + mark) for mark in ("", _ASIDE)):
                    Path(f"{self.of(shelf)}/{found}").rename(f"{self.of(name)}/{found}")
                    sync_folder(Path(self.of(name)))
                    sync_folder(Path(self.of(shelf)))
                    moved += 1
        return moved

    def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        for path in (self.path(name), self.path(name) + _ASIDE):
            Path(path).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Mark an object; it is no error if there is none."""
        path = Path(self.path(name))
        if path.exists():
            path.rename(self.path(name) + _ASIDE)
            sync_folder(path.parent)

    def take_back(self, name: str) -> None:
        """Take the mark off an object; it is no error if there is none."""
        path = Path(self.path(name) + _ASIDE)
        if path.exists():
            path.rename(self.path(name))
            sync_folder(path.parent)

    def aside(self, shelf: str) -> set[str]:
        """The objects of one shelf that were set aside."""
        found = {path.stem for path in (self.folder / shelf).glob(f"{shelf}*{_ASIDE}")}
        return {name for name in found if NAME.fullmatch(name)}

    def names(self, shelf: str) -> dict[str, int]:
        """The objects of one shelf: name -> bytes on disk."""
        with os.scandir(self.folder / shelf) as entries:
            return {
                name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if NAME.fullmatch(name := entry.name.removesuffix(_ASIDE))
                and name.startswith(shelf)
                and entry.is_file(follow_symlinks=False)
            }
