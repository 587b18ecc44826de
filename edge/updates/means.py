"""What the service's part of updates works with: the line, the doors, the archives, the audit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass

from edge import config
from edge.cloud.pace import Way
from edge.updates.history import Entry
from edge.week import Direction

__all__ = ["Means"]


@dataclass(frozen=True, slots=True)
class Means:
    """What it works with."""

    opened: Callable[[config.Update], config.Update]
    """The settings with their secrets as they are used, or a `ConfigError`. Blocks."""
    wait_open: Callable[[Direction], Awaitable[None]]
    """Until sync may use the line."""
    incoming: Callable[[AsyncIterable[bytes]], AsyncGenerator[bytes]]
    """What comes over it, as fast as it may."""
    way: Way | None
    """Counts it."""
    is_quiet: Callable[[], bool]
    """Whether nothing comes in at this moment, by any door, and nobody is interrupted by an end."""
    turn_away: Callable[[str], None]
    """Lets nothing come in any more, for that reason; an empty one lets it again."""
    reached: Callable[[], Awaitable[tuple[str, ...]]]
    """The archives that can be reached now."""
    ailing: Callable[[], tuple[str, ...]]
    """Parts of the service that are in trouble now."""
    note: Callable[[Entry], None]
    """Has it in the audit."""
    tidy: Callable[[], None]
    """Lets go of the indexes that were kept of other versions for a month. Blocks."""
