from dataclasses import replace

import pytest

from edge.sync.learning import Learning
from tests.fakes.archive import Fault


@pytest.fixture
def look(learning, archive):
    """Learns what the archive lists now."""

    async def learn():
        await learning.learn(await archive.search_studies(limit=100))

    return learn


def descents(cloud):
    return cloud.asked("/series")


async def test_a_study_that_is_no_patients_is_not_learned(ledger, archive, link, add):
    add("20240101", 1)

    async def unlisted():
        return frozenset({"1.2.3.1", "1.2.3.99"})

    add("20240101", 2)
    learning = Learning(ledger, archive, link, unlisted=unlisted)
    await learning.learn(await archive.search_studies(limit=100))
    assert set(ledger.learned) == {"1.2.3.2"}


async def test_a_study_that_is_as_it_was_is_not_looked_into(look, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    await look()
    before = descents(cloud)
    await look()
    assert descents(cloud) == before
    assert ledger.learnings == 1


async def test_a_new_instance_and_a_changed_name_are_noticed(look, ledger, cloud, slices):
    *most, last = slices
    for part in most:
        cloud.put(part.data)
    await look()
    cloud.put(last.data)
    await look()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6
    for uid, held in cloud.instances.items():
        renamed = held.attributes | {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New"}]}}
        cloud.instances[uid] = replace(held, attributes=renamed)
    await look()
    assert ledger.learnings == 3


async def test_an_archive_without_counts_is_looked_into_every_time(look, ledger, cloud, slices):
    cloud.counts = False
    cloud.put(slices[0].data)
    await look()
    cloud.put(slices[1].data)
    await look()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 2


async def test_a_study_that_was_not_listed_whole_is_looked_into_again(look, ledger, cloud, slices):
    for part in slices:
        cloud.put(part.data)
    cloud.faults["search"].extend([Fault(), Fault(), Fault(status=204)])
    await look()
    assert ledger.learned[slices[0].ref.study_uid].fingerprint == ""
    await look()
    (study,) = ledger.learned.values()
    assert len(study.series[0].instances) == 6
    assert study.fingerprint != ""


async def test_one_study_that_can_not_be_listed_stops_no_other(look, ledger, cloud, add):
    first, second = add("20240101"), add("20240102")
    cloud.faults["search"].extend([Fault(), Fault(status=400)])
    await look()
    assert set(ledger.learned) == {second}
    await look()
    assert set(ledger.learned) == {first, second}


async def test_a_study_that_is_nonsense_stops_no_other(look, ledger, cloud, add, template, caplog):
    nonsense, good = add("20240101"), add("20240102")
    learn = ledger.learn

    async def strict(study):
        if study.study_uid == nonsense:
            raise OverflowError("Synthetic^Patient is too large to convert")
        await learn(study)

    ledger.learn = strict
    await look()
    assert set(ledger.learned) == {good}
    assert "can't be used: 1 (the last: OverflowError)" in caplog.text
    assert "Synthetic" not in caplog.text


async def test_uids_that_are_none_are_left_out(look, ledger, cloud, add, template):
    add("20240101")
    bad = {"0020000D": {"vr": "UI", "Value": ["../../etc"]}}
    cloud.instances["x"] = replace(
        template, study_uid="../../etc", attributes=template.attributes | bad
    )
    await look()
    assert list(ledger.learned) == ["1.2.3.1"]
