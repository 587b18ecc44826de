"""Delivery: all of it into the archive, once, read back, receipted; whatever befell the disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random

import pytest

from edge import config, others
from edge.cache.bundle import Bundle
from edge.cache.disk import held
from edge.cache.parts import PartWriter
from edge.cache.statements import Outcome
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.transport import Timeouts
from edge.crypto.sealed import Algorithm
from edge.errors import EdgeError, StorageFull
from edge.sync.courier import Delivery
from tests.fakes.archive import Fault, Refusal
from tests.fakes.courier import digests, make_bundle, place, results_on
from tests.samples import ct_series
from tests.sync.conftest import SETTINGS, until

BOX, HOSPITAL, OFFICE, THIEF = map(place, ("box", "hospital", "office", "thief"))


@pytest.fixture
def slices():
    return [*ct_series(4, rows=64, columns=64, seed=1), *ct_series(2, rows=300, columns=300)]


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    return path


@pytest.fixture
def carried(disk, slices):
    """A bundle of two parts."""
    return make_bundle(disk, BOX, [HOSPITAL, OFFICE], [slices[:3], slices[3:]])


@pytest.fixture
def deliver(archive, disk):
    async def run(*, who=HOSPITAL, senders=(BOX,), where="cloud url", patience=20.0, **options):
        delivery = Delivery(
            archive,
            where,
            SETTINGS,
            who,
            [one.place for one in senders],
            place="hospital",
            patience=patience,
            **options,
        )
        return await delivery.deliver(disk)

    return run


async def results(carried, who=HOSPITAL):
    return await asyncio.to_thread(results_on, *carried, who)


def uid(one):
    return one.ref.sop_uid


async def test_everything_is_delivered_read_back_and_receipted(cloud, carried, deliver, slices):
    (done,) = await deliver()
    assert (done.box, done.images, done.left, done.is_complete) == ("clinic", 6, 0, True)
    assert (done.outcomes, done.troubles) == ({"VERIFIED": 6}, [])
    assert {name: held.part10 for name, held in cloud.instances.items()} == {
        uid(one): one.data for one in slices
    }
    found = await results(carried)
    assert {name: result.digest for name, result in found.items()} == {
        uid(one): digests(one.data)[1] for one in slices
    }


async def test_delivered_twice_it_is_sent_once(cloud, carried, deliver, slices):
    await deliver()
    requests = len(cloud.requests)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}
    assert len(cloud.requests) == requests
    # Another place, to which the same disk was carried, asks; it sends nothing.
    (done,) = await deliver(who=OFFICE)
    assert done.outcomes == {"VERIFIED": 6}
    assert set(cloud.received.values()) == {1}


async def test_what_came_by_the_line_meanwhile_is_not_sent_again(cloud, carried, deliver, slices):
    for one in slices[:4]:
        cloud.put(one.data)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}
    assert set(cloud.received) == {uid(one) for one in slices[4:]}


async def test_the_archives_words_go_into_the_receipt(cloud, carried, deliver, slices):
    cloud.refusals[uid(slices[0])] = Refusal(0xA900, "no such class here")
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 5, "REFUSED": 1}
    result = (await results(carried))[uid(slices[0])]
    assert "no such class here" in result.words
    assert result.lasting
    # What was refused is offered again by the next run: it may be mended there.
    cloud.refusals.clear()
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}


async def test_other_bytes_in_the_archive_are_a_conflict(cloud, carried, deliver, slices):
    other = next(ct_series(1, rows=64, columns=64, seed=99))
    data = other.data.replace(uid(other).encode(), uid(slices[0]).encode())
    if len(uid(other)) != len(uid(slices[0])):
        pytest.skip("these samples have UIDs of other lengths")
    for kind in ("study_uid", "series_uid"):
        mine, theirs = getattr(slices[0].ref, kind), getattr(other.ref, kind)
        if len(mine) != len(theirs):
            pytest.skip("these samples have UIDs of other lengths")
        data = data.replace(theirs.encode(), mine.encode())
    cloud.put(data)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 5, "CONFLICT": 1}
    result = (await results(carried))[uid(slices[0])]
    assert result.digest == digests(data)[1]
    assert cloud.instances[uid(slices[0])].part10 == data


async def test_an_archive_that_says_yes_and_gives_nothing_back_is_no_proof(
    cloud, carried, deliver, slices
):
    cloud.broken.add(uid(slices[5]))
    (done,) = await deliver(patience=3.0)
    found = await results(carried)
    assert done.outcomes["VERIFIED"] >= 4
    assert found.get(uid(slices[5])) is None or found[uid(slices[5])].outcome is Outcome.STORED
    cloud.broken.clear()
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}


# A line and a run that are cut --------------------------------------------------------------------


async def test_a_line_that_breaks_costs_time_and_nothing_else(cloud, carried, deliver):
    cloud.faults["store"].extend([Fault(cut_request=2000), Fault(commit=True, cut_answer=0)])
    cloud.faults["retrieve"].append(Fault(cut_answer=3000))
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}


async def test_it_waits_for_an_archive_that_is_away_and_says_so(cloud, carried, deliver):
    told = []
    await cloud.stop()
    delivering = asyncio.ensure_future(deliver(progress=lambda *how: told.append(how)))
    await until(lambda: any("archive cloud: " in words for _, _, words in told), seconds=30)
    await cloud.start()
    (done,) = await delivering
    assert done.outcomes == {"VERIFIED": 6}


async def test_it_ends_if_nothing_moves(cloud, carried, deliver):
    await cloud.stop()
    (done,) = await deliver(patience=1.0)
    assert (done.left, done.outcomes) == (6, {})


@pytest.mark.parametrize("seed", range(4))
async def test_a_run_that_was_ended_anywhere_is_gone_on_with(cloud, carried, deliver, slices, seed):
    cloud.faults["store"].extend([Fault(hang=0.05)] * 20)
    delivering = asyncio.ensure_future(deliver(save_every=0.0))
    await asyncio.sleep(random.Random(seed).uniform(0.02, 0.6))
    delivering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await delivering
    kept = await results(carried)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}
    assert len(cloud.instances) == 6
    found = await results(carried)
    for name, result in kept.items():
        if result.outcome is Outcome.VERIFIED:
            assert found[name] == result


async def test_credentials_that_are_wrong_are_waited_for_like_a_line(cloud, carried, deliver):
    cloud.authorization = "Basic of somebody else"
    (done,) = await deliver(patience=1.0)
    assert done.left == 6


# Whose it is --------------------------------------------------------------------------------------


async def test_nothing_of_a_box_that_is_not_named_is_delivered(cloud, carried, deliver):
    for senders in ((), (THIEF,), (HOSPITAL,)):
        (done,) = await deliver(senders=senders)
        assert done.stranger == BOX.place
        assert not done.outcomes
    assert cloud.requests == []
    assert await results(carried) == {}


async def test_nothing_for_others_is_delivered(cloud, carried, deliver):
    (done,) = await deliver(who=THIEF)
    assert "sealed for another place" in done.troubles[0]
    (done,) = await deliver(who=BOX)
    assert done.is_ours
    assert cloud.requests == []


async def test_a_key_that_a_recipient_passed_on_makes_nobody_a_recipient(
    cloud, deliver, disk, slices
):
    await asyncio.to_thread(make_bundle, disk, BOX, [HOSPITAL], [slices], listed_for=[OFFICE])
    (done,) = await deliver()
    assert "not for this place" in done.troubles[0]
    assert cloud.requests == []


async def test_receipts_into_another_archive_count_for_nothing(cloud, carried, deliver):
    await deliver()
    cloud.instances.clear()
    (done,) = await deliver(where="another url")
    assert done.outcomes == {"VERIFIED": 6}
    assert len(cloud.instances) == 6


# What the disk went through -----------------------------------------------------------------------


async def test_a_byte_that_changed_in_any_file_delivers_nothing_false(
    cloud, carried, deliver, slices
):
    bundle, _ = carried
    true = {uid(one): one.data for one in slices}
    rest = random.Random(5)
    for path in sorted(bundle.path.iterdir()):
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, rest.randrange(len(whole)), rest.randrange(len(whole))}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            await deliver(patience=5.0)
            for name, kept in cloud.instances.items():
                assert kept.part10 == true[name]
            for one in (await results(carried)).values():
                assert one.outcome in (Outcome.VERIFIED, Outcome.DAMAGED)
            for name in await asyncio.to_thread(bundle.receipts):
                (bundle.path / name).unlink()
        path.write_bytes(whole)
    (done,) = await deliver()
    assert (done.outcomes, done.troubles) == ({"VERIFIED": 6}, [])


async def test_a_damaged_instance_is_receipted_as_such_and_stalls_no_other(
    cloud, carried, deliver, slices
):
    bundle, _ = carried
    path = bundle.path / "0002.part"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 5, "DAMAGED": 1}
    assert (await results(carried))[uid(slices[-1])].outcome is Outcome.DAMAGED
    assert uid(slices[-1]) not in cloud.instances


@pytest.mark.parametrize(
    ("lost", "words", "delivered"),
    [
        ("0001.list", "parts are missing: 1", 3),
        ("complete", "not packed to its end", 6),
        ("key", "", 6),
    ],
)
async def test_what_is_left_of_a_bundle_is_delivered_and_the_rest_is_said(
    cloud, carried, deliver, lost, words, delivered
):
    bundle, _ = carried
    (bundle.path / lost).unlink()
    (done,) = await deliver()
    assert words in " ".join(done.troubles)
    assert done.outcomes == {"VERIFIED": delivered}
    assert done.is_complete is (lost == "key")


async def test_a_part_that_is_gone_is_damaged_as_a_whole(cloud, carried, deliver):
    bundle, _ = carried
    (bundle.path / "0001.part").unlink()
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 3, "DAMAGED": 3}


async def test_a_part_that_a_recipient_made_is_not_delivered(cloud, carried, deliver, slices):
    """It has the key, so it opens; what it holds is not what the box signed."""
    bundle, key = carried

    def forge():
        (bundle.path / "0001.part").unlink()
        writer = PartWriter(bundle, 1, key, Algorithm.AES_256_GCM)
        for one in slices[:3]:
            writer.write(one.data[:-4] + b"\xff" * 4)
        writer.finish()

    await asyncio.to_thread(forge)
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 3, "DAMAGED": 3}
    assert set(cloud.instances) == {uid(one) for one in slices[3:]}


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EROFS, EdgeError)]
)
async def test_a_disk_that_takes_no_receipt_is_said(
    cloud, carried, deliver, monkeypatch, number, kind
):
    def refuse(self, name, content):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Bundle, "write", refuse)
    with pytest.raises(kind, match="the disk"):
        await deliver()
    monkeypatch.undo()
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}
    assert set(cloud.received.values()) == {1}


async def test_a_bundle_that_this_user_may_not_read_is_said_and_stalls_no_other(
    cloud, carried, deliver, disk, slices, monkeypatch
):
    forbidden, _ = await asyncio.to_thread(make_bundle, disk, BOX, [HOSPITAL], [slices[:1]])
    names = Bundle.names

    def refuse(self):
        if self.number == forbidden.number:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return names(self)

    monkeypatch.setattr(Bundle, "names", refuse)
    done = {one.bundle: one for one in await deliver()}
    (said,) = done.pop(forbidden.number).troubles
    assert said.startswith("Permission denied: this user may not read")
    (other,) = done.values()
    assert other.outcomes == {"VERIFIED": 6}


async def test_several_bundles_on_a_disk_are_all_delivered(cloud, carried, deliver, disk):
    more = list(ct_series(2, rows=16, columns=16, seed=7))
    await asyncio.to_thread(make_bundle, disk, place("a second box"), [HOSPITAL], [more])
    done = await deliver(senders=[BOX, place("a second box")])
    assert sorted(one.outcomes["VERIFIED"] for one in done) == [2, 6]
    assert len(cloud.instances) == 8


async def test_everything_is_read_back_whatever_the_place_samples(cloud, carried, disk):
    settings = config.Sync(
        retry_min_seconds=0.04, verify="sample", calendar=("off",), monthly_budget_mb=1
    )
    timeouts = Timeouts(connect=5.0, read=5.0, write=5.0, store=2.0, answer=10.0)
    async with DicomwebArchive(others.Archive("cloud", cloud.url), timeouts=timeouts) as archive:
        delivery = Delivery(archive, "w", settings, HOSPITAL, [BOX.place], place="p", patience=20)
        (done,) = await delivery.deliver(disk)
    assert done.outcomes == {"VERIFIED": 6}


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
async def test_what_waits_under_the_name_of_a_receipt_is_not_written_through(
    carried, deliver, tmp_path, kind
):
    bundle, _ = carried
    victim = tmp_path / "root.key"

    def plant():
        victim.write_bytes(b"of the box")
        for number in (1, 2):
            path = bundle.path / f"{number:04}.{HOSPITAL.place.digest[:8].hex()}.receipt.new"
            match kind:
                case "link":
                    path.symlink_to(victim)
                case "pipe":
                    os.mkfifo(path)
                case "folder":
                    path.mkdir()

    await asyncio.to_thread(plant)
    (done,) = await asyncio.wait_for(deliver(), 30)
    assert done.outcomes == {"VERIFIED": 6}
    assert len(await results(carried)) == 6
    assert await asyncio.to_thread(victim.read_bytes) == b"of the box"


async def test_a_disk_on_which_another_works_is_left_alone(carried, deliver, disk):
    async with held(disk):
        with pytest.raises(EdgeError, match="in use by another edge courier"):
            await deliver()
    (done,) = await deliver()
    assert done.outcomes == {"VERIFIED": 6}
