"""API tokens: made once, shown once, kept only as a hash.

A token is 256 random bits, so a plain SHA-256 of it can't be turned around or guessed, and needs no
slow hash. It is looked up by that hash through an index: how long this takes depends on the hash of
what was offered, which says nothing about the hashes that are stored.

Never keeps or logs a secret, not even a part of one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.access.roles import Identity, Role

__all__ = ["TokenInfo", "TokenRow", "TokenStore", "Tokens", "looks_like_token"]

PREFIX = "edge_"
"""Lets scanners for leaked secrets recognise a token."""
_SECRET = re.compile(r"edge_[A-Za-z0-9_-]{43}")
_NAME_LENGTH = 64
_REMEMBERED = 1024


class TokenRow(Protocol):
    """What the index keeps of a token."""

    @property
    def token_id(self) -> str:
        """Names the token; not secret."""

    @property
    def role(self) -> str:
        """A value of `Role`."""

    @property
    def name(self) -> str:
        """Who or what holds it."""

    @property
    def created(self) -> float:
        """POSIX seconds."""


class TokenStore(Protocol):
    """Where rows of tokens are kept; the index, or a fake."""

    async def insert(
        self, token_id: str, digest: bytes, role: str, name: str, created: float
    ) -> None:
        """Keep a new row."""

    async def find(self, digest: bytes) -> TokenRow | None:
        """The row of that SHA-256, by an index."""

    async def all(self) -> Sequence[TokenRow]:
        """Every row, in any order."""

    async def delete(self, token_id: str) -> bool:
        """Forget a row; false if there is none."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token, as it may be shown at any time."""

    token_id: str
    role: Role
    name: str
    created: float
    """POSIX seconds."""


class Tokens:
    """The tokens of this box.

    Args:
        store: Keeps the rows.
        remember_seconds: For so long an accepted token is not looked up again. A viewer asks
            hundreds of times a second; a token that another process revokes works so much longer.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        remember_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._remember_seconds = remember_seconds
        self._clock = clock
        self._accepted: dict[bytes, tuple[float, Identity]] = {}

    async def create(self, role: Role, name: str) -> str:
        """Make a token.

        Returns:
            The secret. It can't be shown again.

        Raises:
            ValueError: The name is empty, longer than 64 characters or not printable.
        """
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
            raise ValueError("the name of a token is 1 to 64 printable characters")
        secret = PREFIX + secrets.token_urlsafe(32)
        await self._store.insert(secrets.token_hex(6), _digest(secret), role, name, time.time())
        return secret

    async def verify(self, secret: str) -> Identity | None:
        """Who holds the secret; None if it is no token of this box, or no longer."""
        if _SECRET.fullmatch(secret) is None:
            return None
        digest, now = _digest(secret), self._clock()
        if (known := self._accepted.get(digest)) is not None and now < known[0]:
            return known[1]
        accepted = self._accepted
        accepted.pop(digest, None)
        row = await self._store.find(digest)
        if row is None or (role := _role(row.role)) is None:
            return None
        identity = Identity(row.name, role, row.token_id)
        if len(accepted) >= _REMEMBERED:
            accepted.clear()
        # If a token was revoked during the lookup, this is a memory that nobody reads any more.
        accepted[digest] = (now + self._remember_seconds, identity)
        return identity

    async def revoke(self, token_id: str) -> bool:
        """Make a token worthless, here at once; False if there is none of that name."""
        revoked = await self._store.delete(token_id)
        self._accepted = {}
        return revoked

    async def list(self) -> tuple[TokenInfo, ...]:
        """All tokens, oldest first."""
        rows = sorted(await self._store.all(), key=lambda row: (row.created, row.token_id))
        return tuple(
            TokenInfo(row.token_id, role, row.name, row.created)
            for row in rows
            if (role := _role(row.role)) is not None
        )


def looks_like_token(secret: str) -> bool:
    """Whether it has the form of one; no password of a user has."""
    return _SECRET.fullmatch(secret) is not None


def _role(name: str) -> Role | None:
    """The role; None for one of another version, whose tokens open nothing here."""
    try:
        return Role(name)
    except ValueError:
        return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
