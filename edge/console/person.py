"""Who logs in at the screen of the box: an admin, by the same proofs and limits as on the page.

Promises that guesses at the screen are slowed down as those of one address, and that each log-in,
and each that failed, is in the audit. What is proved holds for the page on the screen alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome
from edge.access.factors import Factors
from edge.access.login import LogIn, MoreNeeded, Opened
from edge.access.proving import Proving
from edge.access.roles import Act
from edge.access.sessions import Visitor
from edge.access.throttle import Throttle
from edge.config import Config
from edge.console.view import CodeWrong, Person, SecondFactorNeeded
from edge.errors import AccessDenied, TooManyAttempts
from edge.opening import Cache

__all__ = ["Door", "actor_of"]

_HERE = Visitor("", "the screen of the box")
_PLACE = "console"


def actor_of(person: Person | None) -> Actor:
    """As the audit has them."""
    if person is None:
        return Actor(_PLACE, Kind.MACHINE, proof="stands before the box")
    proof = f"{person.proved}, at the screen"
    return Actor(person.name, role="admin", proof=proof, token=person.session_id)


@dataclass(frozen=True, slots=True)
class Door:
    """Where they log in.

    Args:
        opened: Opens the box, with its configuration of now.
        throttle: Lives as long as the page on the screen.
    """

    opened: Callable[[], AbstractAsyncContextManager[tuple[Cache, Config]]]
    throttle: Throttle

    async def log_in(self, name: str, password: str, second: str) -> Person:
        """See `edge.console.view.Box`."""
        async with self.opened() as (cache, config):
            try:
                found = await self._proved(cache, config, name, password, second)
                person = self._admin(found)
            except AccessDenied as error:
                await self._tell(cache, Actor(name[:64], Kind.PERSON), str(error))
                raise
            await self._tell(cache, actor_of(person))
        return person

    async def _proved(
        self, cache: Cache, config: Config, name: str, password: str, second: str
    ) -> Opened:
        proving = Proving(cache.database, cache.passwords, self.throttle)
        factors = Factors(
            cache.database, proving, self.throttle, config.access, box=config.appliance.name
        )
        log_in = LogIn(cache.database, cache.users, cache.sessions, proving, factors, self.throttle)
        try:
            found = await log_in.with_password(name, password, _HERE, second=second)
        except TooManyAttempts:
            raise
        except AccessDenied as error:
            # A code is asked for once the password was right: that is known by then.
            if second:
                raise CodeWrong("the code is not right", hint="type it again") from error
            raise AccessDenied("name or password is not right", hint="type them again") from error
        if isinstance(found, MoreNeeded):
            if set(found.factors) <= {"passkey"}:
                raise AccessDenied(
                    "a passkey can't be used at this screen",
                    hint="set up an app beside it on the web page, or log in there",
                )
            raise SecondFactorNeeded(found.factors)
        if found.session.is_limited or not found.session.identity.may(Act.ADMINISTER):
            await cache.sessions.end(found.session.session_id, found.session.name)
        return found

    @staticmethod
    def _admin(found: Opened) -> Person:
        session = found.session
        if session.is_limited:
            raise AccessDenied(
                "a second factor is needed, and there is none yet",
                hint="log in on the web page first, and set one up",
            )
        if not session.identity.may(Act.ADMINISTER):
            raise AccessDenied(f"{session.name} is no admin", hint="ask one")
        return Person(session.name, session.session_id, str(session.proved))

    async def log_out(self, person: Person) -> None:
        """See `edge.console.view.Box`."""
        async with self.opened() as (cache, _):
            await cache.sessions.end(person.session_id, person.name)
            await self._tell(cache, actor_of(person), event=Event.LOGGED_OUT)

    @contextlib.asynccontextmanager
    async def acting(self, person: Person) -> AsyncIterator[None]:
        """Whether they are still logged in: an admin may have ended that elsewhere.

        Raises:
            AccessDenied: They are not.
        """
        async with self.opened() as (cache, _):
            known = [one.session_id for one in await cache.sessions.list(person.name)]
        if person.session_id not in known:
            raise AccessDenied("this log-in has ended", hint="log in again")
        yield

    @staticmethod
    async def _tell(
        cache: Cache, actor: Actor, reason: str = "", event: Event = Event.LOGGED_IN
    ) -> None:
        outcome = Outcome.REFUSED if reason else Outcome.SUCCESS
        entry = Entry(
            at=cache.audit.clock(),
            event=event,
            actor=actor,
            outcome=outcome,
            what=_PLACE,
            reason=reason,
        )
        await cache.audit.record(entry)
