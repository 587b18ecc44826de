"""Passwords, as they are offered: from guessing to a user whose password it is.

Owns the order in which an offer is looked at: first the throttle, then the hash. Promises that
whatever is wrong, the answer is the same, and comes after the same time; that no password is kept,
or compared with anything but a hash; and that the same wrong password, sent over and over by a
viewer that nobody told, is one guess. It is known again by a digest under a key that never leaves
this process.

Opens nothing: a right password may not be enough.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from edge.access.names import plain_name
from edge.access.passwords import Passwords
from edge.access.throttle import Attempt, Throttle, network_of
from edge.access.user import State
from edge.errors import StorageFull
from edge.index import users as table
from edge.index.database import Database
from edge.index.users import UserRow

__all__ = ["REMEMBER_SECONDS", "Proving", "remember"]

log = logging.getLogger(__name__)

REMEMBER_SECONDS = 300.0
"""So long a password is known again, as right or as wrong, without its hash."""
_REMEMBERED = 1024
_KNOWN_FROM = 8
"""Networks that are kept of each user."""
_NO_NAME = "?"
"""All that can be nobody's name count as this one."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A password that was not, or not enough."""

    kept: str
    """The hash that it was compared with."""
    until: float


class Proving:
    """Looks at passwords that are offered.

    Args:
        database: The index.
        passwords: Compares them.
        throttle: Slows guessing down.
        clock: POSIX seconds.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        throttle: Throttle,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock
        self._monotonic = monotonic
        self._key = secrets.token_bytes(32)
        self._wrong: OrderedDict[bytes, _Wrong] = OrderedDict()

    async def check(
        self, purpose: str, name: str, password: str, address: str
    ) -> tuple[UserRow | None, Attempt]:
        """The active user whose password this is, or None; and the attempt, which counts as failed.

        Raises:
            TooManyAttempts: Not now; the password was not looked at.
        """
        plain = plain_name(name)
        row = await table.find(self._database, plain) if plain else None
        if row is not None and row.state != State.ACTIVE:
            row = None
        kept = "" if row is None else row.password
        digest, now = self.digest(purpose, name, password), self._monotonic()
        wrong = self._wrong.get(digest)
        if wrong is None or wrong.kept != kept:
            known_from = () if row is None else row.known_from.split()
            attempt = self._throttle.log_in(plain or _NO_NAME, address, known_from)
        else:
            attempt = self._throttle.no_attempt()  # the same as before is no other guess
            if now < wrong.until:
                return None, attempt
        try:
            fits = await self._passwords.fits(password, kept)
        except BaseException:
            attempt.take_back()
            raise
        if not fits:
            self.remember_wrong(digest, kept)
            # A name that nobody has may be a password in the wrong field.
            whose = "nobody who may log in" if row is None else row.name
            log.warning("log-in: %s from %s is refused", whose, address or "?")
            return None, attempt
        return row, attempt

    def remember_wrong(self, digest: bytes, kept: str) -> None:
        """Know an offer again that was not right, or not enough, as long as *kept* is kept."""
        remember(self._wrong, digest, _Wrong(kept, self._monotonic() + REMEMBER_SECONDS))

    async def renew_hash(self, row: UserRow, password: str) -> None:
        """Keep the password, which was right, at the cost of today."""
        if not self._passwords.is_outdated(row.password):
            return
        kept = await self._passwords.hash(password)
        with suppress(StorageFull):
            await self._database.write(
                lambda db: table.replace_password(db, row.name, row.password, kept)
            )

    async def note(self, row: UserRow, address: str) -> None:
        """Keep when and where they were; who was there before may guess wrong undisturbed."""
        network, now = network_of(address), self._clock()
        known = [network, *(one for one in row.known_from.split() if one != network)]
        text = " ".join(known[:_KNOWN_FROM])
        try:
            await self._database.write(
                lambda db: table.set_fields(db, row.name, last_seen=now, known_from=text)
            )
        except StorageFull:
            log.warning("log-in: the disk is full, so it is not kept where %s was", row.name)

    def digest(self, purpose: str, name: str, password: str) -> bytes:
        """By which an offer is known again."""
        said = repr((purpose, name, password)).encode()
        return hashlib.blake2b(said, key=self._key, digest_size=32).digest()


def remember(memory: OrderedDict[bytes, T], digest: bytes, value: T) -> None:
    """Remember; what was put first goes if there is no room."""
    memory[digest] = value
    memory.move_to_end(digest)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
