"""Rows of API tokens. What a token is, and what it allows, is ``access``'s business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.index.connection import connect
from edge.index.database import Connection, Database

__all__ = ["Salvaged", "TokenRow", "TokenTable", "ending", "salvage"]

_COLUMNS = "token_id, role, name, created, expires, scope, used_day, used_from"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, without its secret."""

    token_id: str
    role: str
    name: str
    created: float
    expires: float | None = None
    """POSIX seconds; None if it does not end by itself."""
    scope: str = "{}"
    """As ``access`` wrote it."""
    used_day: str = ""
    """The last day on which it was used, ``YYYY-MM-DD``; empty if that is not known."""
    used_from: str = ""
    """The address from which it was used last on that day."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Rows of a damaged index, with the names of their columns: it may be of an older version."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def salvage(path: Path, key: bytes) -> Salvaged | None:
    """The rows of a damaged index's table, for ``TokenTable.restore``; None if they can't be read.

    No object in the store speaks of tokens: they are all that a rebuild from it lacks for good.
    """
    try:
        db = connect(path, key, cache_kib=1024)
        try:
            rows = db.execute("SELECT * FROM tokens")
            return Salvaged(tuple(column[0] for column in rows.description), tuple(rows))
        finally:
            db.close()
    except Exception:  # noqa: BLE001 - whatever it is, it is the damage
        return None


async def ending(database: Database, before: float) -> list[TokenRow]:
    """Tokens that end, or ended, before a moment; the next first."""
    rows = await database.read(
        f"SELECT {_COLUMNS} FROM tokens WHERE expires < ? ORDER BY expires, token_id", (before,)
    )
    return [TokenRow(*row) for row in rows]


class TokenTable:
    """The table of tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, row: TokenRow, digest: bytes) -> None:
        """Keep a new token, by the digest of its secret."""
        values = (row.token_id, digest, row.role, row.name, row.created, row.expires, row.scope)
        await self._database.write(
            lambda db: db.execute(
                "INSERT INTO tokens (token_id, digest, role, name, created, expires, scope)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        )

    async def restore(self, found: Salvaged) -> None:
        """Keep tokens again that ``salvage`` found."""

        def keep(db: Connection) -> None:
            there = {row[1] for row in db.execute("PRAGMA table_info(tokens)")}
            kept = [at for at, column in enumerate(found.columns) if column in there]
            names = ", ".join(found.columns[at] for at in kept)
            db.executemany(
                f"INSERT INTO tokens ({names}) VALUES ({', '.join('?' * len(kept))})",
                [[row[at] for at in kept] for row in found.rows],
            )

        await self._database.write(keep)

    async def find(self, digest: bytes) -> TokenRow | None:
        """The token whose secret has this digest."""
        rows = await self._database.read(
            f"SELECT {_COLUMNS} FROM tokens WHERE digest = ?", (digest,)
        )
        return TokenRow(*rows[0]) if rows else None

    async def all(self) -> list[TokenRow]:
        """Every token, oldest first."""
        rows = await self._database.read(f"SELECT {_COLUMNS} FROM tokens ORDER BY created")
        return [TokenRow(*row) for row in rows]

    async def used(self, uses: Iterable[tuple[str, str, str]]) -> None:
        """Keep of tokens on which day and from where they were used: ID, day, address.

        Those that were revoked meanwhile stay so; a day that is earlier than the one that is known
        (of another process, or a clock that was set back) is kept all the same: it is the last.
        """
        known = [(day, address, token_id) for token_id, day, address in uses]
        await self._database.write(
            lambda db: db.executemany(
                "UPDATE tokens SET used_day = ?, used_from = ? WHERE token_id = ?", known
            )
        )

    async def delete(self, token_id: str) -> bool:
        """Forget a token; whether there was one."""
        removed: int = await self._database.write(
            lambda db: db.execute("DELETE FROM tokens WHERE token_id = ?", (token_id,)).rowcount
        )
        return removed > 0
