"""What a start finds, and how it is put right."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from edge.cache.admission import Outcome
from edge.cache.ledger import Settlement
from edge.dicom.instance import Availability, Custody
from edge.errors import InstanceNotFound, SecretError
from edge.index import identities, lookup
from edge.index.identities import IdentityRow
from tests.samples import ct_series, distinct_files


async def contents(cache):
    rows = await cache.database.read("SELECT study_uid FROM studies")
    found = {}
    for (study_uid,) in rows:
        for entry in await cache.retrieval.instances(study_uid):
            async with cache.retrieval.open_instance(entry) as instance:
                found[entry.ref] = b"".join([piece async for piece in instance.stream()])
    return found


async def test_a_sound_cache_needs_nothing(open_cache):
    async with open_cache() as cache:
        for sample in ct_series(3, rows=16, columns=16):
            await cache.send(sample)
    async with open_cache() as cache:
        report = cache.report
        assert (report.half_written, report.adopted, report.lost, report.unused_keys) == (0,) * 4


@pytest.mark.parametrize("damage", ["missing", "rubbish", "cut"])
async def test_a_lost_index_is_rebuilt_from_the_store(open_cache, tmp_path, damage):
    async with open_cache() as cache:
        for path in distinct_files():
            await cache.send(path.read_bytes())
        before = await contents(cache)
        documents = {
            row: [d async for d in cache.retrieval.metadata(row.study_uid)] for row in before
        }
    index = tmp_path / "index.db"
    if damage == "missing":
        for path in tmp_path.glob("index.db*"):
            path.unlink()
    else:
        content = index.read_bytes()
        index.write_bytes(b"x" * 100_000 if damage == "rubbish" else content[:1000])
    async with open_cache() as cache:
        assert cache.report.adopted == len(before)
        assert await contents(cache) == before
        for ref, known in documents.items():
            again = [d async for d in cache.retrieval.metadata(ref.study_uid)]
            assert sorted(again, key=str) == sorted(known, key=str)
        rows = await cache.database.read("SELECT DISTINCT custody FROM instances")
        assert rows == [(Custody.SENT,)]


async def test_a_page_anywhere_that_was_changed_has_the_index_rebuilt(open_cache, tmp_path):
    samples = list(ct_series(30, rows=16, columns=16))
    async with open_cache() as cache:
        for sample in samples:
            await cache.send(sample)
    whole = (tmp_path / "index.db").read_bytes()
    for page in range(0, len(whole) // 4096, 9):
        damaged = bytearray(whole)
        damaged[page * 4096 + 2000] ^= 1
        (tmp_path / "index.db").write_bytes(damaged)
        async with open_cache() as cache:
            assert cache.report.adopted == len(samples), page
    assert len(list(tmp_path.glob("index.db.broken-*"))) == 1


DISABLED = IdentityRow("idp", "s1", "oidc:anna", "Anna", "viewer", "disabled", 0.0, None)


async def disabled(database):
    """Who is, of the box's own users and of those of a provider."""
    rows = await database.read("SELECT name FROM users WHERE state = 'disabled'")
    known = await identities.all_identities(database)
    return {name for (name,) in rows} | {one.name for one in known if one.state == "disabled"}


async def damage_table(tmp_path, page):
    """Change a byte in a page of the index that is closed."""
    index = tmp_path / "index.db"
    damaged = bytearray(index.read_bytes())
    damaged[(page - 1) * 4096 + 2000] ^= 1
    index.write_bytes(damaged)


@pytest.mark.parametrize(
    ("table", "lost", "told"),
    [
        ("instances", set(), ""),
        ("identities", {"oidc:anna"}, "who was disabled or narrowed here is not now"),
        ("users", {"bert"}, "users can't be read any more"),
    ],
)
async def test_who_was_disabled_stays_so_when_the_index_is_rebuilt_or_it_is_said(
    open_cache, tmp_path, caplog, table, lost, told
):
    async with open_cache() as cache:
        await cache.send(next(ct_series(1, rows=16, columns=16)))
        await cache.database.write(lambda db: identities.put(db, DISABLED, "oidc:spare"))
        await cache.database.write(
            lambda db: db.execute(
                "INSERT INTO users (name, display_name, role, state, created, handle) VALUES"
                " ('bert', '', 'viewer', 'disabled', 0, x'01'),"
                " ('cara', '', 'viewer', 'active', 0, x'02')"
            )
        )
        asked = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        [(page,)] = await cache.database.read(asked, (table,))
    await damage_table(tmp_path, page)
    caplog.clear()
    async with open_cache() as cache:
        assert cache.report.adopted == 1
        assert await disabled(cache.database) == {"bert", "oidc:anna"} - lost
        assert "will be rebuilt" in caplog.text
        assert told in caplog.text
        # Whoever can't be read is not let in by a name alone, either.
        rows = await cache.database.read("SELECT name FROM users WHERE state = 'active'")
        assert rows == ([] if table == "users" else [("cara",)])


@pytest.mark.parametrize("evicted", [False, True])
async def test_what_was_in_quarantine_is_so_again_when_the_index_is_rebuilt(
    open_cache, tmp_path, evicted
):
    (sample,) = ct_series(1, rows=16, columns=16)
    others = [sample.data[:-2] + bytes([n, 0]) for n in range(1, 7)]
    async with open_cache() as cache:
        await cache.send(sample)
        for other in others:
            assert (await cache.send(other)).outcome is Outcome.CONFLICT
        quarantined = await cache.database.read("SELECT object FROM quarantine ORDER BY object")
        if evicted:
            row = await lookup.find_one(cache.database, sample.ref.sop_uid)
            await cache.store.delete(row.object)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache() as cache:
        again = await cache.database.read("SELECT object FROM quarantine ORDER BY object")
        assert again == quarantined
        if not evicted:
            assert await cache.read(sample.ref) == sample.data
        assert (await cache.send(sample)).outcome is (
            Outcome.STORED if evicted else Outcome.DUPLICATE
        )


async def test_a_mark_of_quarantine_that_a_crash_prevented_is_made_at_the_start(open_cache):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
        cache.store.set_aside = unmarked
        await cache.send(sample.data[:-2] + b"xy")
        ((name,),) = await cache.database.read("SELECT object FROM quarantine")
        assert await cache.store.aside(name[:2]) == set()
    async with open_cache() as cache:
        assert await cache.store.aside(name[:2]) == {name}
        assert cache.report.lost == cache.report.adopted == 0


async def unmarked(_name):
    """What a crash leaves of a mark."""


async def test_an_object_without_a_row_is_adopted(open_cache):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
        await cache.database.write(lambda db: db.execute("DELETE FROM studies"))
    async with open_cache() as cache:
        assert cache.report.adopted == 1
        assert await cache.read(sample.ref) == sample.data
        assert (await cache.send(sample)).outcome is Outcome.DUPLICATE


async def test_an_object_that_is_here_twice_loses_the_one_without_a_row(open_cache, sealed_files):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
        await cache.database.write(lambda db: db.execute("DELETE FROM studies"))
        await cache.send(sample)
    assert len(sealed_files()) == 2
    async with open_cache() as cache:
        assert cache.report.superfluous == 1
    assert len(sealed_files()) == 1


async def test_a_missing_object_is_fetched_again_or_reported(open_cache, sealed_files):
    safe, unsafe = ct_series(2, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(safe)
        await cache.send(unsafe)
        row = await lookup.find_one(cache.database, safe.ref.sop_uid)
        await cache.ledger.settle([Settlement(row.instance_id, Custody.VERIFIED)])
    for path in sealed_files():
        path.unlink()
    async with open_cache() as cache:
        assert (cache.report.fetchable, cache.report.lost) == (1, 1)
        row = await lookup.find_one(cache.database, unsafe.ref.sop_uid)
        assert row.availability is Availability.UNAVAILABLE
        assert (await cache.send(unsafe)).outcome is Outcome.STORED
        row = await lookup.find_one(cache.database, unsafe.ref.sop_uid)
        assert (row.availability, row.custody) == (Availability.ONLINE, Custody.EDGE_ONLY)


async def test_half_written_files_go(open_cache, tmp_path, sealed_files):
    async with open_cache():
        pass
    (tmp_path / "incoming" / ("0" * 32)).write_bytes(b"half")
    async with open_cache() as cache:
        assert cache.report.half_written == 1
    assert sealed_files() == []


async def test_an_object_that_does_not_open_is_reported_and_left(
    open_cache, tmp_path, sealed_files
):
    async with open_cache():
        pass
    alien = tmp_path / "objects" / "aa" / ("aa" + "0" * 30)
    alien.write_bytes(b"not sealed by us" * 10)
    async with open_cache() as cache:
        assert cache.report.unreadable == [alien.name]
    assert sealed_files() == [alien]


@pytest.mark.parametrize("is_lost", [False, True])
async def test_an_object_on_another_shelf_is_brought_home(
    open_cache, tmp_path, sealed_files, is_lost
):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
    (home,) = sealed_files()
    shelf = "00" if home.parent.name != "00" else "ff"
    home.rename(tmp_path / "objects" / shelf / home.name)
    for path in tmp_path.glob("index.db*") if is_lost else ():
        path.unlink()
    async with open_cache() as cache:
        assert (cache.report.moved, cache.report.lost) == (1, 0)
        assert await cache.read(sample.ref) == sample.data
    assert sealed_files() == [home]


async def test_what_has_the_name_of_an_object_that_is_at_home_is_let_alone(
    open_cache, tmp_path, sealed_files
):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
    (home,) = sealed_files()
    other = tmp_path / "objects" / ("00" if home.parent.name != "00" else "ff") / home.name
    other.write_bytes(b"something else")
    async with open_cache() as cache:
        assert (cache.report.moved, cache.report.lost, cache.report.unreadable) == (0, 0, [])
        assert await cache.read(sample.ref) == sample.data
    assert set(sealed_files()) == {home, other}


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, os.strerror(errno.EIO)), InstanceNotFound("gone")]
)
async def test_an_object_that_the_disk_does_not_give_keeps_no_start_from_its_end(
    open_cache, tmp_path, sealed_files, error
):
    samples = list(ct_series(2, rows=16, columns=16))
    async with open_cache() as cache:
        for sample in samples:
            await cache.send(sample)
        row = await lookup.find_one(cache.database, samples[0].ref.sop_uid)
    for path in tmp_path.glob("index.db*"):
        path.unlink()
    async with open_cache(recover=False) as cache:
        opened = cache.store.open

        async def failing(name):
            if name == row.object:
                raise error
            return await opened(name)

        cache.store.open = failing
        report = await cache.recovery.run()
        assert (report.unreadable, report.adopted) == ([row.object], 1)
        assert "1 object in the store can't be read" in report.damage
        assert await cache.read(samples[1].ref) == samples[1].data
    async with open_cache() as cache:  # the disk gives it again, and its key is still there
        assert cache.report.unreadable == []
        assert await cache.read(samples[0].ref) == samples[0].data


async def test_keys_without_objects_are_destroyed(open_cache):
    async with open_cache() as cache:
        await asyncio.to_thread(cache.keys.new_study_key)
    async with open_cache() as cache:
        assert cache.report.unused_keys == 1
        assert await asyncio.to_thread(cache.keys.key_ids) == set()


async def test_another_root_key_opens_nothing_and_harms_nothing(open_cache, tmp_path):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with open_cache() as cache:
        await cache.send(sample)
    root = tmp_path / "root.key"
    right = root.read_bytes()
    root.write_bytes(b"A" * 43 + b"=\n")
    with pytest.raises(SecretError, match="does not open the keys of this box"):
        async with open_cache():
            pass
    root.write_bytes(right)
    async with open_cache() as cache:
        assert await cache.read(sample.ref) == sample.data


async def test_an_orphan_that_is_the_only_copy_is_kept_whatever_its_shelf(open_cache):
    for seed in range(6):
        (sample,) = ct_series(1, rows=16, columns=16, seed=seed)
        async with open_cache() as cache:
            await cache.send(sample)
            await cache.database.write(
                lambda db, name=f"{seed * 40:02x}" + "0" * 30, uid=sample.ref.sop_uid: db.execute(
                    "UPDATE instances SET object = ? WHERE sop_uid = ?", (name, uid)
                )
            )
        async with open_cache() as cache:
            assert await cache.read(sample.ref) == sample.data
