"""Asking again: whether the provider still vouches for whoever is in.

Owns what becomes of their sessions and links. As long as the provider can be asked, it is, for
everybody with a session or a link that holds, and within ``recheck_minutes``: whom it vouches for
no longer is out, their links (`edge.access.links`) end, and another role holds at once. While it
can't be, sessions do not end at their usual time, but at the end of the grace after it was last
heard; that they are not idle is asked for all the same. Once it is back, they end when they would
have. All of it is in the index: a restart changes nothing, and a service that never asks again has
nobody in beyond the grace (`edge.access.sessions`).

Whom it gave no refresh token can't be asked about: they log in there anew once it can be reached,
``recheck_minutes`` after the last time, and their links stay, for it said nothing against them. It
refuses a token that has ended in the words in which it refuses who is disabled (RFC 6749 5.2), so
that counts as the latter. A session makes nobody an admin that was none when it began: that takes a
log-in. Who is put out, and whose role becomes another, is in the record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from edge.access.audit.entry import BOX, Entry, Event, Outcome
from edge.access.oidc import meaning
from edge.access.oidc.login import refresh_bound
from edge.access.oidc.provider import Provider
from edge.access.oidc.sealing import Seal
from edge.access.roles import Role
from edge.access.sessions import Sessions, grace_seconds
from edge.config import Access
from edge.errors import GrantRefused, IssuerError, IssuerUnreachable, StorageFull
from edge.index import identities as table
from edge.index.database import Connection, Database
from edge.index.identities import IdentityRow

__all__ = ["Vouching"]

log = logging.getLogger(__name__)

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Follows:
    """What follows for somebody from what the provider says."""

    change: Callable[[Connection], bool]
    """Of the index; whether it came to it."""
    entry: Entry | None = None
    """Of the record, if it did."""


class Vouching:
    """Asks again.

    Args:
        database: The index.
        sessions: Who is in.
        provider: Whom it asks.
        settings: ``[access]``.
        seal: Of refresh tokens.
        record: Has an entry in the record soon.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        provider: Provider,
        settings: Access,
        seal: Seal,
        record: Callable[[Entry], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._provider = provider
        self._settings = settings
        self._seal = seal
        self._record = record
        self._clock = clock
        self._recheck = settings.oidc.recheck_minutes * 60.0
        self._is_away = False

    async def run(self) -> None:
        """Ask, over and over; the first time at once."""
        while True:
            await self.look()
            # Half of the time until somebody is asked about, a quarter between two looks: together
            # with the question itself that is less than all of it.
            await asyncio.sleep(self._recheck / 4)

    async def look(self) -> None:
        """Ask about everybody whose turn it is."""
        now = self._clock()
        rows = await table.to_ask(
            self._database,
            self._settings.oidc.issuer,
            before=now - self._recheck / 2,
            now=now,
            idle_since=now - self._settings.idle_minutes * 60.0,
        )
        turns, away = asyncio.Semaphore(_AT_ONCE), asyncio.Event()

        async def take_turn(row: IdentityRow) -> None:
            async with turns:
                await self._ask(row, away)

        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(take_turn(row))
        if rows:
            self._sessions.forget()

    async def _ask(self, row: IdentityRow, away: asyncio.Event) -> None:
        """Ask about somebody; not if it is away: each would wait as long as a dead line takes."""
        now = self._clock()
        try:
            if away.is_set():
                raise IssuerUnreachable("the identity provider is away")
            follows = await self._follows(row, now)
        except GrantRefused as error:
            drop = partial(table.drop_voucher, row=row)
            follows = _Follows(drop, _entry(Event.LOGGED_OUT, row, now, reason=str(error)))
        except IssuerError as error:
            # Whatever else is wrong says nothing against them: the line, its certificate, our
            # client there. It is as if it were away.
            self._say_away(error)
            if isinstance(error, IssuerUnreachable):
                away.set()
            until = min(row.vouched + grace_seconds(self._settings.oidc), now + 2 * self._recheck)
            follows = _Follows(partial(_away, row=row, until=until, now=now))
        else:
            self._say_back()
        with suppress(StorageFull):
            if await self._database.write(follows.change) and follows.entry is not None:
                self._tell(follows.entry)

    def _tell(self, entry: Entry) -> None:
        """In the log, and in the record."""
        if entry.event is Event.LOGGED_OUT:
            log.warning("log-in: %s is out: %s", entry.target, entry.reason)
        else:
            log.info("log-in: %s is %s now", entry.target, entry.detail["role"])
        self._record(entry)

    async def _follows(self, row: IdentityRow, now: float) -> _Follows:
        """Ask; what follows from what the provider says.

        Raises:
            IssuerError: It can't be asked; or it refuses.
        """
        token = self._opened(row)
        if not token:
            return await self._without_token(row, now)
        tokens = await self._provider.refresh(token)
        if tokens.claims is not None and tokens.claims["sub"] != row.subject:
            # OpenID Connect Core 1.0, 12.2
            raise GrantRefused("the identity provider speaks of somebody else")
        role = await self._role(row, tokens.claims, tokens.access_token)
        if role is None or (role is Role.ADMIN and row.role != Role.ADMIN):
            raise GrantRefused("the role needs another log-in")
        refresh = row.refresh
        if tokens.refresh_token and tokens.refresh_token != token:
            bound = refresh_bound(row.issuer, row.subject)
            refresh = self._seal.close(tokens.refresh_token.encode(), *bound)
        detail = {"role": str(role), "was": row.role}
        return _Follows(
            partial(
                table.vouched,
                row=row,
                role=role,
                refresh=refresh,
                now=now,
                usual_seconds=self._settings.session_hours * 3600.0,
            ),
            None if role == row.role else _entry(Event.USER, row, now, detail=detail),
        )

    async def _without_token(self, row: IdentityRow, now: float) -> _Follows:
        await self._provider.reach()
        if now - row.vouched < self._recheck * 3 / 4:
            return _Follows(_nothing)
        reason = "it gave nothing by which it could be asked"
        entry = _entry(Event.LOGGED_OUT, row, now, reason=reason)
        return _Follows(partial(table.lapse, row=row), entry)

    async def _role(
        self, row: IdentityRow, claims: Mapping[str, object] | None, access_token: str
    ) -> Role | None:
        """What they are by now; None: nothing."""
        oidc = self._settings.oidc
        if claims is not None and meaning.has_role_claim(oidc, claims):
            return meaning.role_of(oidc, claims)
        more = await self._provider.claims_of(access_token, row.subject)
        if claims is None and not more:
            return Role(row.role)  # it says nothing of anybody: neither an ID token nor UserInfo
        return meaning.role_of(oidc, more)

    def _opened(self, row: IdentityRow) -> str:
        """The refresh token; empty if there is none, or it was sealed by another box."""
        bound = refresh_bound(row.issuer, row.subject)
        opened = None if row.refresh is None else self._seal.open(row.refresh, *bound)
        return "" if opened is None else opened.decode()

    def _say_away(self, error: IssuerError) -> None:
        if not self._is_away:
            kind = "can't be asked" if isinstance(error, IssuerUnreachable) else "is of no use"
            hours = self._settings.oidc.grace_hours
            log.warning("log-in: %s; it %s. Who is in stays in for %g hours", error, kind, hours)
        self._is_away = True

    def _say_back(self) -> None:
        if self._is_away:
            log.info("log-in: the identity provider answers again")
        self._is_away = False


def _nothing(_db: Connection) -> bool:
    """It is too early to do anything."""
    return False


def _away(db: Connection, row: IdentityRow, until: float, now: float) -> bool:
    table.away(db, row, until=until, now=now)
    return False


def _entry(
    event: Event,
    row: IdentityRow,
    at: float,
    *,
    reason: str = "",
    detail: Mapping[str, str] | None = None,
) -> Entry:
    """The box did it, at the word of whoever vouches."""
    return Entry(
        at=at,
        event=event,
        actor=BOX,
        outcome=Outcome.SUCCESS,
        what="asked the identity provider again",
        target=row.name,
        reason=reason,
        detail={"issuer": row.issuer, **(detail or {})},
    )
