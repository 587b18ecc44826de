"""Second factors: what somebody proves beside their password, and what stands in for it.

Owns how an app is enrolled and asked for, and the recovery codes. Promises that a secret counts
only once a code of it was shown, that a code works once, that whoever enrols the first one gets
recovery codes, once, and that an admin who needs a second factor is never without one again.
Whoever wants to change any of it has logged in a short while ago, or says the password again: a
browser that was left alone is not enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.access import codes, totp
from edge.access.picturing import picture_of
from edge.access.proving import Proving
from edge.access.roles import Role
from edge.access.sessions import Proved, Session
from edge.access.throttle import Throttle
from edge.access.user import user_of
from edge.config import Access
from edge.errors import AccessDenied, UserRefused
from edge.index import users as table
from edge.index.database import Connection, Database
from edge.index.users import UserRow

__all__ = ["Factors", "NewTotp"]

log = logging.getLogger(__name__)

_FRESH_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class NewTotp:
    """A secret for an app; it is not in force yet."""

    secret: str
    """To be typed."""
    uri: str
    picture: str
    """The same as a QR code, SVG."""


class Factors:
    """Second factors of users.

    Args:
        database: The index.
        proving: Looks at passwords.
        throttle: Slows guessing down.
        settings: ``[access]``.
        box: What the box is called in an app.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        proving: Proving,
        throttle: Throttle,
        settings: Access,
        *,
        box: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._proving = proving
        self._throttle = throttle
        self._settings = settings
        self._box = box
        self._clock = clock

    # At a log-in ----------------------------------------------------------------------------------

    @staticmethod
    def beside_password(row: UserRow) -> tuple[str, ...]:
        """What is asked of somebody beside their password; nothing if that is enough."""
        if row.totp is None and not row.passkeys:
            return ()
        named = (
            ("totp", row.totp),
            ("passkey", row.passkeys),
            ("recovery-code", row.recovery_codes),
        )
        return tuple(name for name, has in named if has)

    async def proved(self, row: UserRow, code: str) -> Proved | None:
        """What a code proves beside a password that was right; None if it is wrong.

        Raises:
            TooManyAttempts: Too many were wrong; only who knows the password gets here.
        """
        attempt = self._throttle.second_factor(row.name)
        found = await self._used(row, code)
        if found is not None:
            attempt.succeeded()
        else:
            log.warning("log-in: a second factor of %s is refused", row.name)
        return found

    async def _used(self, row: UserRow, code: str) -> Proved | None:
        if (secret := row.totp) is not None:
            step = totp.matching_step(secret, code, self._clock(), after=row.totp_step)
            if step is not None:
                used = await self._database.write(
                    lambda db: table.use_step(db, row.name, secret, step)
                )
                return Proved.TOTP if used else None
        digest = codes.recovery_digest(row.name, code)
        if digest is None:
            return None
        used = await self._database.write(lambda db: table.use_recovery_code(db, row.name, digest))
        if used:
            log.warning("log-in: %s used a recovery code", row.name)
        return Proved.RECOVERY if used else None

    # In a session ---------------------------------------------------------------------------------

    async def begin_totp(self, session: Session, password: str) -> NewTotp:
        """Make a secret for an app.

        Raises:
            AccessDenied: The log-in was long ago, and the password is not right.
            UserRefused: Somebody else vouches for them.
        """
        await self.confirm(session, password)
        secret = totp.new_secret()
        await self._database.write(lambda db: table.set_fields(db, session.name, totp_new=secret))
        uri = totp.uri_of(secret, session.name, self._box)
        return NewTotp(totp.written(secret), uri, picture_of(uri))

    async def confirm_totp(self, session: Session, code: str) -> Sequence[codes.Code]:
        """Put the secret in force of which that is a code; recovery codes, if there were none.

        Raises:
            UserRefused: It is no code of it, or nothing was begun.
        """
        row = await self.row_of(session)
        attempt = self._throttle.second_factor(row.name)
        secret, step = row.totp_new, None
        if secret is not None:
            step = totp.matching_step(secret, code, self._clock(), after=0)
        if secret is None or step is None:
            raise UserRefused(
                "that is not the code which the app should show now",
                hint="is the clock of the box right, and that of the telephone?",
            )
        attempt.succeeded()
        fresh = codes.new_recovery_codes()

        def change(db: Connection) -> Sequence[codes.Code]:
            changed = table.put_totp(db, row.name, secret, step)
            if not changed:
                raise UserRefused("another one was begun meanwhile", hint="begin again")
            return self.give_codes(db, row.name, fresh)

        given = await self._database.write(change)
        log.info("users: %s enrolled an app for codes", row.name)
        return given

    async def remove_totp(self, session: Session, password: str) -> bool:
        """Have no app any more; False if there was none.

        Raises:
            AccessDenied: As ``begin_totp``.
            UserRefused: An admin needs a second factor, and this is the last one.
        """
        row = await self.confirm(session, password)
        if row.totp is None:
            return False

        def change(db: Connection) -> None:
            table.set_fields(db, row.name, totp=None, totp_new=None)
            self.removed(db, row.name)

        await self._database.write(change)
        log.info("users: %s has no app for codes any more", row.name)
        return True

    async def renew_codes(self, session: Session, password: str) -> Sequence[codes.Code]:
        """Other recovery codes; those before are worthless.

        Raises:
            AccessDenied: As ``begin_totp``.
            UserRefused: There is no second factor that they could stand in for.
        """
        row = await self.confirm(session, password)
        if row.totp is None and not row.passkeys:
            raise UserRefused("there is no second factor yet", hint="enrol one first")
        fresh = codes.new_recovery_codes()
        digests = _digests(row.name, fresh)
        await self._database.write(lambda db: table.put_recovery_codes(db, row.name, digests))
        log.info("users: %s has other recovery codes now", row.name)
        return fresh

    # What passkeys share with it ------------------------------------------------------------------

    def is_fresh(self, session: Session) -> bool:
        """Whether its log-in is so recent that nothing need be proved again."""
        return self._clock() - session.began <= _FRESH_SECONDS

    async def confirm(self, session: Session, password: str) -> UserRow:
        """Whoever sits there may change second factors; their row.

        Raises:
            AccessDenied: They may not.
            UserRefused: Somebody else vouches for them.
        """
        row = await self.row_of(session)
        if not self.is_fresh(session):
            proven, attempt = None, self._throttle.no_attempt()
            if password:
                said = "log-in", session.name, password, session.address
                proven, attempt = await self._proving.check(*said)
            if proven is None:
                raise AccessDenied(
                    "that needs the password again",
                    hint="say it, or log out and log in",
                    known=True,
                )
            attempt.succeeded()
        return row

    async def row_of(self, session: Session) -> UserRow:
        """The user of a session, who may have second factors, and proved one if there is one.

        Raises:
            AccessDenied: They did not, or are gone.
            UserRefused: Somebody else vouches for them.
        """
        if session.issuer:
            raise UserRefused(
                f"{session.name} logs in at {session.issuer}", hint="second factors are kept there"
            )
        row = await table.find(self._database, session.name)
        user = None if row is None else user_of(row)
        if row is None or user is None:
            raise AccessDenied("nobody is logged in")
        if user.second_factors and session.proved is Proved.PASSWORD:
            raise AccessDenied("log in with the second factor first", known=True)
        return row

    def removed(self, db: Connection, name: str) -> None:
        """To be called when a second factor was removed, in the same transaction.

        Raises:
            UserRefused: It was the last one of an admin, who needs one.
        """
        if table.has_factors(db, name):
            return
        if self._settings.admins_need_second_factor and table.role_of(db, name) == Role.ADMIN:
            raise UserRefused(
                "an admin needs a second factor, and this is the last one",
                hint="enrol another one first",
            )
        table.put_recovery_codes(db, name, [])

    @staticmethod
    def give_codes(db: Connection, name: str, fresh: Sequence[codes.Code]) -> Sequence[codes.Code]:
        """Keep recovery codes of somebody who has none; those that are to be shown."""
        if table.has_recovery_codes(db, name):
            return ()
        table.put_recovery_codes(db, name, _digests(name, fresh))
        return fresh


def _digests(name: str, fresh: Sequence[codes.Code]) -> list[bytes]:
    return [digest for code in fresh if (digest := codes.recovery_digest(name, code)) is not None]
