"""A part of a bundle as sync sees it: in the order of the box; nothing leaves that is not whole."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time

import msgspec
import pytest

from edge.cache.changes import Changes
from edge.cache.ledger import Settlement, Theirs
from edge.cache.statements import Outcome, PartList, Result, decoded
from edge.crypto.sealed import CHUNK
from edge.dicom.instance import Custody
from edge.errors import InstanceNotFound, SealBroken
from edge.sync.carried import CarriedLedger, CarriedParts
from edge.sync.upload import entry_of
from tests.fakes.courier import digests, make_bundle, place, verified
from tests.samples import ct_series

BOX, HOSPITAL = place("box"), place("hospital")


@pytest.fixture
def slices():
    return [*ct_series(2, rows=700, columns=700, seed=1), *ct_series(2, rows=16, columns=16)]


@pytest.fixture
def bundle(tmp_path, slices):
    return make_bundle(tmp_path, BOX, [HOSPITAL], [slices])


@pytest.fixture
def entries(bundle):
    found, key = bundle
    _, content = key.stated("0001.list", found.read("0001.list"), [BOX.place])
    return decoded(content, PartList).entries


@pytest.fixture
def ledger(entries):
    return CarriedLedger(entries, [], Changes(), print)


@pytest.fixture
async def parts(bundle, entries, ledger):
    opened = CarriedParts(*bundle, entries, ledger)
    yield opened
    await opened.close()


async def given(parts, owed):
    async with parts.open_instance(entry_of(owed)) as opened:
        return [piece async for piece in opened.stream()]


async def owed_by(ledger):
    ledger.asked(one for series in ledger.unasked() for one in series)
    return await ledger.owed(time.time(), max_bytes=10**9, max_count=100)


async def test_nothing_is_sent_that_the_archive_was_not_asked_about(ledger):
    assert await ledger.owed(time.time(), max_bytes=10**9, max_count=9) == []
    assert [len(series) for series in ledger.unasked()] == [2, 2]


async def test_what_is_owed_comes_in_the_order_of_the_box_and_as_much_as_was_asked_for(
    ledger, slices
):
    owed = await owed_by(ledger)
    assert [one.ref for one in owed] == [one.ref for one in slices]
    now, first = time.time(), owed[0]
    (one,) = await ledger.owed(now, max_bytes=0, max_count=9)
    assert one == first
    rest = await ledger.owed(now, max_bytes=10**9, max_count=2, skip={first.instance_id})
    assert rest == owed[1:3]


async def test_an_instance_is_given_byte_for_byte(ledger, parts, slices):
    for one, owed in zip(slices, await owed_by(ledger), strict=True):
        pieces = await given(parts, owed)
        assert b"".join(pieces) == one.data
        assert max(map(len, pieces)) <= 2**20
        async with parts.open_instance(entry_of(owed)) as opened:
            assert await opened.read(100, 50) == one.data[100:150]
    stranger = dataclasses.replace(owed, instance_id=99)
    with pytest.raises(InstanceNotFound):
        await given(parts, stranger)


async def test_several_are_read_at_once(ledger, parts, slices):
    owed = await owed_by(ledger)
    found = await asyncio.gather(*(given(parts, one) for one in owed))
    assert [b"".join(pieces) for pieces in found] == [one.data for one in slices]


async def test_the_end_of_what_is_not_what_the_box_signed_never_leaves(
    bundle, entries, ledger, slices
):
    """Whoever can open a bundle can seal another part into it: the digests are what is believed."""
    lied = msgspec.structs.replace(entries[0], dataset_digest=digests(slices[1].data)[1])
    parts = CarriedParts(*bundle, [lied, *entries[1:]], ledger)
    owed = (await owed_by(ledger))[0]
    left = bytearray()

    async def send():
        nonlocal left
        async with parts.open_instance(entry_of(owed)) as opened:
            async for piece in opened.stream():
                left += piece

    with pytest.raises(SealBroken, match="not what the box listed"):
        await send()
    await parts.close()
    assert len(left) < len(slices[0].data)
    (result,) = ledger.results
    assert (result.sop_uid, result.outcome) == (slices[0].ref.sop_uid, Outcome.DAMAGED)


@pytest.mark.parametrize("damage", ["bit", "cut", "missing"])
async def test_what_the_disk_damaged_is_said_of_that_instance_alone(
    bundle, entries, ledger, parts, slices, damage
):
    path = bundle[0].path / "0001.part"
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[1000] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-1])
    else:
        path.unlink()
    ends = list(itertools.accumulate(len(one.data) for one in slices))
    last_chunk = (ends[-1] - 1) // CHUNK * CHUNK
    damaged = {
        "bit": {0},
        "cut": {number for number, end in enumerate(ends) if end > last_chunk},
        "missing": {0, 1, 2, 3},
    }[damage]
    bad = len(damaged)
    for number, owed in enumerate(await owed_by(ledger)):
        if number in damaged:
            with pytest.raises(SealBroken, match="can't be read from the disk"):
                await given(parts, owed)
        else:
            assert b"".join(await given(parts, owed)) == slices[number].data
    assert [one.outcome for one in ledger.results] == ["DAMAGED"] * bad
    assert len(await ledger.owed(time.time(), max_bytes=10**9, max_count=9)) == 4 - bad
    # What is damaged stays so, whatever else is written down of it.
    first = min(damaged) + 1
    await ledger.settle([Settlement(first, Custody.EDGE_ONLY, "again", time.time() + 9)])
    assert ledger.left == 4 - bad


async def test_every_fate_has_its_result(ledger, slices):
    first, second, third, fourth = await owed_by(ledger)
    await ledger.mark_sent([first.instance_id])
    assert ledger.results == ()
    theirs = Theirs(b"\1" * 32, "1.2.3", 7)
    await ledger.settle(
        [
            Settlement(first.instance_id, Custody.VERIFIED),
            Settlement(second.instance_id, Custody.REFUSED, "never"),
            Settlement(third.instance_id, Custody.REFUSED, "busy", time.time() + 5),
            Settlement(fourth.instance_id, Custody.CONFLICT, "other", theirs=theirs),
        ]
    )
    one, two, three, four = ledger.results
    assert (one.outcome, one.digest) == (Outcome.VERIFIED, digests(slices[0].data)[1])
    assert (two.outcome, two.words, two.lasting) == (Outcome.REFUSED, "never", True)
    assert (three.outcome, three.lasting) == (Outcome.REFUSED, False)
    assert (four.outcome, four.digest, four.length) == (Outcome.CONFLICT, b"\1" * 32, 7)
    assert ledger.left == 0


async def test_what_was_acknowledged_is_to_be_looked_at_until_it_is_verified(ledger):
    first, *_ = await owed_by(ledger)
    now = time.time()
    await ledger.settle([Settlement(first.instance_id, Custody.ACKNOWLEDGED)])
    (due,) = await ledger.unverified(now, max_count=9)
    assert due.instance_id == first.instance_id
    await ledger.settle([Settlement(first.instance_id, Custody.ACKNOWLEDGED, "later", now + 60)])
    assert await ledger.unverified(now, max_count=9) == []
    assert await ledger.next_due(now) == now + 60
    assert [one.outcome for one in ledger.results] == ["STORED"]


async def test_an_earlier_run_is_believed_in_what_it_proved(entries, slices):
    now = time.time()
    earlier = [
        verified(slices[0]),
        Result(slices[1].ref.sop_uid, Outcome.REFUSED, now),
        Result(slices[2].ref.sop_uid, Outcome.DAMAGED, now),
        Result(slices[3].ref.sop_uid, Outcome.STORED, now),
    ]
    ledger = CarriedLedger(entries, earlier, Changes(), print)
    assert ledger.results == (earlier[0],)
    assert ledger.left == 3


async def test_the_line_is_spoken_of(entries):
    said = []
    ledger = CarriedLedger(entries, [], Changes(), said.append)
    await ledger.set_archive_state("cloud", online=False, reason="no route")
    await ledger.set_archive_state("cloud", online=False, reason="no password", lasting=True)
    await ledger.set_archive_state("cloud", online=True)
    assert said == [
        "archive cloud: no route",
        "archive cloud: no password (this must be mended)",
        "",
    ]
