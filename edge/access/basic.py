"""Name and password, sent with each request (RFC 7617): for viewers and programs.

Opens the gate for those whose password is enough: who has a second factor, or needs one, must log
in. Promises that a viewer which asks hundreds of times a second costs no hash each time: a password
that was right is known again for some minutes, while its user is looked up every two seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from edge.access.proving import REMEMBER_SECONDS, Proving, remember
from edge.access.roles import Identity, Proof, Role
from edge.access.user import State, User, user_of
from edge.config import Access
from edge.index import users as table
from edge.index.database import Database

__all__ = ["Basic", "needs_more"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
"""Whom another process disables is let in for so much longer."""


@dataclass(slots=True)
class _Right:
    """A password of Basic that was right."""

    kept: str
    """The hash that it fits."""
    identity: Identity
    until: float
    look: float
    """When its user must be looked up again."""


class Basic:
    """Knows who sends name and password.

    Args:
        database: The index.
        proving: Looks at passwords.
        settings: ``[access]``.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        proving: Proving,
        settings: Access,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._proving = proving
        self._settings = settings
        self._monotonic = monotonic
        self._right: OrderedDict[bytes, _Right] = OrderedDict()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def identity(self, name: str, password: str, address: str) -> Identity | None:
        """Who sends name and password with a request; None if that is nobody, or not enough.

        Raises:
            TooManyAttempts: Not now.
        """
        digest = self._proving.digest("basic", name, password)
        if (identity := await self._known(digest)) is not None:
            return identity
        # A viewer asks for many things at once: the others wait for the first.
        turn = self._turns.setdefault(digest, asyncio.Lock())
        async with turn:
            if (identity := await self._known(digest)) is not None:
                return identity
            row, attempt = await self._proving.check("basic", name, password, address)
            user = None if row is None else user_of(row)
            if row is None or user is None or needs_more(user, self._settings):
                if row is not None:  # to whoever guesses, it is as any other that is wrong
                    self._proving.remember_wrong(digest, row.password)
                    log.warning("log-in: a password alone is not enough for %s", row.name)
                return None
            attempt.succeeded()
            await self._proving.renew_hash(row, password)
            await self._proving.note(row, address)
            identity = _identity(user)
            now = self._monotonic()
            right = _Right(row.password, identity, now + REMEMBER_SECONDS, now + _LOOK_SECONDS)
            remember(self._right, digest, right)
            return identity

    async def _known(self, digest: bytes) -> Identity | None:
        """Who sent a password that was right a short while ago, and still is."""
        right, now = self._right.get(digest), self._monotonic()
        if right is None:
            return None
        if now < right.until and now >= right.look:
            row = await table.find(self._database, right.identity.name)
            user = None if row is None or row.password != right.kept else user_of(row)
            right.look = now + _LOOK_SECONDS
            if user is None or user.state is not State.ACTIVE or needs_more(user, self._settings):
                right.until = now
            else:
                right.identity = _identity(user)
        if now >= right.until:
            self._right.pop(digest, None)
            return None
        return right.identity


def needs_more(user: User, settings: Access) -> bool:
    """Whether a password is not enough."""
    is_admin = user.role is Role.ADMIN and settings.admins_need_second_factor
    return bool(user.second_factors) or is_admin


def _identity(user: User) -> Identity:
    return Identity(user.name, user.role, proof=Proof.PASSWORD, scope=user.scope)
