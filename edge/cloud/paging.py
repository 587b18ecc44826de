"""A list that is longer than its archive gives at once, read whole, even if it changes meanwhile.

Pages overlap by one row. If a page does not begin with the row that the one before it ended with,
something in front of it came or went, and a row may have slipped between the two: the list is read
once more from its beginning. What was seen at any time is in the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge.cloud.archive import Dataset, first_value

__all__ = ["all_rows"]

_SMALLEST_CAP = 100
"""No archive that we know cuts a list below this (Azure: 100 unless asked; Google: 1000)."""
_MOST_RESTARTS = 3
"""Of one whose order is never the same twice."""


async def all_rows(read: Callable[[int], Awaitable[list[Dataset]]], key: str) -> list[Dataset]:
    """Every row, once.

    Args:
        read: Reads a page from an offset.
        key: Tag of the UID that tells rows apart; a row without one is left out.
    """
    found: dict[str, Dataset] = {}
    seen: set[str] = set()
    offset, restarts = 0, 0
    last: str | None = None
    before: list[str] = []
    while True:
        page = await read(offset)
        rows = {uid: it for it in page if isinstance(uid := first_value(it, key), str)}
        found |= rows
        if list(rows) == before:
            return list(found.values())  # An archive that ignores offsets.
        before = list(rows)
        if last is not None and next(iter(rows), last) != last and restarts < _MOST_RESTARTS:
            offset, last, restarts = 0, None, restarts + 1
            before = []
            seen.clear()
            continue
        if rows.keys() <= seen:
            return list(found.values())
        seen |= rows.keys()
        if len(page) < _SMALLEST_CAP:
            return list(found.values())
        *_, last = rows
        offset += len(page) - 1
