"""What waits for the line is a question to the index, study by study."""

from __future__ import annotations

from edge.dicom.instance import Custody
from edge.index import queue
from edge.index.custody import upload_first
from tests.index.plans import Plans

NAMED = {"t00100010": ("PN", {"Alphabetic": "Novak^Petr"}), "t00100020": ("LO", "P-1")}


async def test_nothing_waits(database, new_instance, put):
    await put(new_instance(custody=Custody.VERIFIED))
    assert await queue.count(database) == 0
    assert await queue.queued(database, 10, 0) == []


async def test_a_study_waits_with_what_of_it_is_not_there_yet(database, new_instance, put):
    await put(
        new_instance(custody=Custody.VERIFIED, **NAMED),
        new_instance(custody=Custody.EDGE_ONLY),
        new_instance(custody=Custody.SENT),
        new_instance(custody=Custody.REFUSED),
    )
    (study,) = await queue.queued(database, 10, 0)
    assert (study.study_uid, study.patient_name, study.patient_id) == (
        "1.2.3",
        "Novak^Petr",
        "P-1",
    )
    assert (study.waiting, study.waiting_bytes, study.instances) == (2, 2000, 4)
    assert study.since == 1000.0


async def test_they_stand_in_the_order_in_which_they_go(database, new_instance, put):
    for number in (1, 2, 3):
        await put(new_instance(f"1.{number}", f"1.{number}.1"))
    await database.write(lambda db: upload_first(db, "1.3", True))
    found = await queue.queued(database, 10, 0)
    assert [one.study_uid for one in found] == ["1.3", "1.1", "1.2"]
    assert [one.priority for one in found] == [0, 3, 3]
    assert await queue.queued(database, 1, 1) == found[1:2]
    assert await queue.count(database) == 3


async def test_only_what_waits_is_looked_at(database):
    plans = Plans(database)
    await queue.count(plans)
    assert "SEARCH instances USING COVERING INDEX instances_by_work (custody=?)" in plans.steps
    plans.steps.clear()
    await queue.queued(plans, 10, 0)
    assert "SEARCH instances USING INDEX instances_by_work (custody=?)" in plans.steps
    assert not [step for step in plans.steps if step.startswith("SCAN instances")]
