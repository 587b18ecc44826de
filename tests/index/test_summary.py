"""The few numbers that every screen shows."""

from __future__ import annotations

from edge.dicom.instance import Custody
from edge.index.summary import summary


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
