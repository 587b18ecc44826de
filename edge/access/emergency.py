"""Breaking the glass: who was narrowed opens everything to read, for a while, and says why.

Owns when an emergency access may begin, and what ends it: a hand, its time, the end of its session.
Promises:

- It begins for people alone, of the roles of ``[access.emergency]``, who are narrowed, and have
  proved lately, or prove again, who they are. Whom an identity provider vouches for can't do that
  while the line is down: their session is enough, and the record says so.
- The reason is on the disk, in the sealed record, before anything opens; if nothing can be written
  there, nothing opens. It stands in no log.
- It opens reading, and nothing else: roles, all other acts and networks are as they were. It is of
  one session, so that no token and no password that a viewer sends has one.
- It ends at its time, however the clock is set meanwhile. A restart neither ends nor prolongs it.
- Its end is in the record once that can be written, be it after a crash or by another process
  (``edge user logout``) that it came.

Crash order: the record has the beginning -> the index has it, and it is open. The index has the
end, and it is shut -> the record has it -> the index knows that; a crash between those says it
twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec

from edge.access.audit.entry import Actor, Entry, Event, Outcome
from edge.access.audit.recorder import Audit
from edge.access.emergencies import Emergency, emergency_of
from edge.access.factors import Factors
from edge.access.roles import Identity, Proof, Role
from edge.access.sessions import Session, Sessions
from edge.config import Access
from edge.errors import AccessDenied, EdgeError, StorageFull, UserRefused
from edge.index import emergencies as table
from edge.index.database import Database
from edge.index.emergencies import EmergencyRow

__all__ = ["LONGEST_REASON", "BreakGlass"]

log = logging.getLogger(__name__)

LONGEST_REASON = 500
_SHORTEST_REASON = 8
_MOST_UNSEEN = 50
"""Of one person, more than a bad week has: beyond, somebody fills the record with them."""
_LOOK_SECONDS = 1.0
"""Between two looks while one is open."""
_REST_SECONDS = 30.0
"""Between two looks while none is."""
_SESSION = "session"
"""What is proved by who can't prove anything again."""


class BreakGlass:
    """Begins and ends emergency access.

    Args:
        database: The index.
        sessions: Who is in.
        factors: Has people prove again who they are.
        audit: The record.
        settings: ``[access]``.
        clock: POSIX seconds.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        factors: Factors,
        audit: Audit,
        settings: Access,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._factors = factors
        self._audit = audit
        self._roles = frozenset(map(Role, settings.emergency.roles))
        self._seconds = settings.emergency.minutes * 60.0
        self._clock = clock
        self._monotonic = monotonic
        self._ends: dict[str, float] = {}
        """Of those that began here: monotonic, whatever becomes of the clock."""
        self._began = asyncio.Event()

    @property
    def minutes(self) -> float:
        """How long one lasts at the most."""
        return self._seconds / 60.0

    def is_possible(self, session: Session, address: str = "") -> bool:
        """Whether there is anything to open at that address, for whoever may."""
        scope = session.scope
        return (
            session.role in self._roles and scope.hinders_reading and scope.may_come_from(address)
        )

    async def begin(
        self, session: Session, reason: str, *, password: str = "", address: str = ""
    ) -> Emergency:
        """Open everything to read, for one session.

        Args:
            session: Whose.
            reason: Why, in their own words.
            password: Theirs, again, where the log-in was more than ten minutes ago.
            address: Where that comes from.

        Raises:
            AccessDenied: They may not, or it is not proved that it is they.
            UserRefused: There is nothing to open, it is open, no reason is given, or they had many
                that no admin has looked at.
            TooManyAttempts: Not now.
            StorageFull: Nothing can be recorded.
        """
        emergency_id, now = secrets.token_hex(6), self._clock()
        try:
            said = self._check(session, reason, address)
            await self._check_number(session)
            proved = await self._prove(session, password)
            await self._audit.require()
        except EdgeError as error:
            self._tell(session.identity, address, error)
            raise
        row = EmergencyRow(
            emergency_id,
            session.session_id,
            session.name,
            session.issuer,
            session.role,
            address,
            proved,
            said,
            now,
            min(now + self._seconds, session.until),
        )
        await self._audit.record(_entry(row, Event.OVERRIDE_STARTED, now, said))
        try:
            if not await self._database.write(lambda db: table.put(db, row)):
                raise AccessDenied("the session ended, or it is open already", known=True)
        except EdgeError as error:
            failed = _entry(
                row, Event.OVERRIDE_STOPPED, self._clock(), f"it did not begin: {error}"
            )
            self._audit.put(msgspec.structs.replace(failed, outcome=Outcome.FAILED))
            raise
        self._ends[emergency_id] = self._monotonic() + (row.until - now)
        self._sessions.forget()
        self._began.set()
        minutes = (row.until - now) / 60.0
        log.warning(
            "emergency access %s: %s (%s) may read everything for %.0f minutes",
            emergency_id,
            session.name,
            session.role,
            minutes,
        )
        return emergency_of(row)

    async def end(self, session: Session) -> bool:
        """Close what is open for a session, by hand; False if nothing is."""
        if not session.emergency:
            return False
        ended = await self._end(session.emergency, "ended by hand")
        await self._tell_ends()
        return ended

    async def look(self) -> bool:
        """End what is over, and have every end in the record; whether any is open."""
        # In this order: of one that begins meanwhile, nothing is known here yet.
        known = await table.rows(self._database, untold=True)
        sessions = await self._sessions.list(None, None) if known else ()
        going_on = {session.emergency for session in sessions}
        is_any_open, now, moment = False, self._clock(), self._monotonic()
        for row in known:
            if row.ended:
                continue
            is_over = now >= row.until or moment >= self._ends.get(row.emergency_id, moment + 1)
            if is_over:
                await self._end(row.emergency_id, "its time is over")
            elif row.emergency_id not in going_on:
                await self._end(row.emergency_id, "the session ended")
            else:
                is_any_open = True
        await self._tell_ends()
        return is_any_open

    async def run(self) -> None:
        """Look, over and over."""
        while True:
            self._began.clear()
            try:
                is_any_open = await self.look()
            except StorageFull as error:
                log.warning("the end of an emergency access can't be recorded yet: %s", error)
                is_any_open = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS if is_any_open else _REST_SECONDS):
                    await self._began.wait()

    def _check(self, session: Session, reason: str, address: str) -> str:
        """What they say, tidied.

        Raises:
            AccessDenied, UserRefused: As ``begin``.
        """
        if session.role not in self._roles:
            raise AccessDenied(
                f"{session.name} is {session.role}, for whom there is no emergency access",
                hint="access.emergency.roles says for whom there is",
                known=True,
            )
        if session.emergency:
            raise UserRefused("emergency access is open already")
        if not session.scope.may_come_from(address):
            networks = ", ".join(session.scope.networks)
            raise UserRefused(
                f"{session.name} may read from {networks} alone: here there is nothing to open",
                hint="an emergency opens no other network: go there, or an admin names this one",
            )
        if not session.scope.hinders_reading:
            raise UserRefused(
                f"{session.name} may read everything, and there is nothing to open",
                hint="what else is missing is the role's: an admin can change it",
            )
        said = " ".join(reason.split())
        if not (_SHORTEST_REASON <= len(said) <= LONGEST_REASON and said.isprintable()):
            raise UserRefused(
                f"a reason has {_SHORTEST_REASON} to {LONGEST_REASON} printable characters",
                hint="say what happened, and to whom: it goes into the sealed record alone",
            )
        return said

    async def _check_number(self, session: Session) -> None:
        """Refuse who had so many that nobody looks at any more what they are for."""
        if await table.unseen(self._database, session.name, session.issuer) >= _MOST_UNSEEN:
            raise UserRefused(
                f"{session.name} had emergency access {_MOST_UNSEEN} times since an admin looked",
                hint="an admin looks at them: edge user emergencies, edge user looked ID",
            )

    async def _prove(self, session: Session, password: str) -> str:
        """By what they prove again who they are.

        Raises:
            AccessDenied: By nothing.
            TooManyAttempts: Not now.
        """
        if session.issuer:
            return _SESSION
        # What is sent beside a fresh log-in is not looked at.
        when = "lately" if self._factors.is_fresh(session) else "again"
        await self._factors.confirm(session, password)
        return f"{session.proved}, {when}"

    async def _end(self, emergency_id: str, why: str) -> bool:
        now = self._clock()
        row = await table.find(self._database, emergency_id)
        # After a restart, or a clock that was set: it was over when its time was.
        ended = now if row is None else max(row.began, min(now, row.until))
        done = await self._database.write(lambda db: table.end(db, emergency_id, ended, why))
        self._ends.pop(emergency_id, None)
        self._sessions.forget()
        if done:
            log.warning("emergency access %s is over: %s", emergency_id, why)
        return done

    async def _tell_ends(self) -> None:
        """Have in the record what has ended and is not there yet.

        Raises:
            StorageFull: It can't be written now.
        """
        for row in await table.rows(self._database, untold=True):
            if row.ended:
                await self._audit.record(
                    _entry(row, Event.OVERRIDE_STOPPED, row.ended, row.why_ended)
                )
                await self._database.write(partial(table.mark_told, emergency_id=row.emergency_id))

    def _tell(self, who: Identity, address: str, error: EdgeError) -> None:
        """Somebody wanted to, and was refused: aggregated, as all that is tried."""
        outcome = Outcome.FAILED if isinstance(error, StorageFull) else Outcome.REFUSED
        self._audit.suspect(
            Entry(
                at=self._audit.clock(),
                event=Event.OVERRIDE_STARTED,
                actor=Actor.of(who, address),
                outcome=outcome,
                what="emergency access",
                reason=str(error),
            )
        )


def _entry(row: EmergencyRow, event: Event, at: float, reason: str) -> Entry:
    who = Identity(
        row.name,
        Role(row.role),
        proof=Proof.SESSION,
        session_id=row.session_id,
        emergency=row.emergency_id,
    )
    return Entry(
        at=at,
        event=event,
        actor=Actor.of(who, row.address),
        what="emergency access",
        target=row.emergency_id,
        reason=reason,
        detail={"proved": row.proved, "minutes": f"{(row.until - row.began) / 60.0:g}"},
    )
