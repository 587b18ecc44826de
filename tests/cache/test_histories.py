"""Whatever happened under the newer version: what it said is what holds after going back.

Histories are drawn, lived through by a whole box (its archive is nobody: what would be asked stands
in the index), before the update and after it; then the index of before takes the place. It takes
some seconds, for each of them starts a box four times.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache.admission import Source
from edge.dicom.instance import Custody, Origin
from edge.errors import DeletionRefused, InstanceDeleted
from edge.index import connection, rejections, residence, tombstones
from edge.index.connection import SCHEMA_VERSION
from edge.index.side_by_side import LOST
from tests.cache.newer_index import NEWER, evict, migrate, row_of, settle
from tests.cache.whole import open_cache
from tests.index.rows import counters_are_true
from tests.samples import chunks, ct_series

pytestmark = pytest.mark.blocks  # the tests make the newer index themselves

ARCHIVE = SimpleNamespace(url="http://127.0.0.1:9")
COUNT = 2
SAMPLES = list(ct_series(COUNT, rows=8, columns=8))
OTHERS = list(ct_series(COUNT, rows=8, columns=8, pixels="smooth"))
VOUCHED = {Custody.ACKNOWLEDGED, Custody.VERIFIED}

ACTS = (
    "send",
    "send other",
    "fetch",
    "verify",
    "verify",
    "acknowledge",
    "refuse",
    "doubt",
    "evict",
    "evict",
    "delete",
    "withdraw",
    "trash",
    "show again",
    "erase",
    "reject",
    "accept",
    "miss",
    "lose",
    "copy",
)
CUSTODIES = {
    "verify": Custody.VERIFIED,
    "acknowledge": Custody.ACKNOWLEDGED,
    "refuse": Custody.REFUSED,
    "doubt": Custody.SENT,
}
histories = st.lists(
    st.tuples(st.sampled_from(ACTS), st.integers(0, COUNT - 1)), min_size=1, max_size=12
)


async def act(cache, what, number):  # noqa: PLR0912 - one for each act
    """One thing that happens, if it can."""
    sample = SAMPLES[number]
    ref, row = sample.ref, await row_of(cache, sample)
    is_here = row is not None and row.object is not None
    is_in_trash = row is not None and row.withheld == "TRASH"
    match what:
        case "send":
            await cache.send(sample)
        case "send other":
            await cache.send(OTHERS[number])
        case "fetch" if row is not None and not is_here and row.custody in VOUCHED:
            source = Source(Origin.CLOUD, "cloud")
            await cache.admission.store_instance(chunks(sample.data), source)
        case "verify" | "acknowledge" | "refuse" | "doubt" if is_here and not is_in_trash:
            await settle(cache, sample, CUSTODIES[what])
        case "evict" if is_here and row.custody is Custody.VERIFIED and not is_in_trash:
            await evict(cache, sample)
        case "delete" | "withdraw" if row is not None:
            uids = (ref.study_uid, ref.series_uid, ref.sop_uid)
            await cache.deletion.delete(*uids, only_copies=True, archive=what == "withdraw")
        case "trash":
            await cache.trash.put([ref], archive="cloud", reason="gone")
        case "show again" if is_in_trash:
            await cache.trash.take_back([ref.sop_uid])
        case "erase" if is_in_trash:
            await run(cache, "UPDATE trash SET since = 0 WHERE instance_id = ?", row.instance_id)
            await cache.emptying.step()
        case "reject" | "accept":
            said = SimpleNamespace(sop_uids=[ref.sop_uid], title="113001")
            await cache.database.write(
                lambda db: rejections.settle_note(
                    db, f"9.{number}", said if what == "reject" else None, time.time()
                )
            )
        case "miss" if row is not None:
            await run(
                cache,
                "INSERT OR IGNORE INTO absences SELECT id, 'SUSPECTED', 0, 1, 0 FROM studies",
            )
        case "lose" if is_here and not is_in_trash:
            await cache.store.delete(row.object)
            await cache.database.write(lambda db: residence.lose(db, [row.object]))
        case "copy" if row is not None:
            await run(
                cache,
                "INSERT OR REPLACE INTO copies (archive, instance_id, custody)"
                " VALUES ('b', ?, 'VERIFIED')",
                row.instance_id,
            )


async def run(cache, sql, *values):
    await cache.database.write(lambda db: db.execute(sql, values))


async def live(cache, history):
    for what, number in history:
        with contextlib.suppress(InstanceDeleted, DeletionRefused):
            await act(cache, what, number)


async def said(cache):
    """What a version says of everything."""
    read = cache.database.read
    rows = await read(
        "SELECT sop_uid, availability, custody, withheld, object, hex(dataset_digest), reason"
        " FROM instances"
    )
    return SimpleNamespace(
        rows={uid: SimpleNamespace(**dict(zip(FIELDS, row, strict=True))) for uid, *row in rows},
        shown={uid for uid, *row in rows if not row[2]},
        bytes={
            sample.ref.sop_uid: await cache.read(sample.ref)
            for sample in SAMPLES
            if any(row[0] == sample.ref.sop_uid and row[4] and row[3] == "" for row in rows)
        },
        aside=set(await read("SELECT sop_uid, hex(dataset_digest) FROM quarantine")),
        tombs=dict(await read("SELECT sop_uid, withdrawal FROM tombstones")),
        due={ref.sop_uid for ref, _ in await tombstones.due(cache.database, 1e12, 100)},
        rejected=set(await read("SELECT sop_uid, note_uid FROM rejections")),
        trash={row[0] for row in await read(_TRASH)},
        copies=dict(await read(_COPIES)),
        number=(await read("SELECT seq FROM sqlite_sequence WHERE name = 'changes'"))[0][0],
        feed=await read("SELECT sequence, action, sop_uid FROM changes ORDER BY sequence"),
    )


FIELDS = ("availability", "custody", "withheld", "object", "digest", "reason")
_TRASH = "SELECT i.sop_uid FROM trash t JOIN instances i ON i.id = t.instance_id"
_COPIES = "SELECT i.sop_uid, c.custody FROM copies c JOIN instances i ON i.id = c.instance_id"


async def check(cache, newer, before):
    now = await said(cache)
    assert cache.database.not_taken_over == ""
    assert await counters_are_true(cache.database)
    # Of what there is, nothing is lost, and nothing comes back.
    assert now.rows.keys() == newer.rows.keys()
    assert now.bytes == newer.bytes
    assert now.aside == newer.aside
    for uid, row in newer.rows.items():
        here = now.rows[uid]
        assert here.availability == row.availability
        assert here.withheld == row.withheld
        assert here.digest == row.digest or not row.object
        assert here.reason != LOST
        # Nothing is evicted that the newer version did not have VERIFIED; nothing is owed that an
        # archive has, nor the other way round.
        if here.custody == Custody.VERIFIED:
            assert row.custody == Custody.VERIFIED
        if here.custody in VOUCHED:
            assert row.custody in VOUCHED
        elif row.custody in VOUCHED:
            assert here.custody == Custody.SENT
    # Just that is withdrawn which the newer version withdrew.
    assert now.tombs == newer.tombs
    assert now.due == newer.due
    assert not now.tombs.keys() & now.rows.keys()
    assert now.rejected == newer.rejected
    assert now.trash == newer.trash == {u for u, r in now.rows.items() if r.withheld == "TRASH"}
    for uid, custody in newer.copies.items():
        if uid not in newer.trash:
            doubted = Custody.ACKNOWLEDGED if custody == Custody.VERIFIED else custody
            assert now.copies[uid] == doubted
    # Who follows the feed by number has, in the end, what is shown, and nothing else.
    assert all(number > newer.number for number, *_ in now.feed)
    since = [one for one in newer.feed if one[0] > before.number]
    for count in range(len(since) + 1):  # so far they had read when the machine went back
        followed = dict.fromkeys(before.shown, "CREATE") | {
            uid: action for _, action, uid in (*since[:count], *now.feed)
        }
        assert {uid for uid, action in followed.items() if action != "DELETE"} == now.shown


async def go(folder, before, after, patch):
    async with open_cache(folder, archive=ARCHIVE) as cache:
        await live(cache, before)
        former = await said(cache)
        key = cache.keys.derive("index")
    migrate(folder / "index.db", key)
    patch.setattr(connection, "SCHEMA_VERSION", NEWER)
    async with open_cache(folder, archive=ARCHIVE) as cache:
        await live(cache, after)
        newer = await said(cache)
    patch.undo()
    async with open_cache(folder, archive=ARCHIVE) as cache:
        assert cache.database.taken_back_from == NEWER
        await check(cache, newer, former)
        first = (await said(cache)).rows
    async with open_cache(folder, archive=ARCHIVE) as cache:
        assert await cache.database.read("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        await check(cache, newer, former)
        assert (await said(cache)).rows == first


@settings(max_examples=12, derandomize=True)
@given(histories, histories)
def test_what_the_newer_version_said_holds(before, after):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        asyncio.run(go(Path(folder), before, after, patch))
