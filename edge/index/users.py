"""Rows of people, of their codes and second factors. What they mean is ``access``'s business.

No object in the store speaks of people: what a damaged index still has of them is salvaged.
Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.index.database import Connection, Database

__all__ = [
    "KEPT",
    "PasskeyRow",
    "Standing",
    "UserRow",
    "active_of_role",
    "add",
    "all_users",
    "can_prove",
    "code_of",
    "count",
    "drop_code",
    "find",
    "find_code",
    "find_passkey",
    "forget_factors",
    "has_anybody",
    "has_factors",
    "has_recovery_codes",
    "is_active",
    "move_code",
    "passkeys_of",
    "put_code",
    "put_passkey",
    "put_recovery_codes",
    "put_totp",
    "remove",
    "remove_passkey",
    "replace_password",
    "role_of",
    "scope_of",
    "set_fields",
    "standing",
    "state_of",
    "use_passkey",
    "use_recovery_code",
    "use_step",
]

KEPT = ("users", "recovery_codes", "passkeys")
"""Tables of which a backup has a copy; in an order in which they can be filled."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """Somebody, with what is known of their second factors."""

    name: str
    display_name: str
    role: str
    state: str
    password: str
    created: float
    last_seen: float
    known_from: str
    handle: bytes
    totp: bytes | None
    totp_new: bytes | None
    totp_step: int
    passkeys: int
    """How many."""
    recovery_codes: int
    """How many are left."""
    code_until: float | None
    """Until when a code that was handed out holds; None if there is none."""
    scope: str
    """What is left of the role, as ``access`` wrote it."""

    @property
    def standing(self) -> Standing:
        """As ``standing`` reads it."""
        return self.state, self.password, self.totp, self.passkeys > 0


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """A passkey."""

    credential_id: bytes
    name: str
    """Whose it is."""
    label: str
    rp_id: str
    public_key: bytes
    sign_count: int
    created: float
    last_used: float


Standing = tuple[str, str, bytes | None, bool]
"""On what a log-in rests: state, hash, secret of an app, and whether there are passkeys."""

_USERS = (
    "SELECT u.name, u.display_name, u.role, u.state, u.password, u.created, u.last_seen,"
    " u.known_from, u.handle, u.totp, u.totp_new, u.totp_step,"
    " (SELECT count(*) FROM passkeys p WHERE p.name = u.name),"
    " (SELECT count(*) FROM recovery_codes r WHERE r.name = u.name),"
    " (SELECT until FROM codes c WHERE c.name = u.name), u.scope"
    " FROM users u"
)
_PASSKEY = "credential_id, name, label, rp_id, public_key, sign_count, created, last_used"


async def find(database: Database, name: str) -> UserRow | None:
    """The user of that name."""
    rows = await database.read(f"{_USERS} WHERE u.name = ?", (name,))
    return UserRow(*rows[0]) if rows else None


async def all_users(database: Database) -> list[UserRow]:
    """Everybody, by name."""
    return [UserRow(*row) for row in await database.read(f"{_USERS} ORDER BY u.name")]


async def has_anybody(database: Database) -> bool:
    """Whether there is a user, or somebody who logged in by an identity provider."""
    rows = await database.read(
        "SELECT EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM identities)"
    )
    return bool(rows[0][0])


def count(db: Connection) -> int:
    """How many there are."""
    return int(db.execute("SELECT count(*) FROM users").fetchone()[0])


def active_of_role(db: Connection, role: str) -> list[str]:
    """The names of active users with a role."""
    rows = db.execute("SELECT name FROM users WHERE role = ? AND state = 'active'", (role,))
    return [name for (name,) in rows]


def standing(db: Connection, name: str) -> Standing | None:
    """On what a log-in of a user rests now; None if there is none."""
    row = db.execute(
        "SELECT state, password, totp, EXISTS (SELECT 1 FROM passkeys p WHERE p.name = u.name)"
        " FROM users u WHERE name = ?",
        (name,),
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2], bool(row[3]))


def state_of(db: Connection, name: str) -> str | None:
    """The state of a user; None if there is none."""
    row = db.execute("SELECT state FROM users WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else None


def role_of(db: Connection, name: str) -> str | None:
    """The role of a user; None if there is none."""
    row = db.execute("SELECT role FROM users WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else None


def scope_of(db: Connection, name: str) -> str:
    """What is left of the role of a user, as ``access`` wrote it."""
    row = db.execute("SELECT scope FROM users WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else "{}"


def is_active(db: Connection, name: str) -> bool:
    """Whether there is an active user of that name."""
    return state_of(db, name) == "active"


def can_prove(db: Connection, name: str) -> bool:
    """Whether a user has a password or a passkey."""
    row = db.execute(
        "SELECT password <> '' OR EXISTS (SELECT 1 FROM passkeys p WHERE p.name = u.name)"
        " FROM users u WHERE name = ?",
        (name,),
    ).fetchone()
    return row is not None and bool(row[0])


def add(
    db: Connection,
    *,
    name: str,
    display_name: str,
    role: str,
    state: str,
    created: float,
    handle: bytes,
) -> bool:
    """Keep somebody new; False if the name is taken."""
    added: int = db.execute(
        "INSERT OR IGNORE INTO users (name, display_name, role, state, created, handle)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (name, display_name, role, state, created, handle),
    ).rowcount
    return added > 0


def set_fields(db: Connection, name: str, **values: object) -> bool:
    """Change columns of a user; whether there is one."""
    named = ", ".join(f"{column} = ?" for column in values)
    changed: int = db.execute(
        f"UPDATE users SET {named} WHERE name = ?", (*values.values(), name)
    ).rowcount
    return changed > 0


def replace_password(db: Connection, name: str, old: str, new: str) -> None:
    """Keep another hash of the same password, unless it changed meanwhile."""
    db.execute("UPDATE users SET password = ? WHERE name = ? AND password = ?", (new, name, old))


def remove(db: Connection, name: str) -> bool:
    """Forget a user and all that is theirs; whether there was one."""
    drop_code(db, name)
    removed: int = db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount
    return removed > 0


# Codes that are handed out ------------------------------------------------------------------------


def put_code(db: Connection, name: str, digest: bytes, until: float) -> None:
    """Keep a code, in place of the one that this user had."""
    db.execute("INSERT OR REPLACE INTO codes VALUES (?, ?, ?)", (name, digest, until))


def move_code(db: Connection, name: str, before: float, until: float) -> bool:
    """Have the code of a user end at another time; False if it is another one by now."""
    moved = db.execute(
        "UPDATE codes SET until = ? WHERE name = ? AND until = ?", (until, name, before)
    )
    return bool(moved.rowcount)


def drop_code(db: Connection, name: str) -> None:
    """Make the code of a user worthless."""
    db.execute("DELETE FROM codes WHERE name = ?", (name,))


async def find_code(database: Database, digest: bytes, now: float) -> str | None:
    """For whom a code is that holds now; None if there is none."""
    rows = await database.read(
        "SELECT name FROM codes WHERE digest = ? AND until > ?", (digest, now)
    )
    return str(rows[0][0]) if rows else None


async def code_until(database: Database, name: str) -> float | None:
    """Until when the code of that name holds, in POSIX seconds; None if there is none."""
    rows = await database.read("SELECT until FROM codes WHERE name = ?", (name,))
    return rows[0][0] if rows else None


def code_of(db: Connection, digest: bytes, now: float) -> str | None:
    """The same, in a transaction."""
    row = db.execute(
        "SELECT name FROM codes WHERE digest = ? AND until > ?", (digest, now)
    ).fetchone()
    return str(row[0]) if row else None


# Second factors -----------------------------------------------------------------------------------


def forget_factors(db: Connection, name: str) -> None:
    """All of a user: they have none then."""
    set_fields(db, name, totp=None, totp_new=None, totp_step=0)
    db.execute("DELETE FROM passkeys WHERE name = ?", (name,))
    db.execute("DELETE FROM recovery_codes WHERE name = ?", (name,))


def put_totp(db: Connection, name: str, secret: bytes, step: int) -> bool:
    """Put a secret in force that was confirmed by the code of a step; False if it is another."""
    put: int = db.execute(
        "UPDATE users SET totp = totp_new, totp_new = NULL, totp_step = ?"
        " WHERE name = ? AND totp_new = ?",
        (step, name, secret),
    ).rowcount
    return put > 0


def use_step(db: Connection, name: str, secret: bytes, step: int) -> bool:
    """Use up a step of TOTP; False if that one or a later one was used, or the secret changed."""
    used: int = db.execute(
        "UPDATE users SET totp_step = ? WHERE name = ? AND totp = ? AND totp_step < ?",
        (step, name, secret, step),
    ).rowcount
    return used > 0


def put_recovery_codes(db: Connection, name: str, digests: Sequence[bytes]) -> None:
    """Keep recovery codes, in place of those that this user had."""
    db.execute("DELETE FROM recovery_codes WHERE name = ?", (name,))
    db.executemany(
        "INSERT INTO recovery_codes VALUES (?, ?)", [(name, digest) for digest in digests]
    )


def has_recovery_codes(db: Connection, name: str) -> bool:
    """Whether any are left."""
    row = db.execute("SELECT 1 FROM recovery_codes WHERE name = ?", (name,)).fetchone()
    return row is not None


def has_factors(db: Connection, name: str) -> bool:
    """Whether a user has any second factor."""
    row = db.execute(
        "SELECT totp IS NOT NULL OR EXISTS (SELECT 1 FROM passkeys p WHERE p.name = u.name)"
        " FROM users u WHERE name = ?",
        (name,),
    ).fetchone()
    return row is not None and bool(row[0])


def use_recovery_code(db: Connection, name: str, digest: bytes) -> bool:
    """Use one up; False if there is none such."""
    used: int = db.execute(
        "DELETE FROM recovery_codes WHERE name = ? AND digest = ?", (name, digest)
    ).rowcount
    return used > 0


async def find_passkey(database: Database, credential_id: bytes) -> PasskeyRow | None:
    """The passkey that an authenticator calls so."""
    rows = await database.read(
        f"SELECT {_PASSKEY} FROM passkeys WHERE credential_id = ?", (credential_id,)
    )
    return PasskeyRow(*rows[0]) if rows else None


async def passkeys_of(database: Database, name: str) -> list[PasskeyRow]:
    """All of a user, the oldest first."""
    rows = await database.read(
        f"SELECT {_PASSKEY} FROM passkeys WHERE name = ? ORDER BY created, credential_id", (name,)
    )
    return [PasskeyRow(*row) for row in rows]


def put_passkey(db: Connection, row: PasskeyRow, most: int) -> bool:
    """Keep a new one; False if it is known, or its holder has as many as may be."""
    (held,) = db.execute("SELECT count(*) FROM passkeys WHERE name = ?", (row.name,)).fetchone()
    if held >= most:
        return False
    values: tuple[Any, ...] = (
        row.credential_id,
        row.name,
        row.label,
        row.rp_id,
        row.public_key,
        row.sign_count,
        row.created,
        row.last_used,
    )
    added: int = db.execute(
        f"INSERT OR IGNORE INTO passkeys ({_PASSKEY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values
    ).rowcount
    return added > 0


def use_passkey(db: Connection, credential_id: bytes, sign_count: int, now: float) -> bool:
    """Note a use; False if it is gone, or another one with this count came first."""
    used: int = db.execute(
        "UPDATE passkeys SET sign_count = ?, last_used = ? WHERE credential_id = ?"
        " AND (sign_count < ? OR (sign_count = 0 AND ? = 0))",
        (sign_count, now, credential_id, sign_count, sign_count),
    ).rowcount
    return used > 0


def remove_passkey(db: Connection, name: str, credential_id: bytes) -> bool:
    """Forget one of a user; whether there was one."""
    removed: int = db.execute(
        "DELETE FROM passkeys WHERE name = ? AND credential_id = ?", (name, credential_id)
    ).rowcount
    return removed > 0
