"""People: who they are to the clinic, how they come to be users, and how they cease to be.

Owns names, roles and states, and the codes by which somebody sets a password of their own: nobody
else ever knows it, and there is none by default. Promises that there is always an active admin once
there was one, that a code works once and only until its end, and that who is disabled, removed or
reset is logged out in the same transaction. It is all in the index, so that the command line works
on it whether the service runs or not; what it changes holds in a running service within seconds.

Says nobody who is logged in (`edge.access.sessions`), and lets nobody in (`edge.access.login`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from edge.access import codes
from edge.access.handed_before import Beginning, right_until, this_start
from edge.access.names import checked_display_name, checked_name, plain_name
from edge.access.passwords import Passwords, fault_of
from edge.access.roles import Role
from edge.access.scope import ANYTHING, Scope
from edge.access.user import State, User, user_of
from edge.errors import AccessDenied, UserRefused
from edge.index import sessions
from edge.index import users as table
from edge.index.database import Connection, Database
from edge.index.remote import cursor, set_cursor

__all__ = ["Handed", "Users", "check_narrowed"]

log = logging.getLogger(__name__)

MOST_USERS = 10_000
_DAY = 86400.0
INVITATION_SECONDS = 7 * _DAY
RESET_SECONDS = _DAY
FIRST_SECONDS = _DAY
_FIRST = ""
"""Whose code it is by which the first admin is made."""
_BROUGHT = "first code, made elsewhere"
"""Of the index: when that was taken."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A code to be handed to somebody; it can't be shown again."""

    name: str
    """Whose it is; empty: of who will be the first admin."""
    code: codes.Code
    until: float


class Users:
    """Everybody who may log in.

    Args:
        database: The index.
        passwords: Hashes them.
        box: What the box is called; no password may be made of that.
        clock: POSIX seconds.
        this_start: What no setting of the clock changes, see `edge.access.handed_before`.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        *,
        box: str = "",
        clock: Callable[[], float] = time.time,
        this_start: Callable[[], Beginning] = this_start,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._box = box
        self._clock = clock
        self._this_start = this_start

    async def list(self) -> tuple[User, ...]:
        """All of them, by name."""
        rows = await table.all_users(self._database)
        return tuple(user for row in rows if (user := user_of(row)) is not None)

    async def find(self, name: str) -> User | None:
        """The user of that name."""
        row = await table.find(self._database, plain_name(name))
        return None if row is None else user_of(row)

    async def second_factors(self, name: str) -> tuple[str, ...]:
        """What the user of that name proves beside the password; of somebody else, nothing."""
        found = await self.find(name)
        return () if found is None else found.second_factors

    # How they come to be --------------------------------------------------------------------------

    async def add(self, name: str, role: Role, display_name: str = "") -> Handed:
        """Invite somebody: with the code they set their password.

        Raises:
            UserRefused: There is one of that name, or it can be none.
        """
        name, shown = checked_name(name), checked_display_name(display_name)
        handed = self._hand(name, INVITATION_SECONDS)

        def insert(db: Connection) -> None:
            if table.count(db) >= MOST_USERS:
                raise UserRefused(f"there are {MOST_USERS} users, and can't be more")
            self._insert(db, name, shown, role, State.INVITED)
            _keep(db, handed)

        await self._database.write(insert)
        log.info("users: %s is invited as %s", name, role)
        return handed

    async def first_code(self, code: codes.Code | None = None) -> Handed:
        """A code by which the first admin is made; the one before is worthless then.

        Args:
            code: One that was made elsewhere, and somebody has; None: a new one.

        Raises:
            UserRefused: There is an admin, who can invite others.
        """

        def keep(db: Connection, handed: Handed) -> None:
            if table.active_of_role(db, Role.ADMIN):
                raise _there_is_an_admin()
            _keep(db, handed)
            if code is not None:
                set_cursor(db, _BROUGHT, _text(msgspec.structs.replace(now, until=handed.until)))

        now = await asyncio.to_thread(self._this_start)
        handed = self._hand(_FIRST, FIRST_SECONDS)
        if code is not None:
            handed = replace(handed, code=code)
        await self._database.write(lambda db: keep(db, handed))
        return handed

    async def withdraw_first_code(self) -> None:
        """Have none by which the first admin is made."""
        await self._database.write(lambda db: table.drop_code(db, _FIRST))

    async def first_code_until(self) -> float | None:
        """Until when a code holds by which the first admin is made; None: there is none."""
        until = await self._first_until()
        return until if until is not None and until > self._clock() else None

    async def _first_until(self) -> float | None:
        """The same, over or not; of one that was made elsewhere, put right if the clock was set."""
        until = await table.code_until(self._database, _FIRST)
        said = await cursor(self._database, _BROUGHT)
        if until is None or said is None:
            return until
        made = msgspec.json.decode(said, type=Beginning)
        if made.until != until:  # another came since
            return until
        now = await asyncio.to_thread(self._this_start)
        right = right_until(made, now, self._clock(), FIRST_SECONDS)
        if right != until:
            log.info("the clock was set: the code of the first admin holds as long as before")

            def put_right(db: Connection) -> None:
                if table.move_code(db, _FIRST, until, right):
                    set_cursor(db, _BROUGHT, _text(msgspec.structs.replace(made, until=right)))

            await self._database.write(put_right)
        return right

    async def is_empty(self) -> bool:
        """Whether the box is new to people: nobody logged in yet, nor is invited.

        Who came by an identity provider is somebody.
        """
        return not await table.has_anybody(self._database)

    async def redeem(
        self, code: str, password: str, *, name: str = "", display_name: str = ""
    ) -> User:
        """Set a password by a code; the code is worth nothing then.

        Args:
            code: As it was typed.
            password: That they choose.
            name: Of the first admin, who has none yet; nobody else's counts.
            display_name: Likewise.

        Raises:
            AccessDenied: There is no such code, or no longer.
            UserRefused: The password or the name may not be; the code still holds.
        """
        digest = codes.digest_of(code)
        await self._first_until()
        whose = digest and await table.find_code(self._database, digest, self._clock())
        if digest is None or whose is None:
            raise _no_code()
        is_first = whose == _FIRST
        who, shown = (
            (checked_name(name), checked_display_name(display_name))
            if is_first
            else (str(whose), "")
        )
        self.check_password(password, who, shown)
        kept = await self._passwords.hash(password)

        def change(db: Connection) -> None:
            if table.code_of(db, digest, self._clock()) != whose:
                raise _no_code()  # somebody else was first
            if is_first:
                if table.active_of_role(db, Role.ADMIN):
                    raise _there_is_an_admin()
                self._insert(db, who, shown, Role.ADMIN, State.ACTIVE)
            table.set_fields(db, who, password=kept, state=State.ACTIVE)
            table.drop_code(db, whose)
            sessions.end_all(db, who)

        await self._database.write(change)
        log.info("users: %s has a password now%s", who, ", the first admin" if is_first else "")
        user = await self.find(who)
        if user is None:
            raise _no_code()
        return user

    def check_password(self, password: str, *names: str) -> None:
        """Do nothing if it may be a password of who is called so.

        Raises:
            UserRefused: It may not; the message says why.
        """
        if fault := fault_of(password, self._box, *names):
            raise UserRefused(
                f"the password {fault}", hint="a few words that have nothing to do with each other"
            )

    # How they change ------------------------------------------------------------------------------

    async def set_password(self, name: str, password: str, *, but: str = "") -> None:
        """Give an active user another password; all their sessions end, but for one.

        Raises:
            UserRefused: It may not be one, or they are not active any more.
        """
        self.check_password(password, name)
        kept = await self._passwords.hash(password)

        def change(db: Connection) -> None:
            if not table.is_active(db, name):
                raise _nobody(name)
            table.set_fields(db, name, password=kept)
            table.drop_code(db, name)
            sessions.end_all(db, name, but=but)

        await self._database.write(change)
        log.info("users: %s has another password now", name)

    async def reset(self, name: str, *, forget_factors: bool = False) -> Handed:
        """Make somebody's password worthless, log them out, and have them set another by a code.

        Args:
            name: Whose.
            forget_factors: They lost their second factor: it is forgotten, as are all passkeys.

        Raises:
            UserRefused: There is nobody of that name, or they are disabled.
        """
        name = plain_name(name)

        def change(db: Connection, handed: Handed) -> None:
            state = table.state_of(db, name)
            if state is None:
                raise _nobody(name)
            if state == State.DISABLED:
                raise UserRefused(f"{name} is disabled", hint=f"edge user enable {name}")
            table.set_fields(db, name, password="")
            if forget_factors:
                table.forget_factors(db, name)
            sessions.end_all(db, name)
            _keep(db, handed)

        handed = self._hand(name, RESET_SECONDS)
        await self._database.write(lambda db: change(db, handed))
        log.info("users: %s is reset%s", name, ", without factors" if forget_factors else "")
        return handed

    async def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        display_name: str | None = None,
        disabled: bool | None = None,
        scope: Scope | None = None,
    ) -> User:
        """Change what is named; who is disabled is logged out, and a code of theirs is worthless.

        Raises:
            UserRefused: There is nobody of that name, they are the last active admin, an admin who
                would be narrowed, or narrowed to nothing.
        """
        name = plain_name(name)
        values: dict[str, object] = {}
        if role is not None:
            values["role"] = role
        if display_name is not None:
            values["display_name"] = checked_display_name(display_name)
        if scope is not None:
            values["scope"] = scope.write()

        def change(db: Connection) -> None:
            state = table.state_of(db, name)
            if state is None:
                raise _nobody(name)
            _refuse_narrow_admin(db, name, role, scope)
            if scope is not None:
                check_narrowed(name, role or table.role_of(db, name), scope)
            if disabled or (role is not None and role is not Role.ADMIN):
                _leave_an_admin(db, name)
            if disabled:
                table.set_fields(db, name, state=State.DISABLED)
                table.drop_code(db, name)
                sessions.end_all(db, name)
            elif disabled is False and state == State.DISABLED:
                proves = table.can_prove(db, name)
                table.set_fields(db, name, state=State.ACTIVE if proves else State.INVITED)
            if values:
                table.set_fields(db, name, **values)

        await self._database.write(change)
        log.info("users: %s is changed: %s", name, _words(role, disabled, scope))
        user = await self.find(name)
        if user is None:
            raise _nobody(name)
        return user

    async def remove(self, name: str) -> bool:
        """Forget somebody, and log them out; False if there is nobody of that name.

        Raises:
            UserRefused: They are the last active admin.
        """
        name = plain_name(name)

        def change(db: Connection) -> bool:
            _leave_an_admin(db, name)
            sessions.end_all(db, name)
            return table.remove(db, name)

        removed = await self._database.write(change)
        if removed:
            log.info("users: %s is removed", name)
        return removed

    def _insert(
        self, db: Connection, name: str, display_name: str, role: Role, state: State
    ) -> None:
        added = table.add(
            db,
            name=name,
            display_name=display_name,
            role=role,
            state=state,
            created=self._clock(),
            handle=secrets.token_bytes(16),
        )
        if not added:
            raise UserRefused(f"there is a user {name}", hint="choose another name")

    def _hand(self, name: str, seconds: float) -> Handed:
        return Handed(name, codes.new_code(), self._clock() + seconds)


def _keep(db: Connection, handed: Handed) -> None:
    digest = codes.digest_of(handed.code)
    assert digest is not None
    table.put_code(db, handed.name, digest, handed.until)


def _text(made: Beginning) -> str:
    return msgspec.json.encode(made).decode()


def _leave_an_admin(db: Connection, name: str) -> None:
    if table.active_of_role(db, Role.ADMIN) == [name]:
        raise UserRefused(
            f"{name} is the last active admin", hint="make somebody else an admin first"
        )


def _refuse_narrow_admin(db: Connection, name: str, role: Role | None, scope: Scope | None) -> None:
    """Who may widen everybody is narrowed by nothing: it would only look so."""
    is_admin = (role or table.role_of(db, name)) == Role.ADMIN
    left = scope if scope is not None else Scope.read(table.scope_of(db, name))
    if is_admin and left != ANYTHING:
        raise UserRefused(
            "an admin can't be narrowed, who could widen themselves",
            hint=f"give another role first: edge user role {name} ROLE"
            if left is scope
            else f"edge user narrow {name} --not first",
        )


def check_narrowed(name: str, role: str | None, scope: Scope) -> None:
    """Do nothing if somebody of that role may do anything at all once they are narrowed so.

    Raises:
        UserRefused: Their log-in would open nothing: that is what disabling is for.
    """
    if role in set(Role) and not Role(role).leaves_something(scope):
        raise UserRefused(
            f"{role} may do nothing of that: the log-in of {name} would open nothing",
            hint=f"name what {role} may, or keep them out: edge user disable {name}",
        )


def _words(role: Role | None, disabled: bool | None, scope: Scope | None) -> str:
    words = [f"role {role}"] * (role is not None)
    words += ["not narrowed" if scope == ANYTHING else "narrowed"] * (scope is not None)
    words += [{True: "disabled", False: "enabled", None: ""}[disabled]] * (disabled is not None)
    return ", ".join(words) or "display name"


def _nobody(name: str) -> UserRefused:
    return UserRefused(
        f"there is no user {name or 'of that name'}", hint="edge user list names them"
    )


def _no_code() -> AccessDenied:
    return AccessDenied(
        "the code is not right, was used, or has ended",
        hint="ask an admin for another; of a new box, its screen shows one (c makes another), "
        "or edge user first-code prints one",
    )


def _there_is_an_admin() -> UserRefused:
    return UserRefused(
        "there is an admin already",
        hint="who can invite others, or edge user reset NAME: it prints a code for their password",
    )
