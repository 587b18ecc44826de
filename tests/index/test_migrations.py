"""An index of an earlier version becomes one of this version, with all that is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.index import connection
from edge.index.connection import SCHEMA_VERSION, connect, connect_writer
from edge.index.database import Database
from tests.index.rows import counters_are_true

KEY = bytes(32)
FIRST = Path(__file__).parent / "resources" / "schema-1.sql"


@pytest.fixture
def first(tmp_path):
    """An index of version 1, with a study in it."""
    path = tmp_path / "first.db"
    path.touch()
    db = connect(path, KEY, cache_kib=1024)
    db.executescript(f"BEGIN; {FIRST.read_text()} PRAGMA user_version = 1; COMMIT;")
    db.execute(
        "INSERT INTO studies (id, study_uid, created, fingerprint) VALUES (1, '1.2', 1.0, 'known')"
    )
    db.execute(
        "INSERT INTO series (id, study_id, series_uid, created, attributes)"
        " VALUES (1, 1, '1.2.1', 1.0, '{}')"
    )
    for number, custody in enumerate(("VERIFIED", "REFUSED", "CONFLICT"), 1):
        db.execute(
            "INSERT INTO instances (id, study_id, series_id, sop_uid, availability, custody,"
            " origin, received, last_used) VALUES (?, 1, 1, ?, 'ONLINE', ?, 'DIMSE', 1.0, 1.0)",
            (number, f"1.2.1.{number}", custody),
        )
    db.close()
    return path


def schema(path):
    """Every table, index and trigger, without regard to comments and spaces."""
    db = connect(path, KEY, cache_kib=1024)
    rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return version, {(kind, name): plain(sql) for kind, name, sql in rows}


def plain(sql):
    """A column that was added stands behind the last one's comment."""
    words = " ".join(re.sub("--.*", "", sql).split())
    return re.sub(r" ?([(),]) ?", r"\1", words)


async def test_a_study_that_was_known_before_edits_were_is_looked_at_once_more(first):
    async with Database(first, KEY) as database:
        assert await database.read("SELECT fingerprint FROM studies") == [("",)]


async def test_an_index_of_the_first_version_keeps_what_is_in_it(first):
    async with Database(first, KEY) as database:
        assert not database.created
        assert await database.read("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        assert await database.read("SELECT sop_uid FROM instances ORDER BY id") == [
            ("1.2.1.1",),
            ("1.2.1.2",),
            ("1.2.1.3",),
        ]
        assert await database.read("SELECT instance_id, refusals FROM disputes ORDER BY 1") == [
            (2, 1),
            (3, 0),
        ]
        assert await counters_are_true(database)
    async with Database(first, KEY) as database:
        assert await database.read("SELECT count(*) FROM disputes") == [(2,)]


def test_conflicts_of_studies_that_were_corrected_are_looked_at_once_more(first, monkeypatch):
    monkeypatch.setattr(connection, "SCHEMA_VERSION", 10)
    db = connect_writer(first, KEY)
    db.execute("UPDATE instances SET custody = 'CONFLICT' WHERE id IN (1, 2)")
    db.execute("UPDATE disputes SET digest = x'00'")
    db.execute("UPDATE disputes SET decision = 'keep-ours' WHERE instance_id = 2")
    db.execute("INSERT INTO overlays VALUES (1, '{}', '{}', 'x')")
    db.commit()
    db.close()
    monkeypatch.undo()
    db = connect_writer(first, KEY)
    custodies = db.execute("SELECT custody FROM instances ORDER BY id").fetchall()
    assert custodies == [("ACKNOWLEDGED",), ("CONFLICT",), ("ACKNOWLEDGED",)]
    db.close()


def test_a_migrated_index_is_as_one_that_is_new(first, tmp_path):
    connect_writer(first, KEY).close()
    connect_writer(tmp_path / "new.db", KEY).close()
    assert schema(first) == schema(tmp_path / "new.db")


def test_every_version_after_the_first_has_its_migration():
    folder = Path(connection.__file__).parent / "migrations"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{number:04}.sql" for number in range(2, SCHEMA_VERSION + 1)]


def test_a_migration_that_fails_leaves_the_index_as_it_was(first, monkeypatch):
    before = schema(first)
    statements = connection._statements

    def and_then_nonsense(script):
        yield from statements(script)
        yield "INSERT INTO nowhere VALUES (1)"

    monkeypatch.setattr(connection, "_statements", and_then_nonsense)
    with pytest.raises(Exception, match="nowhere"):
        connect_writer(first, KEY)
    assert schema(first) == before
    monkeypatch.undo()
    connect_writer(first, KEY).close()
    assert schema(first)[0] == SCHEMA_VERSION
