"""A box that goes back to the version from before an update takes back the index of then.

Nothing that was acknowledged since is lost, nothing that was deleted comes back, and nobody who was
kept out is let in. The newer version is this one, with a schema that it made by itself.
"""

from __future__ import annotations

import errno
import os
import time
from types import SimpleNamespace

import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from edge.cache import recovery
from edge.dicom.instance import Availability, Custody
from edge.errors import EdgeError, SecretError, StorageFull
from edge.index import connection, former, taking_back
from edge.index.ballast import Ballast
from edge.index.connection import SCHEMA_VERSION, NewerIndex, connect, connect_writer
from edge.index.database import Database
from edge.index.former import find_former, forget_former, former_files
from tests.cache.newer_index import NEWER, SAMPLES, custody_of, evict, migrate, row_of, settle
from tests.index.rows import counters_are_true

pytestmark = pytest.mark.blocks  # the tests make the newer index themselves


async def test_what_came_since_is_here_and_what_was_deleted_is_not(
    open_cache, tmp_path, updated, newer, sealed_files
):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
        await cache.send(SAMPLES[5])
        await settle(cache, SAMPLES[5], Custody.VERIFIED)
        await cache.deletion.delete(
            SAMPLES[0].ref.study_uid, SAMPLES[0].ref.series_uid, SAMPLES[0].ref.sop_uid
        )
        latest = await cache.database.read("SELECT max(sequence) FROM changes")
    newer[1]()
    async with open_cache() as cache:
        assert cache.database.taken_back_from == NEWER
        assert cache.database.not_taken_over == ""
        assert cache.report.adopted == 2
        assert cache.report.lost == 0
        for sample in SAMPLES[1:]:
            assert await cache.read(sample.ref) == sample.data
        assert await row_of(cache, SAMPLES[0]) is None
        [(tomb,)] = await cache.database.read("SELECT sop_uid FROM tombstones")
        assert tomb == SAMPLES[0].ref.sop_uid
        assert await custody_of(cache, SAMPLES[4]) == Custody.SENT
        assert await custody_of(cache, SAMPLES[5]) == Custody.ACKNOWLEDGED
        assert await counters_are_true(cache.database)
        # Who follows by number is told of everything, above all that was told before.
        [(first, last, count)] = await cache.database.read(
            "SELECT min(sequence), max(sequence), count(*) FROM changes"
        )
        assert first > latest[0][0]
        assert last - first + 1 == count
        assert await cache.database.read("SELECT user_version FROM pragma_user_version") == [
            (SCHEMA_VERSION,)
        ]
    assert not list(tmp_path.glob("index.db.v*"))
    assert [path.name for path in tmp_path.glob("index.db.newer-*")] == [f"index.db.newer-{NEWER}"]
    async with open_cache() as cache:  # and that is that
        assert cache.database.taken_back_from == 0
        assert cache.report.adopted == 0
        assert len(sealed_files()) == 5


async def test_custody_is_no_better_than_both_versions_say(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await settle(cache, SAMPLES[1], Custody.EDGE_ONLY)  # the archive has lost it
        await settle(cache, SAMPLES[3], Custody.VERIFIED)
    newer[1]()
    async with open_cache() as cache:
        found = [await custody_of(cache, sample) for sample in SAMPLES[:4]]
        assert found == [
            Custody.VERIFIED,
            Custody.SENT,
            Custody.VERIFIED,
            Custody.ACKNOWLEDGED,
        ]
        assert await counters_are_true(cache.database)


async def test_what_was_evicted_since_is_in_the_archive_and_not_lost(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await settle(cache, SAMPLES[3], Custody.VERIFIED)
        for sample in SAMPLES[2:4]:
            await evict(cache, sample)
    newer[1]()
    async with open_cache() as cache:
        assert (cache.report.fetchable, cache.report.lost) == (0, 0)  # the index knows it
        for sample in SAMPLES[2:4]:
            row = await row_of(cache, sample)
            assert row.availability is Availability.NEARLINE


async def test_who_was_kept_out_or_let_in_since_is_so(open_cache, updated, newer):
    await updated()
    async with open_cache() as cache:
        await cache.database.write(
            lambda db: [
                db.execute("UPDATE users SET state = 'disabled' WHERE name = 'bert'"),
                db.execute("DELETE FROM users WHERE name = 'cara'"),
                db.execute(
                    "INSERT INTO users (name, display_name, role, state, created, handle)"
                    " VALUES ('dora', '', 'viewer', 'active', 0, x'04')"
                ),
                db.execute(
                    "INSERT INTO tokens (token_id, digest, role, name, created)"
                    " VALUES ('t', x'05', 'viewer', 'new', 0)"
                ),
            ]
        )
    newer[1]()
    async with open_cache() as cache:
        rows = await cache.database.read("SELECT name, state FROM users ORDER BY name")
        assert rows == [("anna", "active"), ("bert", "disabled"), ("dora", "active")]
        assert await cache.database.read("SELECT token_id FROM tokens") == [("t",)]
        assert await cache.database.read("SELECT count(*) FROM sessions") == [(0,)]


async def test_what_of_the_newer_index_can_t_be_read_is_said_and_answered_safely(
    open_cache, updated, newer, caplog
):
    await updated(
        "ALTER TABLE users RENAME TO persons;\n"
        "ALTER TABLE tombstones RENAME TO graves;\n"
        "ALTER TABLE instances RENAME COLUMN custody TO care;\n"
    )
    newer[1]()
    async with open_cache() as cache:
        assert cache.database.not_taken_over == "users, deletions, custody"
        assert "users can't be read" in caplog.text
        found = [await custody_of(cache, sample) for sample in SAMPLES[:4]]
        # Nothing is evicted before the archive was asked again.
        assert found == [Custody.ACKNOWLEDGED] * 3 + [Custody.EDGE_ONLY]
        rows = await cache.database.read("SELECT name FROM users ORDER BY name")
        assert rows == [("anna",), ("bert",), ("cara",)]
        assert await counters_are_true(cache.database)


class Power(Exception):
    """It is cut."""


@pytest.mark.parametrize("step", ["place", "learn", "aside", "replace", "after"])
async def test_power_that_is_cut_meanwhile_costs_nothing(
    open_cache, tmp_path, updated, newer, monkeypatch, step
):
    await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
    newer[1]()

    def cut(*_, **__):
        raise Power

    name = {
        "place": "connect_writer",
        "learn": "learn",
        "aside": "_replace",
        "replace": "sync_folder",
        "after": "forget_former",
    }[step]
    with monkeypatch.context() as patched:
        patched.setattr(taking_back, name, cut)
        with pytest.raises(Power):
            async with open_cache():
                pass
    async with open_cache() as cache:
        for sample in SAMPLES[:5]:
            assert await cache.read(sample.ref) == sample.data
        assert await counters_are_true(cache.database)
    assert not (tmp_path / "index.db.back").exists()


async def test_forward_again_nothing_is_missing(open_cache, tmp_path, updated, newer):
    key = await updated()
    async with open_cache() as cache:
        await cache.send(SAMPLES[4])
    newer[1]()
    async with open_cache() as cache:
        await cache.send(SAMPLES[5])
    migrate(tmp_path / "index.db", key)
    newer[0]()
    async with open_cache() as cache:
        for sample in SAMPLES:
            assert await cache.read(sample.ref) == sample.data
        assert cache.report.lost == 0


async def test_without_a_copy_it_is_refused_clearly_and_nothing_is_changed(
    open_cache, tmp_path, updated, newer
):
    await updated()
    forget_former(tmp_path / "index.db")
    newer[1]()
    before = (tmp_path / "index.db").read_bytes()
    with pytest.raises(NewerIndex, match="written by a newer version") as caught:
        async with open_cache():
            pass
    assert isinstance(caught.value, SecretError)
    assert "install the newer version" in caught.value.hint
    assert (tmp_path / "index.db").read_bytes() == before


async def test_a_command_takes_nothing_back(tmp_path, updated, newer):
    key = await updated()
    newer[1]()
    with pytest.raises(NewerIndex):
        await Database(tmp_path / "index.db", key).__aenter__()
    assert find_former(tmp_path / "index.db", SCHEMA_VERSION) is not None


# The copy -----------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.db"
    connect_writer(path, bytes(32)).close()
    return path


def older(path, monkeypatch):
    """As if it had been written by the version before."""
    db = connect(path, bytes(32), cache_kib=1024)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    db.close()
    monkeypatch.setattr(connection, "_statements", lambda _: iter(()))


def test_a_migration_keeps_the_index_of_before_sealed_as_it_was(index, monkeypatch):
    older(index, monkeypatch)
    connect_writer(index, bytes(32)).close()
    copy, _ = former_files(index, SCHEMA_VERSION - 1)
    db = connect(copy, bytes(32), cache_kib=1024)
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION - 1,)
    db.close()
    assert copy.stat().st_mode & 0o077 == 0
    assert b"SQLite format" not in copy.read_bytes()
    assert find_former(index, SCHEMA_VERSION) == (SCHEMA_VERSION - 1, copy)
    assert find_former(index, SCHEMA_VERSION - 2) is None


def test_what_lies_in_the_log_is_in_the_copy_too(index):
    db = connect_writer(index, bytes(32))
    reader = connect(index, bytes(32), cache_kib=1024)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM tokens").fetchone()  # the log can't be emptied now
    db.execute(
        "INSERT INTO tokens (token_id, digest, role, name, created)"
        " VALUES ('t', x'05', 'viewer', 'new', 0)"
    )
    former.keep_former(db, index, 7)
    reader.close()
    db.close()
    copied = connect(former_files(index, 7)[0], bytes(32), cache_kib=1024)
    assert copied.execute("SELECT token_id FROM tokens").fetchall() == [("t",)]
    copied.close()


def test_without_room_for_the_copy_nothing_is_migrated(index, monkeypatch):
    older(index, monkeypatch)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(former.shutil, "copyfileobj", full)
    with pytest.raises(StorageFull, match="no room for a copy of the index"):
        connect_writer(index, bytes(32))
    monkeypatch.undo()
    db = connect(index, bytes(32), cache_kib=1024)
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION - 1,)
    db.close()
    assert not list(index.parent.glob("*.new"))


def test_a_disk_that_fails_is_told_of(index, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(former.shutil, "copyfileobj", broken)
    db = connect_writer(index, bytes(32))
    with pytest.raises(EdgeError, match="can't be copied"):
        former.keep_former(db, index, 7)
    db.close()


async def test_a_copy_is_kept_for_a_month_and_one_version_alone(index):
    db = connect_writer(index, bytes(32))
    former.keep_former(db, index, 7)
    former.keep_former(db, index, 8)
    db.close()
    assert [path.name for path in index.parent.glob("index.db.v*")] == ["index.db.v8"]
    await (await recovery.open_index(index, bytes(32))).__aexit__(None, None, None)
    assert list(index.parent.glob("index.db.v*"))
    long_ago = time.time() - former.KEPT_SECONDS - 1
    os.utime(former_files(index, 8)[0], (long_ago, long_ago))
    await (await recovery.open_index(index, bytes(32))).__aexit__(None, None, None)
    assert not list(index.parent.glob("index.db.v*"))


# Room, and what is left behind --------------------------------------------------------------------


def files(folder):
    return {path.name: path.stat().st_size for path in folder.glob("index.db*")} | {
        path.name: path.stat().st_size for path in folder.glob("ballast")
    }


class Disk:
    """Of which so much is free as is said; the ballast is a part of it."""

    def __init__(self, monkeypatch, folder, free):
        self.folder, self.free = folder, free
        (folder / "ballast").write_bytes(bytes(1024))
        monkeypatch.setattr(former.shutil, "disk_usage", self.usage)

    def usage(self, _):
        released = 0 if (self.folder / "ballast").exists() else 64 * 1024**2
        return SimpleNamespace(free=self.free + released)


async def test_without_room_nothing_is_taken_back_and_nothing_changed(
    tmp_path, updated, newer, monkeypatch
):
    key = await updated()
    newer[1]()
    before = (tmp_path / "index.db").read_bytes()
    names = files(tmp_path)
    disk = Disk(monkeypatch, tmp_path, free=100_000_000_000)
    ballast = Ballast(tmp_path / "ballast", 1024)
    disk.free = -64 * 1024**2
    with pytest.raises(StorageFull, match=r"no room to take back the index .* needs \d+ MB"):
        await recovery.open_index(tmp_path / "index.db", key, ballast)
    assert not (tmp_path / "ballast").exists()  # it was tried with its room, too
    assert (tmp_path / "index.db").read_bytes() == before
    assert files(tmp_path) == names
    disk.free = 0  # what the ballast gives is enough
    database = await recovery.open_index(tmp_path / "index.db", key, ballast)
    assert database.taken_back_from == NEWER
    await database.__aexit__(None, None, None)


@pytest.mark.parametrize("at", ["copyfile", "replace", "learn"])
async def test_a_disk_that_is_full_midway_leaves_the_newer_index_alone(
    tmp_path, updated, newer, monkeypatch, at
):
    key = await updated()
    newer[1]()
    before, names = (tmp_path / "index.db").read_bytes(), files(tmp_path)

    def full(*_, **__):
        if at == "learn":
            raise sqlcipher.OperationalError("database or disk is full")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    where = {"copyfile": taking_back.shutil, "replace": taking_back, "learn": taking_back}[at]
    with monkeypatch.context() as patched:
        patched.setattr(where, {"replace": "_replace"}.get(at, at), full)
        with pytest.raises(StorageFull, match="no room to take back") as caught:
            await recovery.open_index(tmp_path / "index.db", key)
    assert "nothing was changed" in caught.value.hint
    assert (tmp_path / "index.db").read_bytes() == before
    assert files(tmp_path) == names


def test_room_is_looked_for_before_the_copy_is_begun(index, monkeypatch):
    older(index, monkeypatch)
    disk = Disk(monkeypatch, index.parent, free=1024)
    (index.parent / "ballast").unlink()
    disk.free = -64 * 1024**2
    monkeypatch.setattr(former.shutil, "copyfileobj", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(StorageFull, match=r"no room for a copy of the index.* needs \d+ MB"):
        connect_writer(index, bytes(32))


async def test_the_ballast_gives_room_for_the_copy(index, monkeypatch):
    older(index, monkeypatch)
    disk = Disk(monkeypatch, index.parent, free=0)
    ballast = Ballast(index.parent / "ballast", 1024)
    await (await recovery.open_index(index, bytes(32), ballast)).__aexit__(None, None, None)
    assert former_files(index, SCHEMA_VERSION - 1)[0].exists()
    assert disk.free == 0


async def test_an_index_that_was_set_aside_goes_with_age_or_when_its_version_runs_again(index):
    db = connect_writer(index, bytes(32))
    db.close()
    aside = [index.with_name(f"index.db.newer-{number}") for number in (NEWER, SCHEMA_VERSION)]
    strays = [index.with_name(f"index.db.{name}") for name in ("back", "back-wal", "v7.new")]

    async def left():
        await (await recovery.open_index(index, bytes(32))).__aexit__(None, None, None)
        return [path.exists() for path in (*aside, *strays)]

    for path in (*aside, *strays):
        path.write_bytes(b"sealed")
    assert await left() == [True, False, False, False, False]
    long_ago = time.time() - former.KEPT_SECONDS - 1
    os.utime(aside[0], (long_ago, long_ago))
    assert not any(await left())
    # Under a clock that was wrong: its days begin now.
    aside[0].write_bytes(b"sealed")
    os.utime(aside[0], (time.time() + 1e9,) * 2)
    assert await left() == [True, False, False, False, False]
    assert aside[0].stat().st_mtime <= time.time()
