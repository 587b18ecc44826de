"""Rows of API tokens. What a token is, and what it allows, is ``access``'s business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.index.connection import connect
from edge.index.database import Database

__all__ = ["TokenRow", "TokenTable", "salvage"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, without its secret."""

    token_id: str
    role: str
    name: str
    created: float


def salvage(path: Path, key: bytes) -> list[tuple[Any, ...]] | None:
    """The rows of a damaged index's table, for ``TokenTable.restore``; None if they can't be read.

    No object in the store speaks of tokens: they are all that a rebuild from it lacks for good.
    """
    try:
        db = connect(path, key, cache_kib=1024)
        try:
            return list(db.execute("SELECT token_id, digest, role, name, created FROM tokens"))
        finally:
            db.close()
    except Exception:  # noqa: BLE001 - whatever it is, it is the damage
        return None


class TokenTable:
    """The table of tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self, token_id: str, digest: bytes, role: str, name: str, created: float
    ) -> None:
        """Keep a new token, by the digest of its secret."""
        await self._database.write(
            lambda db: db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?)",
                (token_id, digest, role, name, created),
            )
        )

    async def restore(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keep tokens again that ``salvage`` found."""
        kept = list(rows)
        await self._database.write(
            lambda db: db.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?)", kept)
        )

    async def find(self, digest: bytes) -> TokenRow | None:
        """The token whose secret has this digest."""
        rows = await self._database.read(
            "SELECT token_id, role, name, created FROM tokens WHERE digest = ?", (digest,)
        )
        return TokenRow(*rows[0]) if rows else None

    async def all(self) -> list[TokenRow]:
        """Every token, oldest first."""
        rows = await self._database.read(
            "SELECT token_id, role, name, created FROM tokens ORDER BY created"
        )
        return [TokenRow(*row) for row in rows]

    async def delete(self, token_id: str) -> bool:
        """Forget a token; whether there was one."""
        removed: int = await self._database.write(
            lambda db: db.execute("DELETE FROM tokens WHERE token_id = ?", (token_id,)).rowcount
        )
        return removed > 0
