"""Days are those of the clock on the wall; each is there, also if nothing happened on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from edge.cache.history import Day, History
from edge.index.database import Database

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


async def note(database, moment, **counts):
    names = ", ".join(counts)
    await database.write(
        lambda db: db.execute(
            f"INSERT INTO history (quarter, {names}) VALUES (?, {', '.join('?' * len(counts))})",
            (int(moment.timestamp()) // 900, *counts.values()),
        )
    )


def history(database, zone=UTC):
    return History(database, NOW.timestamp, zone)


async def test_every_day_is_there_and_today_is_the_last(database):
    days = await history(database).days(3)
    assert days == [Day("2026-11-27"), Day("2026-11-28"), Day("2026-11-29")]


async def test_what_happened_stands_with_its_day(database):
    await note(database, NOW, came=2, came_bytes=20, refused=1)
    await note(database, NOW - timedelta(hours=1), came=1, came_bytes=10, safe=3, safe_bytes=30)
    await note(database, NOW - timedelta(days=1), safe=4, safe_bytes=40)
    await note(database, NOW - timedelta(days=2), came=9)
    assert await history(database).days(2) == [
        Day("2026-11-28", safe=4, safe_bytes=40),
        Day("2026-11-29", came=3, came_bytes=30, safe=3, safe_bytes=30, refused=1),
    ]


@pytest.mark.parametrize(("hours", "day"), [(5.75, 1), (-9.5, 0), (14, 0), (-12, 1)])
async def test_days_begin_where_the_box_stands(database, hours, day):
    """The last quarter of a day of UTC is of the day after in Kathmandu, and not in Hawaii."""
    await note(database, NOW - timedelta(hours=12, minutes=15), came=1)
    zone = timezone(timedelta(hours=hours))
    days = History(database, lambda: NOW.timestamp() - 3600, zone).days
    assert [one.came for one in await days(2)].index(1) == day
