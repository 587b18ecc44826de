"""Rows of people for whom an identity provider vouches. What they mean is ``access``'s business.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from edge.index.database import Connection, Database

__all__ = [
    "KEPT",
    "IdentityRow",
    "all_identities",
    "away",
    "drop_voucher",
    "find",
    "lapse",
    "named",
    "put",
    "remove",
    "set_scope",
    "set_state",
    "to_ask",
    "vouched",
]

KEPT = ("identities",)
"""Of which a damaged index is searched: who is disabled here stays so."""


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """Somebody; their columns."""

    issuer: str
    subject: str
    name: str
    display_name: str
    role: str
    state: str
    vouched: float
    refresh: bytes | None
    scope: str = "{}"
    """What is left of the role here, as ``access`` wrote it."""


_COLUMNS = ", ".join(item.name for item in fields(IdentityRow))


async def named(database: Database, name: str) -> IdentityRow | None:
    """Whoever is called so here."""
    rows = await database.read(f"SELECT {_COLUMNS} FROM identities WHERE name = ?", (name,))
    return IdentityRow(*rows[0]) if rows else None


async def all_identities(database: Database) -> list[IdentityRow]:
    """Everybody, by name."""
    rows = await database.read(f"SELECT {_COLUMNS} FROM identities ORDER BY name")
    return [IdentityRow(*row) for row in rows]


async def to_ask(
    database: Database, issuer: str, *, before: float, now: float, idle_since: float
) -> list[IdentityRow]:
    """Who has a session, or a link that holds, and was vouched for before that moment.

    The longest ago first. Who has links alone is among them if the issuer can be asked about them.
    """
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM identities i WHERE issuer = ?1 AND vouched <= ?2 AND (EXISTS"
        " (SELECT 1 FROM sessions s WHERE s.issuer = i.issuer AND s.name = i.name"
        " AND s.until > ?3 AND s.used > ?4) OR (i.refresh IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM links l WHERE l.maker = i.name AND l.until > ?3)))"
        " ORDER BY vouched, name",
        (issuer, before, now, idle_since),
    )
    return [IdentityRow(*row) for row in rows]


def find(db: Connection, issuer: str, subject: str) -> IdentityRow | None:
    """Whom the issuer calls so."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM identities WHERE issuer = ? AND subject = ?", (issuer, subject)
    ).fetchone()
    return IdentityRow(*row) if row else None


def put(db: Connection, row: IdentityRow, spare: str) -> IdentityRow:
    """Keep what the issuer says of somebody; as it is kept then.

    Args:
        db: In a transaction.
        row: Their name and state count for who is new.
        spare: What they are called if that name is another's.
    """
    if (held := find(db, row.issuer, row.subject)) is None:
        (taken,) = db.execute(
            "SELECT EXISTS (SELECT 1 FROM identities WHERE name = ?)", (row.name,)
        ).fetchone()
        db.execute(
            f"INSERT INTO identities ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.issuer,
                row.subject,
                spare if taken else row.name,
                row.display_name,
                row.role,
                row.state,
                row.vouched,
                row.refresh,
                row.scope,
            ),
        )
    elif held.state == row.state:
        db.execute(
            "UPDATE identities SET display_name = ?, role = ?, vouched = ?, refresh = ?"
            " WHERE issuer = ? AND subject = ?",
            (row.display_name, row.role, row.vouched, row.refresh, row.issuer, row.subject),
        )
    found = find(db, row.issuer, row.subject)
    assert found is not None
    return found


def vouched(
    db: Connection,
    row: IdentityRow,
    *,
    role: str,
    refresh: bytes | None,
    now: float,
    usual_seconds: float,
) -> bool:
    """The issuer vouches for them again: sessions end when they usually do.

    Whether that is what holds now.

    Args:
        db: In a transaction.
        row: As it was when the issuer was asked. Who logged in meanwhile has a newer token.
        role: That they have now.
        refresh: By which it is asked next.
        now: When it was asked.
        usual_seconds: After their beginning, sessions end.
    """
    changed: int = db.execute(
        "UPDATE identities SET role = ?, vouched = ?, refresh = ?"
        " WHERE issuer = ? AND subject = ? AND refresh IS ?",
        (role, now, refresh, row.issuer, row.subject, row.refresh),
    ).rowcount
    db.execute(
        "UPDATE sessions SET until = min(until, began + ?) WHERE name = ? AND issuer = ?",
        (usual_seconds, row.name, row.issuer),
    )
    return changed > 0


def away(db: Connection, row: IdentityRow, *, until: float, now: float) -> None:
    """The issuer can't be asked: what has not ended yet goes on until then at the least."""
    db.execute(
        "UPDATE sessions SET until = max(until, ?) WHERE name = ? AND issuer = ? AND until > ?",
        (until, row.name, row.issuer, now),
    )


def drop_voucher(db: Connection, row: IdentityRow) -> bool:
    """The issuer vouches for them no longer: whether they are out. Who came in meanwhile is not.

    Their links end, too.
    """
    changed: int = db.execute(
        "UPDATE identities SET vouched = 0, refresh = NULL"
        " WHERE issuer = ? AND subject = ? AND refresh IS ? AND vouched = ?",
        (row.issuer, row.subject, row.refresh, row.vouched),
    ).rowcount
    if changed:
        _end_sessions(db, row)
    return changed > 0


def lapse(db: Connection, row: IdentityRow) -> bool:
    """The issuer can't be asked about them any more, and said nothing against them.

    They log in anew; their links stay. Whether they are out. Who came in meanwhile is not.
    """
    changed: int = db.execute(
        "UPDATE identities SET refresh = NULL"
        " WHERE issuer = ? AND subject = ? AND refresh IS ? AND vouched = ?",
        (row.issuer, row.subject, row.refresh, row.vouched),
    ).rowcount
    if changed:
        _end_sessions(db, row)
    return changed > 0


def _end_sessions(db: Connection, row: IdentityRow) -> None:
    db.execute("DELETE FROM sessions WHERE name = ? AND issuer = ?", (row.name, row.issuer))


def set_state(db: Connection, name: str, state: str) -> bool:
    """Change what becomes of a log-in of theirs, and end their sessions; whether there is one."""
    changed: int = db.execute(
        "UPDATE identities SET state = ?, refresh = NULL, vouched = 0 WHERE name = ?", (state, name)
    ).rowcount
    db.execute("DELETE FROM sessions WHERE name = ? AND issuer <> ''", (name,))
    return changed > 0


def set_scope(db: Connection, name: str, scope: str) -> bool:
    """Change what is left of a role; whether there is somebody of that name."""
    changed: int = db.execute(
        "UPDATE identities SET scope = ? WHERE name = ?", (scope, name)
    ).rowcount
    return changed > 0


def remove(db: Connection, name: str) -> bool:
    """Forget somebody, and end their sessions; whether there was one."""
    db.execute("DELETE FROM sessions WHERE name = ? AND issuer <> ''", (name,))
    removed: int = db.execute("DELETE FROM identities WHERE name = ?", (name,)).rowcount
    return removed > 0
