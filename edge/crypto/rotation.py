"""A new key-encryption key: every key is wrapped anew, and the old one is destroyed.

Crash order, each step durable in both copies before the next:

    1  the key of a new epoch is there, wrapped by the root     <- from here on it will be finished
    2  some hundred keys at a time are wrapped by it, each in its own place
    3  both copies are read again, and nothing in them needs the old epoch any more
    4  the key of the old epoch is destroyed

A crash within 1 leaves a new epoch that nothing uses, or none: the next start finishes the first,
and finds nothing of the second. One within 2 leaves keys of both epochs, and places in which the
copies differ, both sound; each is still opened by its epoch's key. One within 4 leaves the old key
in one copy, and so in both again: it is destroyed once more. Study keys are the same as before, so
nothing that is sealed is touched.

A ring of version 1 becomes one of version 2 in the same way, at the first start: the header comes
with step 1, so that an older program refuses the ring; then comes the master, which is the root
secret that the ring had, so that all that followed from that follows from it.

What is damaged in both copies can't be wrapped anew. It may be that a person can still make the key
out from both together, but not without the old epoch: so that stays, unless he gives it up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from edge.crypto.places import HEADER, Places, vacant
from edge.crypto.twin import EMPTY
from edge.crypto.wrapping import FORMER, NO_NAME, EpochKey, Kind, Record
from edge.errors import SecretError

__all__ = ["Rotated", "Rotation"]

_LOT = 512
"""Places that are looked at before others may use the ring again."""
_PAUSE = 0.001
"""Seconds in which those get at it: a lock that is taken again at once is left to nobody."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done."""

    epoch: int
    """That wraps all keys now."""
    study_keys: int
    """That are in the ring."""


class Rotation:
    """One of a ring.

    Args:
        places: The ring.
        lock: Held while places are looked at or written, and no longer than for some of them.
        master: What becomes the master, if the ring has none.
    """

    def __init__(self, places: Places, lock: AbstractContextManager[object], master: bytes) -> None:
        self._places = places
        self._lock = lock
        self._master = master

    @property
    def is_under_way(self) -> bool:
        """One was begun and not finished, or the ring is of version 1."""
        epochs = self._places.epochs
        return len(epochs) > 1 or any(key.form == FORMER for key in epochs.values())

    def run(self, *, abandon: bool = False) -> Rotated:
        """Rotate, or finish what was begun.

        Args:
            abandon: Give up keys that are damaged in both copies.

        Raises:
            SecretError: Keys are damaged in both copies, or the root secret is being changed.
            OSError: The disk does not take it. What was begun is finished another time.
        """
        if not abandon:
            self._refuse_damaged()
        with self._lock:
            self._begin()
        for first, count in self._lots():
            with self._lock:
                self._wrap_anew(first, count, abandon=abandon)
        for first, count in self._lots():
            with self._lock:
                self._refuse_old(first, count)
        with self._lock:
            return self._retire()

    def _lots(self) -> Iterator[tuple[int, int]]:
        first = 1
        while (count := min(_LOT, self._places.length - first)) > 0:
            yield first, count
            first += count
            time.sleep(_PAUSE)

    def _refuse_damaged(self) -> None:
        damaged = 0
        for first, count in self._lots():
            with self._lock:
                for place, contents in self._places.read(first, count):
                    damaged += self._sound(place, contents) is None and _is_lost(place, contents)
        if damaged:
            raise SecretError(
                f"{damaged} places of the ring of keys are damaged in both copies; nothing was"
                " changed",
                hint="restore keys.db from a backup; or give these keys up, and what is sealed"
                " with them, by edge key rotate --abandon-damaged",
            )

    def _begin(self) -> None:
        """Step 1."""
        places = self._places
        if places.others:
            raise SecretError(
                "the root key is being changed, and keys can't be rotated meanwhile",
                hint="start the service with the new root key once",
            )
        if not self.is_under_way or places.newest.form == FORMER:
            key = EpochKey.new(max(places.epochs) + 1)
            turn = places.turn
            places.put(lambda place: places.root.wrap(place, key, turn), before={0: HEADER})
            places.epochs[key.number] = key
        if places.master() is None:
            master = self._master
            places.put(lambda at: places.newest.wrap(at, Kind.MASTER, NO_NAME, master))

    def _wrap_anew(self, first: int, count: int, *, abandon: bool) -> None:
        """Step 2, of some places."""
        places, key = self._places, self._places.newest
        new, lost = dict[int, bytes](), list[int]()
        for place, contents in places.read(first, count):
            record = self._sound(place, contents)
            if record is None and _is_lost(place, contents):
                lost.append(place)
            elif record is None:
                if contents != [vacant(place)] * len(contents):
                    new[place] = vacant(place)
            elif record.kind is Kind.EPOCH:
                continue
            elif record.epoch != key.number:
                secret = places.unwrap(place, record)
                if secret is not None:
                    new[place] = key.wrap(place, record.kind, record.name, secret).to_bytes()
            elif len(set(contents)) > 1:
                new[place] = record.to_bytes()
        places.write(new)
        if abandon:
            places.clear(lost)

    def _refuse_old(self, first: int, count: int) -> None:
        """Step 3, of some places."""
        places, number = self._places, self._places.newest.number
        for place, contents in places.read(first, count):
            for content in contents:
                record = Record.from_bytes(content)
                if record is None and content == vacant(place):
                    continue
                if record is not None and record.kind is Kind.EPOCH:
                    continue
                if record is None or record.epoch != number or not places.is_sound(place, content):
                    raise SecretError(
                        f"place {place} of the ring of keys does not hold what was written to it;"
                        " the old key-encryption key is kept",
                        hint="look after the disk; then try again: edge key rotate",
                    )

    def _retire(self) -> Rotated:
        """Step 4."""
        places, number = self._places, self._places.newest.number
        places.clear([at for at, record in places.wraps.items() if record.epoch != number])
        return Rotated(number, len(places.names()))

    def _sound(self, place: int, contents: list[bytes]) -> Record | None:
        """What a place holds; None if that is nothing, or damaged in both copies."""
        for content in contents:
            if self._places.is_sound(place, content):
                return Record.from_bytes(content)
        return None


def _is_lost(place: int, contents: list[bytes]) -> bool:
    """Whether something was in a place without a sound key, and neither copy says that it went."""
    return vacant(place) not in contents and any(content != EMPTY for content in contents)
