"""Removes folders that nothing is in any more.

A folder whose files were taken goes once it was left alone for a while. One right below the root
that stood empty before its first file came stays: some device may have it as its target. Never goes
the root, ``rejected/``, or what has anything in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.dropfolder.tree import DropTree, Listing, Parts

__all__ = ["Folders"]

_IDLE_FOLDER = 3600.0
"""A folder below others that was empty for so many seconds goes, whoever emptied it."""


class Folders:
    """What is known of the folders in the drop folder, since the start.

    Args:
        tree: Where they are.
        idle_seconds: How long one must have been empty.
        clock: POSIX seconds.
    """

    def __init__(
        self, tree: DropTree, *, idle_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._tree = tree
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._emptied: set[Parts] = set()
        """Those that files were taken out of."""
        self._targets: set[Parts] = set()
        """Those right below the root that were made in advance."""

    def note_taken(self, parts: Parts) -> None:
        """Note that the file at that path was taken out of its folders."""
        folders = {parts[:depth] for depth in range(1, len(parts))}
        self._emptied |= folders - self._targets

    def tidy(self, listing: Listing) -> None:
        """Remove what was emptied a while ago, and what is thereby empty around it. Blocks."""
        now = self._clock()
        self._emptied &= listing.folders
        self._targets &= listing.folders
        for folder, changed in listing.empty.items():
            idle = now - changed
            if idle < self._idle_seconds:
                continue
            if folder in self._emptied or (len(folder) > 1 and idle > _IDLE_FOLDER):
                self._remove(folder)
            elif len(folder) == 1:
                self._targets.add(folder)

    def _remove(self, folder: Parts) -> None:
        while self._tree.remove_folder(folder):
            folder = folder[:-1]
            if folder not in self._emptied:
                return
