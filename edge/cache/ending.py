"""Tokens that end soon, or ended of late: said before a viewer stands before a shut door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge.index.database import Database
from edge.index.tokens import ending

__all__ = ["EndingToken", "ending_tokens"]

_DAY = 86400.0
_NOTICE = 30 * _DAY
"""So long before and after its end a token is spoken of."""
_SHARE = 0.25
"""Of its life: nobody is reminded all the time of a token that was made for a week."""


@dataclass(frozen=True, slots=True)
class EndingToken:
    """A token that ends soon, or ended of late."""

    token_id: str
    name: str
    expires: float
    """POSIX seconds."""
    ended: bool

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        day = datetime.fromtimestamp(self.expires).astimezone().date()
        return f"Token {self.name} {'ended' if self.ended else 'ends'} on {day}"


async def ending_tokens(database: Database, now: float) -> tuple[EndingToken, ...]:
    """Those of the month before *now*, and of the month behind it; the first to end first."""
    return tuple(
        EndingToken(row.token_id, row.name, row.expires, row.expires <= now)
        for row in await ending(database, now + _NOTICE)
        if row.expires is not None
        and row.expires > now - _NOTICE
        and row.expires - now <= _SHARE * (row.expires - row.created)
    )
