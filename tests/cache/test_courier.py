"""What receipts do: custody by what a pinned place saw, once, and nothing that changed since."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from edge.cache.courier import Receipts, describe, open_bundle
from edge.cache.disk import DiskUnusable, held
from edge.cache.eviction import TRUSTED
from edge.cache.ledger import Settlement
from edge.cache.statements import Outcome, Result
from edge.crypto.courier import PlaceKeys
from edge.dicom.instance import Availability, Custody
from edge.errors import SealBroken, WrongKey
from edge.index import courier, lookup, residence
from edge.index.disputes import Query, find
from tests.fakes.courier import digests, make_bundle, place, results_on, verified, write_receipt
from tests.samples import ct_series

HOSPITAL, OFFICE, THIEF = place("hospital"), place("office"), place("thief")


async def sent(cache, count=3, seed=0):
    slices = list(ct_series(count, rows=32, columns=32, seed=seed))
    for one in slices:
        await cache.send(one)
    return slices


async def row(cache, one):
    return await lookup.find_one(cache.database, one.ref.sop_uid)


async def reason(cache, one):
    rows = await cache.database.read(
        "SELECT reason, verified FROM instances WHERE sop_uid = ?", (one.ref.sop_uid,)
    )
    return rows[0]


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


@pytest.fixture
async def carried(cache, disk):
    """A box whose three instances are under way to the hospital and to the office."""
    slices = await sent(cache)
    keys = PlaceKeys(cache.keys.derive)
    bundle, key = await asyncio.to_thread(
        make_bundle, disk, keys, [HOSPITAL, OFFICE], [slices[:2], slices[2:]]
    )
    now = time.time()

    def know(db):
        courier.begin(db, bundle.number, now)
        names = [(one.ref.sop_uid, digests(one.data)[1]) for one in slices]
        courier.pack(db, bundle.number, names, now)

    await cache.database.write(know)
    receipts = Receipts(cache.database, keys, [HOSPITAL.place])

    async def receive(*results, who=HOSPITAL, number=1):
        await asyncio.to_thread(write_receipt, bundle, key, who, results, number)
        (taken,), others = await receipts.take(disk)
        assert others == 0
        return taken

    async def settle(one, custody, **more):
        found = await row(cache, one)
        await cache.ledger.settle([Settlement(found.instance_id, custody, **more)])

    return SimpleNamespace(**locals())


async def test_what_was_read_back_is_verified_from_when_it_was_read(cache, carried):
    first, second, third = carried.slices
    at = time.time() - 1000
    taken = await carried.receive(verified(first, at), verified(second, at))
    assert (taken.outcomes, taken.waiting) == ({"VERIFIED": 2}, 1)
    assert not taken.is_settled
    assert (await row(cache, first)).custody is Custody.VERIFIED
    assert (await row(cache, third)).custody is Custody.EDGE_ONLY
    assert (await reason(cache, first))[1] == pytest.approx(at)
    taken = await carried.receive(verified(third), number=2)
    assert taken.outcomes == {"VERIFIED": 1}
    assert taken.is_settled
    again = await carried.receive(verified(third), number=2)
    assert (again.outcomes, again.receipts) == ({}, 2)


async def test_a_clock_that_was_ahead_proves_nothing_for_longer(cache, carried):
    (first, *_) = carried.slices
    await carried.receive(verified(first, time.time() + 1e8))
    assert (await reason(cache, first))[1] <= time.time()


@pytest.mark.parametrize(("days", "goes"), [(1, True), (60, False)])
async def test_without_a_line_it_makes_room_as_long_as_a_verification_is_believed(
    cache, carried, days, goes
):
    (first, *_) = carried.slices
    await carried.receive(verified(first, time.time() - days * 86400))
    found = await residence.evictable(
        cache.database,
        used_before=1e12,
        verified_since=time.time() - TRUSTED,
        max_bytes=10**9,
    )
    assert bool(found) is goes


async def test_what_was_stored_and_not_read_back_is_acknowledged(cache, carried):
    (first, *_) = carried.slices
    await carried.receive(Result(first.ref.sop_uid, Outcome.STORED, time.time()))
    assert (await row(cache, first)).custody is Custody.ACKNOWLEDGED


async def test_a_later_run_betters_what_an_earlier_one_said(cache, carried):
    first, second, third = carried.slices
    now = time.time()
    before = [
        Result(one.ref.sop_uid, outcome, now)
        for one, outcome in zip(
            carried.slices, (Outcome.STORED, Outcome.REFUSED, Outcome.DAMAGED), strict=True
        )
    ]
    taken = await carried.receive(*before)
    assert taken.waiting == 1
    taken = await carried.receive(*map(verified, carried.slices))
    assert taken.outcomes == {"VERIFIED": 3}
    for one in (first, second, third):
        assert (await row(cache, one)).custody is Custody.VERIFIED
    assert (await carried.receive(*before)).outcomes == {}
    assert (await row(cache, second)).custody is Custody.VERIFIED


async def test_an_old_refusal_undoes_no_decision(cache, carried):
    (first, *_) = carried.slices
    refused = Result(first.ref.sop_uid, Outcome.REFUSED, time.time(), words="no")
    await carried.receive(refused)
    await carried.settle(first, Custody.EDGE_ONLY)  # a person has it offered again
    await carried.receive(refused)
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY


async def test_what_was_stored_and_then_missing_over_the_line_is_not_bettered(cache, carried):
    (first, *_) = carried.slices
    await carried.receive(Result(first.ref.sop_uid, Outcome.STORED, time.time()))
    seen = verified(first)
    await carried.settle(first, Custody.EDGE_ONLY)
    await carried.settle(first, Custody.ACKNOWLEDGED)
    await carried.receive(seen)
    assert (await row(cache, first)).custody is Custody.ACKNOWLEDGED


async def test_what_was_refused_is_a_dead_letter_with_the_words(cache, carried):
    first, second, _ = carried.slices
    now = time.time()
    await carried.receive(
        Result(first.ref.sop_uid, Outcome.REFUSED, now, words="reason A900: no such class"),
        Result(second.ref.sop_uid, Outcome.REFUSED, now, words="busy", lasting=False),
    )
    for one in (first, second):
        assert (await row(cache, one)).custody is Custody.REFUSED
    assert (await reason(cache, first))[0] == "reason A900: no such class"
    letters = await find(cache.database, Custody.REFUSED, Query())
    assert {letter.ref.sop_uid for letter in letters} == {first.ref.sop_uid, second.ref.sop_uid}
    # The one is for a person; the other is offered again by itself, and packed again.
    waiting, _ = await courier.waiting(cache.database, [], again=False)
    ids = {one.instance_id for one in waiting}
    assert ids == {(await row(cache, second)).instance_id}


async def test_other_bytes_in_the_archive_are_a_conflict_that_shows_both(cache, carried):
    (first, *_) = carried.slices
    theirs = Result(
        first.ref.sop_uid,
        Outcome.CONFLICT,
        time.time(),
        digest=b"\7" * 32,
        words="the archive has other bytes",
        transfer_syntax="1.2.840.10008.1.2.1",
        length=77,
    )
    await carried.receive(theirs)
    (found,) = await find(cache.database, Custody.CONFLICT, Query())
    assert (found.theirs.digest, found.theirs.content_bytes) == (b"\7" * 32, 77)


async def test_what_the_disk_damaged_stays_as_it_was_and_is_packed_again(cache, carried):
    (first, *_) = carried.slices
    await carried.receive(Result(first.ref.sop_uid, Outcome.DAMAGED, time.time()))
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY
    waiting, _ = await courier.waiting(cache.database, [], again=False)
    assert [one.instance_id for one in waiting] == [(await row(cache, first)).instance_id]


async def test_what_one_place_could_not_read_another_may_have_delivered(cache, carried):
    (first, *_) = carried.slices
    carried.receipts._recipients = (HOSPITAL.place, OFFICE.place)
    damaged = Result(first.ref.sop_uid, Outcome.DAMAGED, time.time())
    for who, other in ((HOSPITAL, OFFICE), (OFFICE, HOSPITAL)):
        await asyncio.to_thread(write_receipt, carried.bundle, carried.key, who, [damaged])
        await asyncio.to_thread(
            write_receipt, carried.bundle, carried.key, other, [verified(first)]
        )
    await carried.receipts.take(carried.disk)
    assert (await row(cache, first)).custody is Custody.VERIFIED


# What changed since -------------------------------------------------------------------------------


@pytest.mark.parametrize("custody", [Custody.ACKNOWLEDGED, Custody.VERIFIED, Custody.CONFLICT])
@pytest.mark.parametrize("outcome", [Outcome.VERIFIED, Outcome.REFUSED, Outcome.CONFLICT])
async def test_what_the_archive_said_over_the_line_wins(cache, carried, custody, outcome):
    (first, *_) = carried.slices
    await carried.settle(first, custody)
    digest = digests(first.data)[1]
    taken = await carried.receive(Result(first.ref.sop_uid, outcome, time.time(), digest=digest))
    assert (await row(cache, first)).custody is custody
    assert taken.outcomes == {}


async def test_what_the_archive_had_and_lost_is_not_verified_by_an_old_receipt(cache, carried):
    (first, *_) = carried.slices
    seen = verified(first)
    await carried.settle(first, Custody.VERIFIED)
    await cache.ledger.doubt([(await row(cache, first)).instance_id])
    await carried.receive(seen)
    assert (await row(cache, first)).custody is Custody.SENT
    # Nor is it by the same receipt a second time.
    _, second, _ = carried.slices
    await carried.receive(verified(second))
    await cache.ledger.doubt([(await row(cache, second)).instance_id])
    await carried.receive(verified(second))
    assert (await row(cache, second)).custody is Custody.SENT


async def test_an_upload_may_be_under_way_so_what_is_sent_is_acknowledged_only(cache, carried):
    (first, *_) = carried.slices
    await cache.ledger.mark_sent([(await row(cache, first)).instance_id])
    taken = await carried.receive(verified(first))
    assert (await row(cache, first)).custody is Custody.ACKNOWLEDGED
    # And it is not said to be more than that; nor is anything else awaited of the disk.
    assert taken.outcomes == {"STORED": 1}
    assert taken.waiting == 2
    assert (await carried.receive(verified(first))).outcomes == {}


async def test_bytes_that_are_others_now_are_not_vouched_for(cache, carried):
    (first, *_) = carried.slices
    await cache.database.write(
        lambda db: db.execute(
            "UPDATE instances SET dataset_digest = ? WHERE sop_uid = ?",
            (b"\1" * 32, first.ref.sop_uid),
        )
    )
    taken = await carried.receive(verified(first))
    assert taken.outcomes == {"CHANGED": 1}
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY
    waiting, _ = await courier.waiting(cache.database, [], again=False)
    assert len(waiting) == 1


async def test_a_receipt_that_shows_another_digest_is_not_believed(cache, carried):
    first, second, _ = carried.slices
    other = digests(second.data)[1]
    said = Result(first.ref.sop_uid, Outcome.VERIFIED, time.time(), digest=other)
    assert (await carried.receive(said)).outcomes == {}
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY


async def test_what_was_deleted_here_meanwhile_stays_deleted(cache, carried):
    (first, *_) = carried.slices
    await cache.deletion.delete(first.ref.study_uid, first.ref.series_uid, first.ref.sop_uid)
    assert (await carried.receive(verified(first))).outcomes == {}
    assert await row(cache, first) is None


async def test_what_was_lost_here_meanwhile_can_be_had_from_the_archive(cache, carried):
    (first, *_) = carried.slices
    name = (await row(cache, first)).object
    await cache.database.write(lambda db: residence.lose(db, [name]))
    assert (await row(cache, first)).availability is Availability.UNAVAILABLE
    await carried.receive(verified(first))
    found = await row(cache, first)
    assert (found.availability, found.custody) == (Availability.NEARLINE, Custody.VERIFIED)


# Whose they are -----------------------------------------------------------------------------------


async def test_a_receipt_of_nobody_that_is_named_moves_nothing_and_is_said(cache, carried):
    (first, *_) = carried.slices
    for who in (OFFICE, THIEF):
        taken = await carried.receive(verified(first), who=who)
    assert taken.receipts == 0
    assert len(taken.troubles) == 2
    assert "not believed" in taken.troubles[0]
    assert not taken.is_settled
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY


async def test_a_receipt_that_was_changed_or_cut_moves_nothing(cache, carried, disk):
    (first, *_) = carried.slices
    (name,) = await asyncio.to_thread(_written, carried, first)
    path = carried.bundle.path / name
    whole = path.read_bytes()
    for data in (whole[:-1], b"", whole[:100] + b"\0" + whole[101:], whole + b"\0"):
        path.write_bytes(data)
        ((taken,), _) = await carried.receipts.take(disk)
        assert "can't be read" in taken.troubles[0]
    # Nor is one of this part believed of another.
    path.rename(path.with_name(name.replace("0001", "0002")))
    path.with_name(name.replace("0001", "0002")).write_bytes(whole)
    ((taken,), _) = await carried.receipts.take(disk)
    assert taken.receipts == 0
    assert (await row(cache, first)).custody is Custody.EDGE_ONLY


def _written(carried, one):
    write_receipt(carried.bundle, carried.key, HOSPITAL, [verified(one)])
    return carried.bundle.receipts()


async def test_the_disk_of_another_box_is_left_alone(cache, carried, disk):
    slices = carried.slices
    other = place("another box")
    bundle, key = await asyncio.to_thread(make_bundle, disk, other, [HOSPITAL], [slices])
    await asyncio.to_thread(write_receipt, bundle, key, HOSPITAL, map(verified, slices))
    before = sorted(path.name for path in bundle.path.iterdir())
    taken, others = await carried.receipts.take(disk)
    assert ([one.bundle for one in taken], others) == ([carried.bundle.number], 1)
    await carried.receipts.delete(disk, carried.bundle.number)
    assert sorted(path.name for path in bundle.path.iterdir()) == before
    for one in slices:
        assert (await row(cache, one)).custody is Custody.EDGE_ONLY


async def test_a_receipt_for_another_box_does_not_count_here_though_it_is_in_our_folder(
    cache, carried, disk
):
    """The same images, sent to two boxes: each has its own bundle."""
    slices = carried.slices
    bundle, key = await asyncio.to_thread(
        make_bundle, disk, place("another box"), [HOSPITAL], [slices]
    )
    await asyncio.to_thread(write_receipt, bundle, key, HOSPITAL, map(verified, slices))
    (name,) = await asyncio.to_thread(bundle.receipts)
    (bundle.path / name).rename(carried.bundle.path / name)
    (taken,), _ = await carried.receipts.take(disk)
    assert taken.receipts == 0
    assert (await row(cache, slices[0])).custody is Custody.EDGE_ONLY


# An index that was made anew, and the end ---------------------------------------------------------


async def test_a_bundle_that_the_index_does_not_know_any_more_is_known_from_the_disk(
    cache, carried
):
    await cache.database.write(lambda db: db.execute("DELETE FROM courier"))
    await cache.database.write(lambda db: db.execute("DELETE FROM courier_bundles"))
    first, second, third = carried.slices
    await carried.settle(second, Custody.ACKNOWLEDGED)
    taken = await carried.receive(verified(first), verified(second))
    assert (taken.outcomes, taken.waiting) == ({"VERIFIED": 1}, 1)
    assert (await row(cache, first)).custody is Custody.VERIFIED
    assert (await row(cache, second)).custody is Custody.ACKNOWLEDGED
    assert (await row(cache, third)).custody is Custody.EDGE_ONLY


async def test_a_copy_of_a_disk_whose_bundle_was_closed_counts_no_more(cache, carried, disk):
    first, *rest = carried.slices
    await carried.receive(verified(first))
    await carried.receipts.delete(disk, carried.bundle.number)
    assert list(disk.iterdir()) == []
    copy, key = await asyncio.to_thread(
        make_bundle, disk, carried.keys, [HOSPITAL], [carried.slices]
    )
    await cache.database.write(lambda db: courier.begin(db, copy.number, 1.0))
    await cache.database.write(lambda db: courier.close(db, copy.number, 2.0))
    await asyncio.to_thread(write_receipt, copy, key, HOSPITAL, map(verified, rest))
    ((taken,), _) = await carried.receipts.take(disk)
    assert (taken.outcomes, taken.is_settled) == ({}, True)
    assert (await row(cache, rest[0])).custody is Custody.EDGE_ONLY


# What is on a disk --------------------------------------------------------------------------------


async def test_a_disk_says_what_is_on_it_only_to_those_who_can_open_it(carried, disk):
    (first, *_) = carried.slices
    await carried.receive(verified(first))

    def seen(who, *known):
        (found,) = describe(disk, who, known)
        return found

    found = await asyncio.to_thread(seen, HOSPITAL, carried.keys.place)
    assert (found.box, found.images, found.is_complete) == ("clinic", 3, True)
    assert (found.by, found.delivered) == (carried.keys.place.fingerprint, {"VERIFIED": 1})
    ours = await asyncio.to_thread(seen, carried.keys, HOSPITAL.place)
    assert (ours.is_ours, ours.images) == (True, 3)
    # One that it is sealed for, and that does not know the box.
    stranger = await asyncio.to_thread(seen, OFFICE)
    assert (stranger.is_open, stranger.images) == (True, 0)
    assert carried.keys.place.fingerprint in stranger.trouble
    thief = await asyncio.to_thread(seen, THIEF)
    assert (thief.is_open, thief.box, thief.images, thief.parts) == (False, "", 0, 2)
    assert "sealed for another place" in thief.trouble


async def test_one_damaged_envelope_costs_nothing(carried):
    for name, other in (("key", "key.copy"), ("key.copy", "key")):
        path = carried.bundle.path / name
        whole = path.read_bytes()
        path.write_bytes(whole[:50] + bytes(50) + whole[100:])
        _, key = await asyncio.to_thread(open_bundle, carried.bundle, HOSPITAL)
        assert key == carried.key
        with pytest.raises(WrongKey):
            await asyncio.to_thread(open_bundle, carried.bundle, THIEF)
        path.write_bytes(whole)
        assert (carried.bundle.path / other).exists()
    for name in ("key", "key.copy"):
        (carried.bundle.path / name).unlink()
    with pytest.raises(SealBroken, match="both envelopes"):
        await asyncio.to_thread(open_bundle, carried.bundle, HOSPITAL)
    assert await asyncio.to_thread(results_on, carried.bundle, carried.key, HOSPITAL) == {}


async def test_a_bundle_with_links_in_it_is_called_damaged_and_hides_no_other(
    carried, disk, tmp_path
):
    other, _ = await asyncio.to_thread(make_bundle, disk, HOSPITAL, [OFFICE], [[]])
    (carried.bundle.path / "0002.part").unlink()
    (carried.bundle.path / "0002.part").symlink_to("/nonexistent")
    (other.path / "key").unlink()
    (other.path / "key").symlink_to(tmp_path)
    found = {one.bundle: one for one in await asyncio.to_thread(describe, disk, HOSPITAL, [])}
    assert found.keys() == {carried.bundle.number, other.number}
    assert "damaged: 0002.part is no file" in found[carried.bundle.number].trouble
    assert found[other.number].is_ours
    assert "damaged: key is no file" in found[other.number].trouble


async def test_what_is_no_file_of_a_bundle_is_told_and_deleting_can_be_repeated(
    cache, carried, disk
):
    number = carried.bundle.number
    in_the_way = carried.bundle.path / "0007.part"
    (in_the_way / "photos").mkdir(parents=True)
    assert await carried.receipts.delete(disk, number) == ["0007.part"]
    (again,), others = await carried.receipts.take(disk)
    assert (again.bundle, again.is_settled, others) == (number, True, 0)
    (in_the_way / "photos").rmdir()
    assert await carried.receipts.delete(disk, number) == []
    assert await asyncio.to_thread(lambda: list(disk.iterdir())) == []


async def test_receipts_wait_for_no_other_process_but_say_that_there_is_one(carried, disk):
    async with held(disk):
        for doing in (carried.receipts.take(disk), carried.receipts.delete(disk, "no such")):
            with pytest.raises(DiskUnusable, match="in use by another"):
                await doing
