"""A newer version of this one, with a schema that it made by itself, and what it is asked about."""

from __future__ import annotations

from edge.cache.ledger import Settlement
from edge.index import connection, former, lookup
from edge.index.connection import SCHEMA_VERSION, connect_writer
from tests.samples import ct_series

__all__ = ["NEWER", "PEOPLE", "SAMPLES", "custody_of", "evict", "migrate", "row_of", "settle"]

NEWER = SCHEMA_VERSION + 1
MIGRATION = """
ALTER TABLE instances ADD COLUMN novelty TEXT NOT NULL DEFAULT 'new';
ALTER TABLE users ADD COLUMN novelty TEXT NOT NULL DEFAULT 'new';
CREATE TABLE novelties (id INTEGER PRIMARY KEY) STRICT;
"""
SAMPLES = list(ct_series(6, rows=16, columns=16))
PEOPLE = (
    "INSERT INTO users (name, display_name, role, state, created, handle) VALUES"
    " ('anna', '', 'admin', 'active', 0, x'01'), ('bert', '', 'viewer', 'active', 0, x'02'),"
    " ('cara', '', 'viewer', 'active', 0, x'03')"
)


def migrate(path, key, more=""):
    """What the newer version does at its first start."""
    db = connect_writer(path, key)
    try:
        former.keep_former(db, path, SCHEMA_VERSION)
        for statement in connection._statements(MIGRATION + more):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {NEWER}")
    finally:
        db.close()


async def row_of(cache, sample):
    return await lookup.find_one(cache.database, sample.ref.sop_uid)


async def settle(cache, sample, custody):
    row = await row_of(cache, sample)
    await cache.ledger.settle([Settlement(row.instance_id, custody)])


async def custody_of(cache, sample):
    [(custody,)] = await cache.database.read(
        "SELECT custody FROM instances WHERE sop_uid = ?", (sample.ref.sop_uid,)
    )
    return custody


async def evict(cache, sample):
    """As the newer version did: its bytes are in some archive alone now."""
    row = await row_of(cache, sample)
    await cache.store.delete(row.object)
    await cache.database.write(
        lambda db: db.execute(
            "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0"
            " WHERE id = ?",
            (row.instance_id,),
        )
    )
