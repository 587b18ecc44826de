"""Passkeys: a key in somebody's device or telephone, in place of a password.

Owns which there are, and what becomes of an answer. A passkey is for the name by which the browser
calls the box, so that no page of another name can use it; it asks its holder for a finger, a face
or a PIN, each time, and so is enough alone. Promises that a challenge is met once, that a device
which counts backwards, and so may have been copied, is refused, and that nobody is told which
passkeys there are: browsers find out by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.access import codes, webauthn
from edge.access.challenges import Challenges
from edge.access.factors import Factors
from edge.access.names import checked_display_name
from edge.access.sessions import Session
from edge.access.throttle import Attempt, Throttle
from edge.access.user import State, user_of
from edge.access.webauthn import NewKey, Site, WrongAnswer
from edge.errors import AccessDenied, UserRefused
from edge.index import users as table
from edge.index.database import Connection, Database
from edge.index.users import PasskeyRow, UserRow

__all__ = ["Passkey", "Passkeys"]

log = logging.getLogger(__name__)

MOST = 20
"""Of one user."""
_LOG_IN = "log in"


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey, as its holder may see it at any time."""

    credential_id: bytes
    """Names it; not secret."""
    label: str
    """What its holder calls it."""
    rp_id: str
    """The name of the box that it is for."""
    created: float
    """POSIX seconds."""
    last_used: float | None


class Passkeys:
    """All passkeys.

    Args:
        database: The index.
        factors: Knows who may change second factors.
        throttle: Slows down who sends nonsense.
        box: What people call the box.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        factors: Factors,
        throttle: Throttle,
        *,
        box: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._factors = factors
        self._throttle = throttle
        self._box = box
        self._clock = clock
        self._challenges = Challenges(clock=clock)

    # At a log-in ----------------------------------------------------------------------------------

    def ask(self, site: Site) -> dict[str, Any]:
        """What a browser is asked that wants to log in.

        Raises:
            UserRefused: The box is called by an address.
        """
        return webauthn.request_options(site, self._challenges.new(_LOG_IN))

    async def proved(self, site: Site, credential: Mapping[str, Any], address: str) -> UserRow:
        """The active user whose passkey answered.

        Raises:
            AccessDenied: It is not told what is wrong.
            TooManyAttempts: Not now.
            UserRefused: The box is called by an address.
        """
        site.rp_id  # noqa: B018 - an address is said so, and is no guess
        attempt = self._throttle.of_address(address)
        try:
            return await self._proved(site, credential, attempt)
        except WrongAnswer as error:
            log.warning("log-in: a passkey from %s is refused: %s", address or "?", error)
            raise AccessDenied("the passkey is not right, or not of this box") from error

    async def _proved(self, site: Site, credential: Mapping[str, Any], attempt: Attempt) -> UserRow:
        challenge = webauthn.challenge_in(credential)
        if not self._challenges.holds(challenge, _LOG_IN):
            raise WrongAnswer("its challenge is none of now")
        row = await table.find_passkey(self._database, webauthn.credential_id_in(credential))
        if row is None or row.rp_id != site.rp_id:
            raise WrongAnswer("it is not known here")
        holder = await table.find(self._database, row.name)
        user = None if holder is None else user_of(holder)
        if holder is None or user is None or user.state is not State.ACTIVE:
            raise WrongAnswer("its holder is not active")
        if webauthn.handle_in(credential) not in (b"", holder.handle):
            raise WrongAnswer("it names another holder")
        said = credential, site, challenge, row.public_key
        count = await asyncio.to_thread(webauthn.verify_answer, *said)
        if not self._challenges.meet(challenge, _LOG_IN):
            raise WrongAnswer("its challenge was met before")
        now = self._clock()
        used = await self._database.write(
            lambda db: table.use_passkey(db, row.credential_id, count, now)
        )
        if not used:
            raise WrongAnswer(f"it counts backwards, and may be a copy; it is of {row.name}")
        attempt.succeeded()
        return holder

    # In a session ---------------------------------------------------------------------------------

    async def begin(self, session: Session, password: str, site: Site) -> dict[str, Any]:
        """What a browser is asked that is to make a passkey.

        Raises:
            AccessDenied: The log-in was long ago, and the password is not right.
            UserRefused: The box is called by an address, or somebody else vouches for them.
        """
        row = await self._factors.confirm(session, password)
        held = await table.passkeys_of(self._database, row.name)
        return webauthn.creation_options(
            site,
            self._challenges.new(_purpose(session)),
            box=self._box,
            handle=row.handle,
            name=row.name,
            display_name=row.display_name,
            known=[one.credential_id for one in held if one.rp_id == site.rp_id],
        )

    async def add(
        self, session: Session, site: Site, credential: Mapping[str, Any], label: str
    ) -> Sequence[codes.Code]:
        """Keep a passkey that was made; recovery codes, if there were none.

        Raises:
            AccessDenied: Whoever it is must log in with a second factor first.
            UserRefused: The answer does not hold, or there are too many.
        """
        row, shown = await self._factors.row_of(session), checked_display_name(label)
        try:
            made = await self._made(site, credential, _purpose(session))
        except WrongAnswer as error:
            log.warning("users: a new passkey of %s is refused: %s", row.name, error)
            raise UserRefused(
                "the passkey was not made as it should be", hint="try again"
            ) from error
        fresh, kept = codes.new_recovery_codes(), self._row(row.name, made, site, shown)

        def change(db: Connection) -> Sequence[codes.Code]:
            if not table.put_passkey(db, kept, MOST):
                raise UserRefused(
                    f"that passkey is known, or there are {MOST} already", hint="remove one first"
                )
            return self._factors.give_codes(db, row.name, fresh)

        given = await self._database.write(change)
        log.info("users: %s has another passkey", row.name)
        return given

    async def _made(self, site: Site, credential: Mapping[str, Any], purpose: str) -> NewKey:
        challenge = webauthn.challenge_in(credential)
        if not self._challenges.holds(challenge, purpose):
            raise WrongAnswer("its challenge is none of now")
        made = await asyncio.to_thread(webauthn.verify_new, credential, site, challenge)
        if not self._challenges.meet(challenge, purpose):
            raise WrongAnswer("its challenge was met before")
        return made

    def _row(self, name: str, made: NewKey, site: Site, label: str) -> PasskeyRow:
        return PasskeyRow(
            credential_id=made.credential_id,
            name=name,
            label=label,
            rp_id=site.rp_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            created=self._clock(),
            last_used=0.0,
        )

    async def list(self, session: Session) -> tuple[Passkey, ...]:
        """Those of who is logged in, the oldest first."""
        rows = [] if session.issuer else await table.passkeys_of(self._database, session.name)
        return tuple(
            Passkey(row.credential_id, row.label, row.rp_id, row.created, row.last_used or None)
            for row in rows
        )

    async def remove(self, session: Session, credential_id: bytes, password: str) -> bool:
        """Forget one of who is logged in; False if there is none such.

        Raises:
            AccessDenied: As ``begin``.
            UserRefused: An admin needs a second factor, and this is the last one.
        """
        row = await self._factors.confirm(session, password)

        def change(db: Connection) -> bool:
            removed = table.remove_passkey(db, row.name, credential_id)
            if removed:
                self._factors.removed(db, row.name)
            return removed

        removed = await self._database.write(change)
        if removed:
            log.info("users: a passkey of %s is removed", row.name)
        return removed


def _purpose(session: Session) -> str:
    """A passkey is kept in the session in which it was asked for."""
    return f"make one in {session.session_id}"
