"""A recovery key is in force once somebody typed it back, and not before."""

from __future__ import annotations

import asyncio

import pytest

from edge.cache.recovery_key import SECONDS, RecoveryPaper
from edge.crypto.escrow import FILE, Escrow
from edge.crypto.recovery import RecoveryKey
from edge.errors import DecisionRefused


class Clock:
    now = 1_900_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def paper(cache, tmp_path, clock):
    return RecoveryPaper(tmp_path, cache.keys, clock=clock, monotonic=clock)


async def sealed_for(cache, tmp_path):
    kept = await asyncio.to_thread(Escrow(tmp_path, cache.keys).read)
    return None if kept is None else kept.recipient


async def test_it_changes_nothing_before_it_was_typed_back(cache, paper, tmp_path):
    shown = await paper.begin("anna")
    assert len(shown.groups) == 9
    assert await paper.made() is None
    assert not (tmp_path / FILE).exists()


async def test_it_is_in_force_once_it_was_typed_back(cache, paper, tmp_path, clock):
    shown = await paper.begin("anna")
    typed = "\n".join(shown.groups).lower()
    assert await paper.confirm("anna", typed) == clock.now == await paper.made()
    key = RecoveryKey.from_text(typed)
    assert await sealed_for(cache, tmp_path) == key.recipient
    with pytest.raises(DecisionRefused, match="no recovery key waits"):
        await paper.confirm("anna", typed)


async def test_a_slip_names_the_group_and_another_try_is_allowed(paper):
    shown = await paper.begin("anna")
    first = shown.groups[0]
    slipped = ("A" if first[0] != "A" else "B") + first[1:]
    with pytest.raises(DecisionRefused):
        await paper.confirm("anna", " ".join([slipped, *shown.groups[1:]]))
    with pytest.raises(DecisionRefused, match="another recovery key"):
        await paper.confirm("anna", " ".join(RecoveryKey.new().to_groups()))
    assert await paper.made() is None
    await paper.confirm("anna", " ".join(shown.groups))


async def test_only_who_began_ends_and_in_time(paper, clock):
    shown = await paper.begin("anna")
    typed = " ".join(shown.groups)
    with pytest.raises(DecisionRefused):
        await paper.confirm("bert", typed)
    clock.now += SECONDS
    with pytest.raises(DecisionRefused):
        await paper.confirm("anna", typed)


async def test_another_is_made_on_purpose_alone_and_the_old_one_holds_till_then(
    cache, paper, tmp_path
):
    first = await paper.begin("anna")
    await paper.confirm("anna", " ".join(first.groups))
    before = await sealed_for(cache, tmp_path)
    with pytest.raises(DecisionRefused, match="already"):
        await paper.begin("anna")
    second = await paper.begin("anna", renew=True)
    assert await sealed_for(cache, tmp_path) == before
    await paper.confirm("anna", " ".join(second.groups))
    assert await sealed_for(cache, tmp_path) != before


async def test_one_that_is_damaged_may_be_replaced(paper, tmp_path):
    for path in (tmp_path / FILE, tmp_path / f"{FILE}.copy"):
        path.write_bytes(b"not a key")
    await paper.begin("anna")
