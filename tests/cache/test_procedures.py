"""Performed procedure steps, kept: over a real index."""

from __future__ import annotations

import asyncio

import pytest

from edge.cache import procedures as module
from edge.cache.changes import Changes
from edge.cache.outbox import Outbox
from edge.cache.procedures import Procedures
from edge.dicom.identifier import read_identifier, write_identifier
from edge.dicom.instance import InstanceRef
from edge.dicom.procedure import Fault, StepState
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.errors import DecisionRefused, StepRefused
from edge.index.database import Database
from tests.dimse.steps import beginning, ending, json_of

BEGIN, END = json_of(beginning()), json_of(ending())


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


@pytest.fixture
def keeper(database):
    return lambda **options: Procedures(database, Changes(), **options)


async def test_the_worklist_hears_of_each_scheduled_step_and_its_trouble_is_not_the_devices(
    keeper,
):
    heard = []

    async def tell(scheduled, state):
        heard.append((scheduled.step_id, scheduled.accession_number, state))
        raise DecisionRefused("no such step")

    steps = keeper(tell=tell)
    await steps.create("1.1", BEGIN, "CT1")
    await steps.change("1.1", END)
    assert heard == [("S1", "A1", StepState.IN_PROGRESS), ("S1", "A1", StepState.COMPLETED)]
    await steps.repeat()
    assert heard[2:] == [("S1", "A1", StepState.COMPLETED)]


async def test_who_said_it_is_not_told_what_it_said(keeper, database):
    steps = keeper(forward_to=["RIS", "EDGE2", "RIS"])
    await steps.create("1.1", BEGIN, "EDGE2")
    await steps.change("1.1", END)
    (step,) = (await steps.page()).items
    assert [(one.peer, one.waiting) for one in step.told] == [("RIS", 2)]


async def test_who_did_not_hear_the_beginning_does_not_hear_the_rest(keeper, database):
    await keeper().create("1.1", BEGIN, "CT1")
    await keeper(forward_to=["RIS"]).change("1.1", END)
    assert (await Outbox(database, Changes()).counts()).waiting == 0


async def test_two_changes_at_once_lose_nothing(keeper):
    steps = keeper()
    await steps.create("1.1", BEGIN, "CT1")
    await asyncio.gather(
        *(
            steps.change("1.1", {tag: {"vr": "LO", "Value": [tag]}})
            for tag in ("00400254", "00400255", "00400280")
        )
    )
    step = await steps.attributes("1.1")
    assert [step[tag]["Value"] for tag in ("00400254", "00400255", "00400280")] == [
        ["00400254"],
        ["00400255"],
        ["00400280"],
    ]


async def test_of_two_that_begin_under_one_uid_one_does(keeper):
    steps = keeper(forward_to=["RIS"])
    done = await asyncio.gather(
        *(steps.create("1.1", BEGIN, "CT1") for _ in range(2)), return_exceptions=True
    )
    (refused,) = [one for one in done if isinstance(one, StepRefused)]
    assert refused.fault == Fault.DUPLICATE
    assert (await steps.page()).items[0].told[0].waiting == 1


async def test_there_is_a_bound_of_their_number_and_length(keeper, monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 1)
    steps = keeper()
    await steps.create("1.1", BEGIN, "CT1")
    with pytest.raises(StepRefused) as refused:
        await steps.create("1.2", BEGIN, "CT1")
    assert refused.value.fault == Fault.FULL
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(StepRefused) as refused:
        await steps.change("1.1", END)
    assert refused.value.fault == Fault.FULL
    assert (await steps.page()).items[0].state == StepState.IN_PROGRESS


async def test_a_step_of_thousands_of_images_names_each_of_them(keeper, database):
    refs = [InstanceRef("1.2.3", f"1.3.{n // 500}", f"1.4.{n}") for n in range(5000)]
    steps = keeper()
    await steps.create("1.1", BEGIN, "CT1")
    await steps.change("1.1", json_of(ending(refs)))
    (step,) = (await steps.page()).items
    assert (step.instances, step.missing) == (5000, 5000)
    again = write_identifier(await steps.attributes("1.1"), EXPLICIT_VR_LITTLE_ENDIAN)
    assert read_identifier(again, EXPLICIT_VR_LITTLE_ENDIAN)["00400252"]["Value"] == ["COMPLETED"]


async def test_steps_of_long_ago_are_forgotten(keeper, database):
    now = [1e9]
    steps = keeper(clock=lambda: now[0])
    await steps.create("1.1", BEGIN, "CT1")
    now[0] += 100 * 86400
    await steps.create("1.2", BEGIN, "CT1")
    now[0] += 100 * 86400
    await steps.tidy()
    assert [one.sop_uid for one in (await steps.page()).items] == ["1.2"]
    assert await database.read("SELECT count(*) FROM procedure_studies") == [(1,)]


async def test_pages_are_of_one_study_if_it_is_named(keeper):
    steps = keeper()
    for number in range(3):
        await steps.create(f"1.{number}", json_of(beginning(f"9.{number}")), "CT1")
    assert (await steps.page(limit=2)).total == 3
    assert [one.sop_uid for one in (await steps.page(study_uid="9.1")).items] == ["1.1"]
    assert (await steps.page(study_uid="9.1")).total == 1
