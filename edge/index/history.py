"""What came, what became safe and what was refused, by quarters of an hour; triggers count it.

A count tells of what happened, and stays when the instance goes: it is no sum of what is here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.index.database import Database

__all__ = ["QUARTER", "Quarter", "since"]

QUARTER = 900
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Quarter:
    """Of an hour."""

    number: int
    """Since 1970."""
    came: int
    came_bytes: int
    safe: int
    safe_bytes: int
    refused: int


async def since(database: Database, number: int) -> list[Quarter]:
    """Those from this one on in which anything happened, the earliest first."""
    rows = await database.read(
        "SELECT quarter, came, came_bytes, safe, safe_bytes, refused FROM history"
        " WHERE quarter >= ? ORDER BY quarter",
        (number,),
    )
    return [Quarter(*row) for row in rows]
