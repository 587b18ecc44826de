"""What was admitted and is still there, because it can't be deleted.

A file is known again by device, inode, size and time, and by its content: file systems without
inodes of their own give the numbers of one file to another, and nothing may be deleted that was
not admitted. The device only tells whether a file is gone: another start may number it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from edge.cache.leftovers import LIMIT, Leftover, Leftovers
from edge.dropfolder.tree import Changed, DropTree, Entry, Listing

__all__ = ["Memory"]

_Key = tuple[int, int, int]


class Memory:
    """The memory of one folder.

    Args:
        tree: Where the files are.
        leftovers: Where they are remembered over restarts.
    """

    def __init__(self, tree: DropTree, leftovers: Leftovers) -> None:
        self._tree = tree
        self._leftovers = leftovers
        self._known: dict[_Key, Leftover] = {}
        self._sure: dict[Entry, Leftover] = {}
        """Files that were compared with what is remembered, by their content."""

    async def load(self) -> None:
        """Recall what an earlier run knew."""
        self._known = {_key(each): each for each in await self._leftovers.all()}

    async def recall(self, entry: Entry) -> Leftover | None:
        """What is known of the file; None if it is a new one.

        Raises:
            Changed: It is not the one that was listed.
            OSError: It can't be read now.
        """
        if sure := self._sure.get(entry):
            return sure
        known = self._known.get(_key(entry))
        if known is None or await asyncio.to_thread(self._tree.digest, entry) != known.digest:
            return None
        self._sure[entry] = known
        return known

    async def keep(self, entries: Iterable[Entry], *, is_whole: bool) -> None:
        """Remember files that stay, as far as they can still be read.

        Raises:
            EdgeError: It can't be written down now.
        """
        noted: dict[Entry, Leftover] = {}
        for entry in entries:
            with contextlib.suppress(Changed, OSError):
                if await self.recall(entry) is None:
                    digest = await asyncio.to_thread(self._tree.digest, entry)
                    facts = (entry.device, entry.inode, entry.size, entry.mtime_ns)
                    noted[entry] = Leftover(*facts, digest, is_whole=is_whole)
        if noted:
            await self._leftovers.keep(list(noted.values()))
            self._sure |= noted
            self._known |= {_key(each): each for each in noted.values()}
            for key in list(self._known)[:-LIMIT]:
                del self._known[key]

    async def forget_absent(self, listing: Listing) -> None:
        """Forget what is gone; a later file may get its numbers.

        A disk that was taken out takes nothing with it, nor does a folder that can't be read.

        Raises:
            EdgeError: It can't be written down now.
        """
        if not self._known or listing.unreadable or listing.is_cut:
            return
        self._sure = {each: self._sure[each] for each in listing.files if each in self._sure}
        there = {_key(entry) for entry in listing.files}
        device, _ = listing.root
        gone = [
            each for key, each in self._known.items() if each.device == device and key not in there
        ]
        if gone:
            await self._leftovers.forget(gone)
            for each in gone:
                del self._known[_key(each)]


def _key(file: Entry | Leftover) -> _Key:
    return (file.inode, file.size, file.mtime_ns)
