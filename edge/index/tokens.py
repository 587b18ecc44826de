"""Rows of API tokens. What a token is, and what it allows, is ``access``'s business."""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database

__all__ = ["TokenRow", "TokenTable"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, without its secret."""

    token_id: str
    role: str
    name: str
    created: float


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
