"""API tokens: made once, shown once, kept only as a hash; each ends, and is for what it is for.

A token is 256 random bits, so a plain SHA-256 of it can't be turned around or guessed, and needs no
slow hash. It is looked up by that hash through an index: how long this takes depends on the hash of
what was offered, which says nothing about the hashes that are stored.

Promises that whoever offers a token that was never one, that ended, that was revoked or that is
used from elsewhere gets one and the same answer: nobody; and that a token makes no other, however
narrow: one that was stolen would live on in it when it is revoked. People who log in make tokens,
and whoever is at the console of the box. Never keeps or logs a secret, not even a part of one.

A token ends by the clock of the box. A box without a clock chip may start in 1970: there a token
lives longer, rather than that a clinic stands before shut doors; it ends once the clock is right.

What was looked up is remembered for a moment, but never beyond the token's end, nor its revocation:
another process that revokes one has this one ``forget``. When a token was used is noted in memory,
by the day, and written now and then, see `uses`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from edge.access.acts import Act
from edge.access.roles import Identity, Proof, Role
from edge.access.scope import ANYTHING, Scope
from edge.access.uses import TokenUses
from edge.errors import AccessDenied
from edge.index.tokens import TokenRow

__all__ = [
    "LIFETIME_DAYS",
    "PREFIX",
    "NewToken",
    "TokenInfo",
    "TokenStore",
    "Tokens",
    "looks_like_token",
]

PREFIX = "edge_"
"""Lets scanners for leaked secrets recognise a token."""
LIFETIME_DAYS = 365.0
"""Of a token, unless another is named: a program that nobody looks after for a year has gone."""
MOST_DAYS = 3650.0
_SECRET = re.compile(r"edge_[A-Za-z0-9_-]{43}")
_NAME_LENGTH = 64
_REMEMBERED = 1024
_DAY = 86400.0


class TokenStore(Protocol):
    """Where rows of tokens are kept; the index, or a fake."""

    async def insert(self, row: TokenRow, digest: bytes) -> None:
        """Keep a new row, by the SHA-256 of its secret."""

    async def find(self, digest: bytes) -> TokenRow | None:
        """The row of that SHA-256, by an index."""

    async def all(self) -> Sequence[TokenRow]:
        """Every row, in any order."""

    async def used(self, uses: Sequence[tuple[str, str, str]]) -> None:
        """Keep on which day and from which address tokens were used: ID, day, address."""

    async def delete(self, token_id: str) -> bool:
        """Forget a row; false if there is none."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token, as it may be shown at any time."""

    token_id: str
    role: Role
    name: str
    created: float
    """POSIX seconds, as ``expires``."""
    expires: float | None = None
    """None if it does not end by itself."""
    scope: Scope = ANYTHING
    used_day: str = ""
    """The last day on which it was used, ``YYYY-MM-DD``; empty if that is not known."""
    used_from: str = ""
    """The address from which that was."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made."""

    secret: str = field(repr=False)
    """It can't be shown again."""
    info: TokenInfo


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was looked up a moment ago."""

    until: float
    """Of the monotonic clock."""
    identity: Identity


class Tokens:
    """The tokens of this box.

    Args:
        store: Keeps the rows.
        remember_seconds: For so long an accepted token is not looked up again. A viewer asks
            hundreds of times a second.
        clock: Monotonic seconds.
        now: POSIX seconds.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        remember_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._remember_seconds = remember_seconds
        self._clock = clock
        self._now = now
        self._accepted: dict[bytes, _Known] = {}
        self.uses = TokenUses(store.used, now=now)

    async def create(
        self,
        role: Role,
        name: str,
        *,
        days: float | None = LIFETIME_DAYS,
        scope: Scope = ANYTHING,
        maker: Identity | None = None,
    ) -> str:
        """Make a token.

        Returns:
            The secret. It can't be shown again.

        Raises:
            ValueError, AccessDenied: As ``issue``.
        """
        return (await self.issue(role, name, days=days, scope=scope, maker=maker)).secret

    async def issue(
        self,
        role: Role,
        name: str,
        *,
        days: float | None = LIFETIME_DAYS,
        scope: Scope = ANYTHING,
        maker: Identity | None = None,
    ) -> NewToken:
        """Make a token.

        Args:
            role: What it is at the most.
            name: Who or what will hold it.
            days: It ends after so many; None if it never does.
            scope: What is left of the role.
            maker: Who has it made; None if that is somebody at the console of the box.

        Raises:
            ValueError: The name is empty, longer than 64 characters or not printable; or the token
                would be worth nothing from the start.
            AccessDenied: A token asks for it; or it would be wider than who does.
        """
        if maker is not None:
            _refuse_token(maker)
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
            raise ValueError("the name of a token is 1 to 64 printable characters")
        if days is not None and not 0 < days <= MOST_DAYS:
            raise ValueError(f"a token ends after 1 to {MOST_DAYS:.0f} days, or expressly never")
        if not role.leaves_something(scope):
            raise ValueError(f"{role} may do nothing of that: the token would open nothing")
        created = self._now()
        expires = None if days is None else created + days * _DAY
        info = TokenInfo(secrets.token_hex(6), role, name, created, expires, scope)
        if maker is not None:
            _refuse_wider(maker, info)
        secret = PREFIX + secrets.token_urlsafe(32)
        row = TokenRow(info.token_id, role.value, name, created, expires, scope.write())
        await self._store.insert(row, _digest(secret))
        return NewToken(secret, info)

    async def verify(self, secret: str, address: str = "") -> Identity | None:
        """Who holds the secret; None if it is no token of this box, or not now, or not there.

        Args:
            secret: What was offered.
            address: From where; empty if that is not known.
        """
        if _SECRET.fullmatch(secret) is None:
            return None
        identity = await self._lookup(_digest(secret), address)
        if identity is None or not identity.scope.may_come_from(address):
            return None
        if identity.expires is not None and self._now() >= identity.expires:
            return None
        return identity

    async def _lookup(self, digest: bytes, address: str) -> Identity | None:
        """Who holds the token of this digest; whether that is over is for who asks."""
        now = self._clock()
        if (known := self._accepted.get(digest)) is not None and now < known.until:
            return known.identity
        accepted = self._accepted
        accepted.pop(digest, None)
        row = await self._store.find(digest)
        info = None if row is None else _info(row)
        if info is None:
            return None
        if self.has_ended(info) or not info.scope.may_come_from(address):
            return None
        self.uses.note(info.token_id, address, known=(info.used_day, info.used_from))
        identity = Identity(
            info.name, info.role, info.token_id, scope=info.scope, expires=info.expires
        )
        if len(accepted) >= _REMEMBERED:
            accepted.clear()
        # If a token was revoked during the lookup, this is a memory that nobody reads any more.
        accepted[digest] = _Known(now + self._remember_seconds, identity)
        return identity

    async def revoke(self, token_id: str) -> bool:
        """Make a token worthless, here at once; False if there is none of that name."""
        revoked = await self._store.delete(token_id)
        self.forget()
        return revoked

    def forget(self) -> None:
        """Look up every token anew: another process may have revoked one."""
        self._accepted = {}

    async def list(self) -> tuple[TokenInfo, ...]:
        """All tokens, oldest first."""
        rows = sorted(await self._store.all(), key=lambda row: (row.created, row.token_id))
        infos = [info for row in rows if (info := _info(row)) is not None]
        return tuple(self._with_use(info) for info in infos)

    def has_ended(self, info: TokenInfo) -> bool:
        """Whether it is over."""
        return info.expires is not None and self._now() >= info.expires

    def _with_use(self, info: TokenInfo) -> TokenInfo:
        """With what is noted of its use, and not written yet."""
        if (noted := self.uses.noted(info.token_id)) is None:
            return info
        return replace(info, used_day=noted[0], used_from=noted[1])


def _refuse_token(maker: Identity) -> None:
    """Whoever stole a token has no successor of it once it is revoked."""
    if maker.proof is Proof.TOKEN:
        raise AccessDenied(
            "no token makes another", hint="log in, or use edge token create", known=True
        )


def _refuse_wider(maker: Identity, wanted: TokenInfo) -> None:
    """Who was narrowed does not get out of that by making a token."""
    acts = frozenset(act for act in Act if wanted.role.may(act) and wanted.scope.allows(act))
    scope = msgspec.structs.replace(wanted.scope, acts=acts)
    if not all(maker.may(act) for act in acts) or not maker.scope.covers(scope):
        raise AccessDenied(
            f"{maker.name} can't make a token that may more than {maker.name}",
            hint="narrow it as its maker is narrowed, or use edge token create",
            known=True,
        )


def looks_like_token(secret: str) -> bool:
    """Whether it has the form of one; no password of a user has."""
    return _SECRET.fullmatch(secret) is not None


def _info(row: TokenRow) -> TokenInfo | None:
    """What a row says; None of one of another version, whose tokens open nothing here."""
    scope = Scope.read(row.scope)
    try:
        role = Role(row.role)
    except ValueError:
        return None
    if scope is None:
        return None
    return TokenInfo(
        row.token_id,
        role,
        row.name,
        row.created,
        row.expires,
        scope,
        row.used_day,
        row.used_from,
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
