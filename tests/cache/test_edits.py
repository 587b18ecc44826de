"""An archive that corrects patients and keeps files as they are: what the cache makes of it."""

from __future__ import annotations

import dataclasses
import zlib

import msgspec
import pytest

from edge.cache.edits import Edits
from edge.cache.feed import Action, ChangeFeed
from edge.cache.ledger import Settlement
from edge.cloud.listing import describe_study
from edge.dicom.instance import Availability, Custody
from edge.errors import StorageFull
from tests import samples
from tests.fakes.archive import FakeArchive


@pytest.fixture
async def archive():
    async with FakeArchive() as running:
        yield running


@pytest.fixture
def sent(archive):
    """Three slices, here and in the archive, which vouches for them."""

    async def call(cache, seed=7):
        slices = list(samples.ct_series(3, rows=16, columns=16, seed=seed))
        for one in slices:
            await cache.send(one)
            archive.put(one.data)
        await vouch(cache)
        return slices

    return call


async def vouch(cache):
    await cache.ledger.set_roles({"cloud": "primary"})
    rows = await cache.database.read("SELECT id FROM instances")
    await cache.ledger.settle([Settlement(one, Custody.VERIFIED) for (one,) in rows])


def correct(archive, **attributes):
    for uid, one in archive.instances.items():
        changed = {tag[1:]: {"vr": vr, "Value": [it]} for tag, (vr, it) in attributes.items()}
        archive.instances[uid] = dataclasses.replace(one, attributes=one.attributes | changed)


async def sweep(cache, ref):
    await cache.ledger.learn(await describe_study(cache.cloud, ref.study_uid))


async def patients(cache, ref):
    return [
        msgspec.json.decode(zlib.decompress(document))["00100020"]["Value"][0]
        async for _, document in cache.retrieval.metadata(ref.study_uid)
    ]


async def test_what_is_edited_is_described_so_and_its_bytes_are_as_they_came(
    open_cache, archive, sent
):
    async with open_cache(archive=archive) as cache:
        [first, *_] = await sent(cache)
        await sweep(cache, first.ref)
        assert await Edits(cache.database).of_study(first.ref.study_uid) == []
        [before, *_] = await cache.retrieval.instances(first.ref.study_uid)
        correct(archive, t00100020=("LO", "P9"))
        await sweep(cache, first.ref)
        assert await patients(cache, first.ref) == ["P9"] * 3
        [entry, *_] = await cache.retrieval.instances(first.ref.study_uid)
        assert entry.version == before.version
        assert entry.edition != before.edition == ""
        async with cache.retrieval.open_instance(entry) as opened:
            assert opened.edited_attributes()["00100020"]["Value"] == ["P9"]
            assert opened.attributes()["00100020"]["Value"] == ["SYN-000007"]
        assert await cache.read(first.ref) == first.data
        [edit] = await Edits(cache.database).of_study(first.ref.study_uid)
        assert edit.before["00100020"]["Value"] == ["SYN-000007"]


async def test_the_change_feed_has_every_instance_once_with_what_holds_now(
    open_cache, archive, sent
):
    async with open_cache(archive=archive) as cache:
        slices = await sent(cache)
        feed = ChangeFeed(cache.database)
        last = (await feed.latest()).sequence
        correct(archive, t00080050=("SH", "A7"))
        for _ in range(2):
            await sweep(cache, slices[0].ref)
        changes = await feed.after(last, limit=10)
        assert [it.action for it in changes] == [Action.UPDATE] * 3
        assert {it.ref for it in changes} == {it.ref for it in slices}
        document = msgspec.json.decode(zlib.decompress(await feed.metadata(changes[0])))
        assert document["00080050"]["Value"] == ["A7"]


async def test_an_announcement_that_was_cut_short_is_finished_at_the_next_start(
    open_cache, archive, sent
):
    async with open_cache(archive=archive) as cache:
        [first, *_] = await sent(cache)
        correct(archive, t00080050=("SH", "A7"))
        await sweep(cache, first.ref)
        last = (await ChangeFeed(cache.database).latest()).sequence
        await cache.database.write(lambda db: db.execute("UPDATE edits SET announced = 1"))
        await cache.ledger.set_roles({"cloud": "primary"})
        changes = await ChangeFeed(cache.database).after(last, limit=10)
        assert len(changes) == 2  # the first one had been announced
        await cache.ledger.set_roles({"cloud": "primary"})
        assert len(await ChangeFeed(cache.database).after(last, limit=10)) == 2


async def test_an_index_that_is_made_anew_learns_an_edit_again(open_cache, archive, sent, tmp_path):
    async with open_cache(archive=archive) as cache:
        [first, *_] = await sent(cache)
        correct(archive, t00100020=("LO", "P9"))
        await sweep(cache, first.ref)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache(archive=archive) as cache:
        assert cache.report.adopted == 3
        assert await patients(cache, first.ref) == ["SYN-000007"] * 3
        # As long as nobody knows what the archive has, it is not believed, and asked again.
        await cache.ledger.set_roles({"cloud": "primary"})
        await sweep(cache, first.ref)
        assert await patients(cache, first.ref) == ["SYN-000007"] * 3
        assert await cache.ledger.fingerprints([first.ref.study_uid]) == {}
        await vouch(cache)
        await sweep(cache, first.ref)
        assert await patients(cache, first.ref) == ["P9"] * 3
        assert await cache.read(first.ref) == first.data


async def test_a_stand_in_that_says_otherwise_edits_nothing(open_cache, archive, sent):
    async with open_cache(archive=archive) as cache:
        [first, *_] = await sent(cache)
        await cache.ledger.set_roles({"cloud": "failover", "main": "primary"})
        correct(archive, t00100020=("LO", "P9"))
        await sweep(cache, first.ref)
        assert await patients(cache, first.ref) == ["SYN-000007"] * 3


async def test_what_was_evicted_and_comes_back_is_shown_edited(open_cache, archive, sent):
    async with open_cache(archive=archive) as cache:
        [first, *_] = await sent(cache)
        correct(archive, t00100020=("LO", "P9"))
        await sweep(cache, first.ref)
        await cache.database.write(
            lambda db: db.execute(
                "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0"
            )
        )
        assert await patients(cache, first.ref) == ["P9"] * 3
        assert await cache.read(first.ref) == first.data
        assert await patients(cache, first.ref) == ["P9"] * 3
        [entry, *_] = await cache.retrieval.instances(first.ref.study_uid)
        assert entry.availability is Availability.ONLINE


async def test_what_only_passes_through_is_shown_edited(open_cache, archive, monkeypatch):
    [one] = samples.ct_series(1, rows=16, columns=16, seed=8)
    archive.put(one.data)
    async with open_cache(archive=archive) as cache:
        await cache.ledger.set_roles({"cloud": "primary"})
        await sweep(cache, one.ref)
        correct(archive, t00100020=("LO", "P9"))
        await sweep(cache, one.ref)

        async def full(_):
            raise StorageFull("no room")

        monkeypatch.setattr(cache.fetching, "fetch", full)
        [entry] = await cache.retrieval.instances(one.ref.study_uid)
        async with cache.retrieval.open_instance(entry) as opened:
            assert opened.edited_attributes()["00100020"]["Value"] == ["P9"]
            assert opened.attributes()["00100020"]["Value"] == ["SYN-000008"]
