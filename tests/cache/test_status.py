"""The state of the box in one sentence, and in numbers."""

from __future__ import annotations

import pytest

from edge.cache.custody import Settlement
from edge.cache.status import read_status
from edge.dicom.instance import Custody
from edge.index import lookup
from tests.samples import ct_series


async def settle(cache, sample, custody):
    row = await lookup.find_one(cache.database, sample.ref.sop_uid)
    await cache.ledger.settle([Settlement(row.instance_id, custody)])


async def sentence(cache):
    return (await read_status(cache.database, ["cloud"])).sentence


async def test_the_sentence_follows_the_state(cache):
    assert await sentence(cache) == "0 studies are here; no archive was reached yet."
    await cache.ledger.set_archive_state("cloud", online=True)
    assert await sentence(cache) == "Everything is safe in the archive."
    one, two = (next(iter(ct_series(1, rows=16, columns=16, seed=seed))) for seed in (1, 2))
    await cache.send(one)
    assert await sentence(cache) == "1 study exists only here."
    await cache.send(two)
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await sentence(cache) == "2 studies exist only here; the line is down, intake goes on."
    for sample in (one, two):
        await settle(cache, sample, Custody.VERIFIED)
    assert (
        await sentence(cache)
        == "Everything is safe in the archive; the line is down, intake goes on."
    )


@pytest.mark.parametrize(
    ("custody", "only_here"),
    [(custody, custody not in {"ACKNOWLEDGED", "VERIFIED", "DELETED"}) for custody in Custody],
)
async def test_a_study_exists_only_here_unless_the_archive_vouches_for_it(
    cache, custody, only_here
):
    (sample,) = ct_series(1, rows=16, columns=16)
    await cache.send(sample)
    await settle(cache, sample, custody)
    document = (await read_status(cache.database, [])).as_json()
    assert document["studies_only_here"] == int(only_here)
    assert document["custody"] == {custody: 1}
    assert document["instances"] == document["instances_online"] == 1
    assert document["backlog_bytes"] == (
        len(sample.data) if custody in {"EDGE_ONLY", "SENT"} else 0
    )


async def test_an_archive_that_is_not_configured_any_more_is_forgotten(cache):
    await cache.ledger.set_archive_state("former", online=False, reason="gone")
    assert (await read_status(cache.database, ["cloud"])).archives == ()
