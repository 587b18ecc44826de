"""Sessions: who logged in, until when, and what their browser shows for it.

Owns the secret of a session and its limits. A secret is 256 random bits and only its hash is kept,
as with tokens. Promises a new secret at every log-in and whenever more is proved in a session, so
that one which was planted in a browser before is worth nothing (session fixation); that a session
ends when it was idle for too long, and at its end whatever happens in it; and that it is worth what
its user may do *now*: role and state are looked up, not remembered from the log-in.

Sessions are rows of the index: they outlive the service, and the command line ends them. Whom an
identity provider vouches for has sessions, too, with the role that it said last; none is worth
anything once it has not been heard for longer than the grace (`edge.access.oidc`). Who opened a
link has one, too, which is worth something as long as the link is (`edge.access.links`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.access.roles import Identity, Proof, Role
from edge.access.scope import ANYTHING, Scope
from edge.access.user import State
from edge.config import Access
from edge.errors import AccessDenied, StorageFull
from edge.index import sessions as table
from edge.index.database import Connection, Database
from edge.index.sessions import Held, SessionRow
from edge.others import Oidc

__all__ = [
    "UNATTENDED",
    "Proved",
    "Session",
    "Sessions",
    "Visitor",
    "cookie_name",
    "grace_seconds",
    "secret_in",
]

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_REMEMBER_SECONDS = 2.0
_REMEMBERED = 1024
_TOUCH_SECONDS = 60.0
"""The last use is written so often: not for each request."""
_MOST = 20
"""Sessions of one name: the one that was used longest ago makes room."""
AHEAD_SECONDS = 300.0
"""A session that begins later than so was made by a clock that was wrong, or that is wrong now."""
_AGENT = 120

UNATTENDED = "X-Edge-Unattended"
"""A request with this header is a page's own, and keeps no session from being idle."""


class Proved(StrEnum):
    """What was proved in a session."""

    PASSWORD = "password"  # noqa: S105 - the name of a proof
    TOTP = "password and totp"
    RECOVERY = "password and recovery code"
    PASSKEY = "passkey"
    PROVIDER = "provider"
    """Whatever an identity provider asked for."""
    LINK = "link"
    """Nothing of a person: the secret of a link to a study."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whence somebody comes, and with what."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A session, as it may be shown to its holder and to admins at any time."""

    session_id: str
    """Names it; not secret."""
    name: str
    display_name: str
    issuer: str
    """Who vouches for the name; empty if they are a user of this box, ``link`` of a link."""
    role: Role
    proved: Proved
    began: float
    """POSIX seconds, as all times here."""
    used: float
    idle_until: float
    until: float
    address: str
    agent: str
    is_limited: bool
    """It opens nothing yet: a second factor must be enrolled first."""
    scope: Scope = ANYTHING
    """What is left of the role."""
    emergency: str = ""
    """The emergency access that is open for it (`edge.access.emergency`); empty if none is."""
    emergency_until: float | None = None

    @property
    def is_link(self) -> bool:
        """Whether it is that of a link: nobody's, who could prove more or change anything."""
        return self.issuer == table.LINK

    @property
    def identity(self) -> Identity:
        """Who it is."""
        said = self.name, self.role
        return Identity(
            *said,
            proof=Proof.SESSION,
            scope=self.scope,
            session_id=self.session_id,
            emergency=self.emergency,
        )


class Sessions:
    """Everybody who is logged in.

    Args:
        database: The index.
        settings: ``[access]``.
        clock: POSIX seconds: limits hold over a restart.
        monotonic: Monotonic seconds, for what is remembered for a moment.
    """

    def __init__(
        self,
        database: Database,
        settings: Access,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._idle = settings.idle_minutes * 60.0
        self._grace = grace_seconds(settings.oidc)
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[float, Session]] = {}

    async def open(
        self,
        name: str,
        role: Role,
        proved: Proved,
        visitor: Visitor,
        *,
        issuer: str = "",
        until: float | None = None,
        still: Callable[[Connection], bool] | None = None,
    ) -> tuple[str, Session]:
        """Begin one; whoever calls this has looked at the proof.

        Args:
            name: Of the user, or of whom the issuer vouches for.
            role: Of a user, theirs of the moment; it is looked up again at each use.
            proved: By what.
            visitor: Who gets it.
            issuer: Of an identity provider; empty: the name is that of a user.
            until: Its end, if that is to come before the usual one.
            still: Whether what was proved still holds, in the transaction that begins it: whoever
                was reset or disabled meanwhile has been logged out already.

        Returns:
            The secret, which can't be had again, and the session.

        Raises:
            AccessDenied: It does not.
        """
        secret, now = secrets.token_urlsafe(32), self._clock()
        usual = now + self._settings.session_hours * 3600.0
        row = SessionRow(
            digest=_digest(secret),
            session_id=secrets.token_hex(6),
            name=name,
            issuer=issuer,
            role=role,
            proved=proved,
            began=now,
            used=now,
            until=usual if until is None else min(usual, until),
            address=visitor.address,
            agent=_printable(visitor.agent),
        )
        idle_since = now - self._idle

        def begin(db: Connection) -> None:
            if still is not None and not still(db):
                raise AccessDenied("what was proved does not hold any more", hint="log in again")
            table.put(db, row, most=_MOST, now=now, idle_since=idle_since)

        await self._database.write(begin)
        session = await self.verify(secret)
        if session is None:  # whoever it is was removed or disabled meanwhile
            session = self._session(Held(row, "", role, State.ACTIVE, now))
        return secret, session

    async def replace(self, session: Session, proved: Proved) -> tuple[str, Session]:
        """End all of a name, and go on with one of them as another, until the same end.

        Raises:
            AccessDenied: It ended meanwhile.
        """

        def ended(db: Connection) -> bool:
            alive = table.end(db, session.session_id, session.name, session.issuer) > 0
            table.end_all(db, session.name, session.issuer)
            return alive

        opened = await self.open(
            session.name,
            session.role,
            proved,
            Visitor(session.address, session.agent),
            issuer=session.issuer,
            until=session.until,
            still=ended,
        )
        self._known = {}
        return opened

    async def verify(self, secret: str, *, attended: bool = True) -> Session | None:
        """The session of that secret; None if there is none, or no longer.

        Args:
            secret: As the browser shows it.
            attended: Somebody sits before it: the session is not idle.
        """
        if _SECRET.fullmatch(secret) is None:
            return None
        digest, moment = _digest(secret), self._monotonic()
        if (known := self._known.get(digest)) is not None and moment < known[0]:
            return known[1]
        known_before = self._known
        known_before.pop(digest, None)
        held = await table.find(self._database, digest)
        session = None if held is None else self._valid(held)
        if session is None:
            if held is not None and self._is_over(held.row):
                # For good: no clock that is set back begins it again.
                with suppress(StorageFull):
                    await self._database.write(lambda db: table.forget(db, digest))
            return None
        now = self._clock()
        if attended and now - session.used >= min(_TOUCH_SECONDS, self._idle / 4):
            # Whoever looks at images must not be kept from it by a full disk.
            with suppress(StorageFull):
                await self._database.write(lambda db: table.touch(db, digest, now))
            idle_until = min(session.until, now + self._idle)
            session = replace(session, used=now, idle_until=idle_until)
        if attended:
            if len(known_before) >= _REMEMBERED:
                known_before.clear()
            # If a session was ended during the lookup, this is a memory that nobody reads any more.
            remembered = _REMEMBER_SECONDS
            if session.emergency_until is not None:
                remembered = min(remembered, session.emergency_until - now)
            known_before[digest] = (moment + remembered, session)
        return session

    async def list(self, name: str | None = None, issuer: str | None = "") -> tuple[Session, ...]:
        """All that are not over, or those of one name; the one that was used last first.

        Args:
            name: Whose; None: everybody's.
            issuer: Who vouches for it, here and below; empty: it is a user's; None: whoever does.
        """
        held = await table.all_sessions(self._database, name, issuer)
        return tuple(session for one in held if (session := self._valid(one)) is not None)

    async def end(self, session_id: str, name: str, issuer: str | None = "") -> bool:
        """End one, if it is of that name; False if there is none."""
        return await self._end(lambda db: table.end(db, session_id, name, issuer)) > 0

    async def end_all(self, name: str, issuer: str | None = "") -> int:
        """End all of a name; how many there were."""
        return await self._end(lambda db: table.end_all(db, name, issuer))

    def forget(self) -> None:
        """Look everything up again: somebody changed what sessions are worth."""
        self._known = {}

    async def _end(self, call: Callable[[Connection], int]) -> int:
        ended = await self._database.write(call)
        self._known = {}
        return ended

    def _valid(self, held: Held) -> Session | None:
        row, now = held.row, self._clock()
        if held.state != State.ACTIVE:
            return None
        if row.issuer not in ("", table.LINK) and not self._is_vouched(held):
            return None
        if self._is_over(row) or row.began > now + AHEAD_SECONDS:
            return None
        try:
            return self._session(held)
        except ValueError:
            return None  # a role, a proof or a scope of another version

    def _is_over(self, row: SessionRow) -> bool:
        now = self._clock()
        return now >= row.until or now >= row.used + self._idle

    def _is_vouched(self, held: Held) -> bool:
        """Whether the issuer is ours, and was heard lately enough."""
        is_ours, now = held.row.issuer == self._settings.oidc.issuer, self._clock()
        # A clock that is set back makes no grace longer than it is.
        return is_ours and held.vouched - AHEAD_SECONDS <= now < held.vouched + self._grace

    def _session(self, held: Held) -> Session:
        row, role, proved = held.row, Role(held.role), Proved(held.row.proved)
        if row.issuer and role is Role.ADMIN:
            # They became one since, elsewhere: for that, this log-in may have proved too little.
            role = Role(row.role)
        if (scope := Scope.read(held.scope)) is None:
            raise ValueError("a scope of another version")
        now = self._clock()
        begun = held.emergency_began - AHEAD_SECONDS
        is_emergency = bool(held.emergency) and begun <= now < held.emergency_until
        needs_more = self._settings.admins_need_second_factor and role is Role.ADMIN
        return Session(
            session_id=row.session_id,
            name=row.name,
            display_name=held.display_name,
            issuer=row.issuer,
            role=role,
            proved=proved,
            began=row.began,
            used=row.used,
            idle_until=min(row.until, row.used + self._idle),
            until=row.until,
            address=row.address,
            agent=row.agent,
            is_limited=needs_more and proved is Proved.PASSWORD,
            scope=scope,
            emergency=held.emergency if is_emergency else "",
            emergency_until=held.emergency_until if is_emergency else None,
        )


def grace_seconds(settings: Oidc) -> float:
    """How long after it was heard last the word of an identity provider counts.

    Without any grace it counts for as long as two failures to ask it again take.
    """
    return max(settings.grace_hours * 3600.0, 2 * settings.recheck_minutes * 60.0)


def cookie_name(*, tls: bool) -> str:
    """What the cookie is called.

    With the prefix, a browser takes it from this very host over TLS alone, and sends it nowhere
    else: no page of a neighbouring host can plant one (RFC 6265bis 4.1.3).
    """
    return "__Host-edge" if tls else "edge-session"


def secret_in(headers: Mapping[str, str], name: str) -> str:
    """What the cookie of that name says; empty if there is none, or more than one."""
    found = [
        value.strip()
        for pair in headers.get("Cookie", "").split(";")
        for key, _, value in [pair.partition("=")]
        if key.strip() == name
    ]
    return found[0] if len(found) == 1 else ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_AGENT])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
