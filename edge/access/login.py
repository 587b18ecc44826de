"""Logging in: what people prove becomes a session.

Owns what is asked for, and in which order: the password, then the second factor of who has one.
Promises a session to nobody who proved less, that nothing tells apart what was wrong, and a new
secret for every session. What an admin may do before they have a second factor is decided by the
session (`edge.access.sessions`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edge.access.factors import Factors
from edge.access.passwords import is_same
from edge.access.proving import Proving
from edge.access.roles import Role
from edge.access.sessions import Proved, Session, Sessions, Visitor
from edge.access.throttle import Throttle
from edge.access.user import user_of
from edge.access.users import Users
from edge.errors import AccessDenied, UserRefused
from edge.index import users as table
from edge.index.database import Database
from edge.index.users import UserRow

__all__ = ["LogIn", "MoreNeeded", "Opened"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just begun."""

    secret: str
    """For the browser; it can't be had again."""
    session: Session


@dataclass(frozen=True, slots=True)
class MoreNeeded:
    """The password was right, and is not enough."""

    factors: tuple[str, ...]
    """Any one of these would be."""


class LogIn:
    """Lets people in.

    Args:
        database: The index.
        users: Everybody.
        sessions: Who is in.
        proving: Looks at passwords.
        factors: Looks at what is proved beside them.
        throttle: Slows guessing down.
    """

    def __init__(
        self,
        database: Database,
        users: Users,
        sessions: Sessions,
        proving: Proving,
        factors: Factors,
        throttle: Throttle,
    ) -> None:
        self._database = database
        self._users = users
        self._sessions = sessions
        self._proving = proving
        self._factors = factors
        self._throttle = throttle

    async def with_password(
        self, name: str, password: str, visitor: Visitor, *, second: str = ""
    ) -> Opened | MoreNeeded:
        """Log in.

        Args:
            name: As it was typed.
            password: Likewise.
            visitor: Who.
            second: The code of an app, or a recovery code; empty if none was asked for yet.

        Raises:
            AccessDenied: It is not told what of it is wrong.
            TooManyAttempts: Not now.
        """
        row, attempt = await self._proving.check("log-in", name, password, visitor.address)
        user = None if row is None else user_of(row)
        if row is None or user is None:
            raise _refused()
        proved: Proved | None = Proved.PASSWORD
        if needed := self._factors.beside_password(row):
            if not second:
                attempt.take_back()
                return MoreNeeded(needed)
            proved = await self._factors.proved(row, second)
        if proved is None:
            raise _refused()
        attempt.succeeded()
        opened = await self._open(row, user.role, proved, visitor)
        await self._proving.renew_hash(row, password)
        return opened

    async def proved(self, row: UserRow, proved: Proved, visitor: Visitor) -> Opened:
        """Let somebody in who proved enough elsewhere: with a passkey.

        Raises:
            AccessDenied: It does not hold any more.
        """
        user = user_of(row)
        if user is None:
            raise _refused()
        return await self._open(row, user.role, proved, visitor)

    async def redeem(
        self,
        code: str,
        password: str,
        visitor: Visitor,
        *,
        name: str = "",
        display_name: str = "",
    ) -> Opened | None:
        """Set a password by a code that was handed out, and log in; None: log in with both factors.

        Args:
            code: As it was typed.
            password: That they choose.
            visitor: Who.
            name: Of the first admin.
            display_name: Likewise.

        Raises:
            AccessDenied: There is no such code, or no longer.
            UserRefused: The password or the name may not be; the code still holds.
            TooManyAttempts: Not now.
        """
        attempt = self._throttle.of_address(visitor.address)
        try:
            user = await self._users.redeem(code, password, name=name, display_name=display_name)
        except AccessDenied:
            log.warning("log-in: a code from %s is refused", visitor.address or "?")
            raise
        except BaseException:
            attempt.take_back()
            raise
        attempt.succeeded()
        self._sessions.forget()
        row = await table.find(self._database, user.name)
        if user.second_factors or row is None or not row.password:
            return None
        return await self._open(row, user.role, Proved.PASSWORD, visitor)

    async def change_password(self, session: Session, password: str, new: str) -> Opened:
        """Set another password; every session of the user ends, and this one goes on as another.

        Raises:
            AccessDenied: The first one is not theirs.
            UserRefused: The new one may not be, or is the same.
            TooManyAttempts: Not now.
        """
        row, attempt = None, None
        if not session.issuer:
            said = "log-in", session.name, password, session.address
            row, attempt = await self._proving.check(*said)
        if row is None or attempt is None:
            raise _refused()
        attempt.succeeded()
        if is_same(password, new):
            raise UserRefused(
                "the new password is the one before",
                hint="choose another; nothing changed, and nobody was logged out",
            )
        await self._users.set_password(session.name, new, but=session.session_id)
        return Opened(*await self._sessions.replace(session, session.proved))

    async def enrolled(self, session: Session, proved: Proved) -> Opened:
        """Go on with a session in which a second factor was shown to work; all others end."""
        is_more = session.proved is Proved.PASSWORD
        return Opened(*await self._sessions.replace(session, proved if is_more else session.proved))

    async def _open(self, row: UserRow, role: Role, proved: Proved, visitor: Visitor) -> Opened:
        """Begin a session of somebody who proved enough, if that still holds."""
        secret, session = await self._sessions.open(
            row.name,
            role,
            proved,
            visitor,
            still=lambda db: table.standing(db, row.name) == row.standing,
        )
        await self._proving.note(row, visitor.address)
        log.info("log-in: %s from %s, by %s", row.name, visitor.address or "?", proved)
        return Opened(secret, session)


def _refused() -> AccessDenied:
    return AccessDenied("name, password or what was to be proved beside them is not right")
