"""What is proposed to a destination, and who has to wait."""

import asyncio

from edge.cache.opened import InstanceEntry
from edge.dicom.instance import Availability, InstanceRef
from edge.dimse.carrying import Turns, planned
from tests.dimse import raw

CT, MR = raw.CT, "1.2.840.10008.5.1.4.1.1.4"
JPEG = "1.2.840.10008.1.2.4.70"


def entry(number, sop_class=CT, syntax=raw.EXPLICIT):
    return InstanceEntry(
        instance_id=number,
        ref=InstanceRef("1.1", "1.2", f"1.3.{number}"),
        sop_class_uid=sop_class,
        transfer_syntax=syntax,
        size=0,
        number_of_frames=1,
        availability=Availability.ONLINE,
    )


def proposed(plan):
    return [(it.abstract_syntax, it.transfer_syntaxes) for it in plan[0]]


def test_each_class_is_proposed_as_it_is_stored_and_plain_each_in_a_context_of_its_own():
    entries = [entry(1), entry(2, syntax=JPEG), entry(3, MR, raw.IMPLICIT)]
    [plan] = planned(entries)
    assert proposed(plan) == [
        (CT, (raw.EXPLICIT,)),
        (CT, (raw.IMPLICIT,)),
        (CT, (JPEG,)),
        (MR, (raw.IMPLICIT,)),
        (MR, (raw.EXPLICIT,)),
    ]
    assert plan[1] == entries


def test_what_never_was_here_is_proposed_in_every_usual_syntax():
    [plan] = planned([entry(1, syntax="")])
    syntaxes = [syntax for _, (syntax,) in proposed(plan)]
    assert {raw.EXPLICIT, raw.IMPLICIT, JPEG, "1.2.840.10008.1.2.4.90"} <= set(syntaxes)
    assert len(syntaxes) == len(set(syntaxes)) > 10


def test_more_contexts_than_an_association_has_make_several():
    entries = [entry(number, f"1.2.3.{number % 50}", JPEG) for number in range(200)]
    plans = planned(entries)
    assert [len(proposals) for proposals, _ in plans] == [126, 24]
    assert sorted(one.instance_id for _, part in plans for one in part) == list(range(200))
    for proposals, part in plans:
        assert {one.sop_class_uid for one in part} == {it.abstract_syntax for it in proposals}


async def test_a_slow_destination_takes_its_own_turns_only():
    turns, ran = Turns(total=3, each=2), []
    gate = asyncio.Event()

    async def move(to, wait):
        async with turns.turn(to):
            ran.append(to)
            if wait:
                await gate.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(move("SLOW", True))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            for _ in range(3):
                await move("QUICK", False)
        assert ran == ["SLOW", "SLOW", "QUICK", "QUICK", "QUICK"]
        gate.set()
    assert len(ran) == 8
    assert not turns._destinations


async def test_so_many_move_at_a_time_wherever_they_go():
    turns, at_once, most = Turns(total=3, each=2), 0, 0

    async def move(number):
        nonlocal at_once, most
        async with turns.turn(f"DEST{number}"):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(9):
            group.create_task(move(number))
    assert most == 3


async def test_who_gives_up_waiting_leaves_nothing_behind():
    turns = Turns(total=1, each=1)
    async with turns.turn("A"):
        try:
            async with asyncio.timeout(0.01), turns.turn("A"):
                raise AssertionError("it had no turn")
        except TimeoutError:
            pass
    async with asyncio.timeout(5), turns.turn("A"):
        pass
    assert not turns._destinations
