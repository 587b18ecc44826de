"""The few numbers that every screen shows."""

from __future__ import annotations

from edge.dicom.instance import Custody
from edge.index.custody import Primary, upload_first
from edge.index.summary import summary, waiting_studies
from tests.index.plans import Plans


async def test_an_empty_index_counts_nothing(database):
    numbers = await summary(database)
    assert (numbers.studies, numbers.instances, numbers.custody) == (0, 0, {})


async def test_numbers_follow_the_rows(database, new_instance, put):
    await put(
        new_instance(study="1.1"),
        new_instance(study="1.1", custody=Custody.VERIFIED),
        new_instance(study="1.2", custody=Custody.VERIFIED),
    )
    numbers = await summary(database)
    assert (numbers.studies, numbers.studies_only_here) == (2, 1)
    assert (numbers.instances, numbers.instances_online) == (3, 3)
    assert numbers.custody == {"EDGE_ONLY": 1, "VERIFIED": 2}
    assert numbers.backlog_bytes == 1000
    assert numbers.sealed_bytes == 3300


async def test_the_studies_that_wait_are_named_in_the_order_in_which_they_go(
    database, new_instance, put
):
    stat = {"t00401003": ("SH", "STAT")}
    await put(new_instance("1.1"), new_instance("1.2", "1.2.1"), new_instance("1.3", "1.3.1"))
    await put(new_instance("1.4", "1.4.1", **stat), new_instance("1.5", "1.5.1"))
    # One urgent image has its study go first, and the first study that came is the first again.
    await put(new_instance("1.3", "1.3.1", **stat), new_instance("1.1"))

    async def named():
        waiting = await waiting_studies(database, 10)
        turn = await Primary().unsent(database, 2000.0, 100)
        assert [one.study_uid for one in waiting] == list(
            dict.fromkeys(row.ref.study_uid for row in turn)
        )
        return [(one.study_uid, one.instances, one.bytes) for one in waiting]

    routine = [("1.1", 2, 2000), ("1.2", 1, 1000), ("1.5", 1, 1000)]
    assert await named() == [("1.3", 2, 2000), ("1.4", 1, 1000), *routine]
    await database.write(lambda db: upload_first(db, "1.5", True))
    assert [uid for uid, _, _ in await named()] == ["1.5", "1.3", "1.4", "1.1", "1.2"]
    await database.write(lambda db: upload_first(db, "1.3", True))
    await database.write(lambda db: upload_first(db, "1.3", False))
    assert [uid for uid, _, _ in await named()] == ["1.5", "1.4", "1.1", "1.2", "1.3"]


async def test_only_what_waits_is_looked_at_for_the_studies_that_do(database):
    plans = Plans(database)
    assert await waiting_studies(plans, 10) == []
    assert "SEARCH instances USING INDEX instances_by_work (custody=?)" in plans.steps
