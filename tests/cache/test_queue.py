"""The queue has the times at which its studies will be there, as far as they can be told."""

from __future__ import annotations

from types import SimpleNamespace

from edge.cache.queue import Queue
from edge.cache.status import LineState
from edge.index.database import Database
from edge.index.summary import WaitingStudy


async def test_a_study_has_its_time_if_one_is_known(tmp_path):
    async def status():
        return SimpleNamespace(line=LineState(studies=(WaitingStudy("1.1", 1, 5, eta=77.0),)))

    async with Database(tmp_path / "index.db", bytes(32)) as database:
        await database.write(fill)
        page = await Queue(database, status).page(limit=5)
        assert page.total == 2
        assert [(one.study.study_uid, one.eta) for one in page.items] == [
            ("1.1", 77.0),
            ("1.2", None),
        ]
        page = await Queue(database, status).page(limit=1, offset=1)
        assert (page.total, [one.study.study_uid for one in page.items]) == (2, ["1.2"])


def fill(db):
    for number in (1, 2):
        uid = f"1.{number}"
        db.execute("INSERT INTO studies (id, study_uid, created) VALUES (?, ?, 1.0)", (number, uid))
        db.execute(
            "INSERT INTO series (id, study_id, series_uid, created, attributes)"
            " VALUES (?, ?, ?, 1.0, '{}')",
            (number, number, f"{uid}.1"),
        )
        db.execute(
            "INSERT INTO instances (study_id, series_id, sop_uid, availability, custody, origin,"
            " received, last_used) VALUES (?, ?, ?, 'ONLINE', 'EDGE_ONLY', 'DIMSE', 1.0, 1.0)",
            (number, number, f"{uid}.1.1"),
        )
