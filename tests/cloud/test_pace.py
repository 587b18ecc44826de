from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from edge.cloud.pace import Throttle, TooSlow, steady
from edge.errors import LineClosed


async def given(pieces, pause):
    for piece in pieces:
        await asyncio.sleep(pause)
        yield piece


async def test_what_comes_fast_enough_is_handed_on_as_it_is():
    pieces = [b"a" * 100, b"", b"b" * 100]
    found = [it async for it in steady(given(pieces, 0.0), least=1.0, window=60.0)]
    assert found == pieces


async def test_a_drip_is_given_up():
    drip = steady(given([b"x"] * 1000, 0.01), least=1000.0, window=0.05)
    with pytest.raises(TooSlow, match="1000 bytes a second"):
        [piece async for piece in drip]


async def test_who_takes_them_slowly_is_not_the_archives_fault():
    found = 0
    async for _ in steady(given([b"x"] * 10, 0.0), least=1000.0, window=0.05):
        await asyncio.sleep(0.02)
        found += 1
    assert found == 10


class Virtual:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 1000.0
        self.sleeps = 0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        assert seconds > 0
        self.sleeps += 1
        # As real timers do, it takes a little longer than was asked for.
        self.now += seconds + 0.001
        await asyncio.sleep(0)


async def gone_within(throttle, clock, seconds, *, piece=1024 * 1024):
    """Bytes that went through in so many seconds, and in how many pieces."""

    async def endless():
        while True:
            yield bytes(piece)

    begun, total, count = clock(), 0, 0
    async with aclosing(throttle.paced(endless())) as pieces:
        async for it in pieces:
            if clock() - begun > seconds:
                break
            total, count = total + len(it), count + 1
    return total, count


@pytest.mark.parametrize("kbps", [256, 2000, 10_000, 100_000])
@pytest.mark.parametrize("piece", [1000, 1024 * 1024])
async def test_over_ten_seconds_it_is_exact_to_five_percent(kbps, piece):
    if piece == 1000 and kbps == 100_000:
        kbps = 50_000  # a hundred thousand pieces take long enough
    clock = Virtual()
    throttle = Throttle(lambda: kbps * 125.0, clock=clock, sleep=clock.sleep)
    total, pieces = await gone_within(throttle, clock, 10.0, piece=piece)
    assert total == pytest.approx(kbps * 1250, rel=0.05)
    # It waits once for each piece at the most, and never only to look.
    assert clock.sleeps <= pieces


@pytest.mark.alone
@pytest.mark.parametrize(("kbps", "seconds"), [(1000, 2.0), (100_000, 1.5)])
async def test_it_is_as_fast_as_that_on_a_real_clock(kbps, seconds):
    throttle = Throttle(lambda: kbps * 125.0)
    total, _ = await gone_within(throttle, time.monotonic, seconds)
    # The credit of the beginning counts more in a short time; a busy machine only makes it less.
    assert 0.8 * kbps * 125 * seconds < total < 1.15 * kbps * 125 * seconds


async def test_all_who_share_it_get_the_same_and_a_small_one_is_not_kept_waiting():
    clock = Virtual()
    throttle = Throttle(lambda: 100_000.0, clock=clock, sleep=clock.sleep)
    gone, ended = [0, 0, 0], {}

    async def send(who, size):
        async for it in throttle.paced(given([bytes(size)], 0.0)):
            gone[who] += len(it)
        ended[who] = clock(), list(gone)

    async with asyncio.TaskGroup() as group:
        for who, size in enumerate([2_000_000, 2_000_000, 50_000]):
            group.create_task(send(who, size))
    when, others = ended[2]
    assert when - 1000.0 < 2.5
    # The first has the credit of the beginning, a fifth of a second.
    assert others[0] == pytest.approx(50_000 + 20_000, abs=10_000)
    assert others[1] == pytest.approx(50_000, abs=10_000)
    assert clock() - 1000.0 == pytest.approx(4_050_000 / 100_000, rel=0.05)


async def test_a_limit_that_changes_holds_within_seconds():
    clock = Virtual()
    limits = [(1000.0, 2.0), (1010.0, 1_000_000.0), (1020.0, 1000.0), (1060.0, None)]

    def limit():
        return [rate for since, rate in limits if since <= clock()][-1]

    throttle = Throttle(limit, clock=clock, sleep=clock.sleep)
    pieces = throttle.paced(given([bytes(1_000_000)] * 100, 0.0))
    seen = [(clock(), len(it)) async for it in pieces]

    def gone(begin, end):
        return sum(size for when, size in seen if begin < when <= end)

    assert gone(0, 1010) < 1000
    assert gone(1013, 1019) == pytest.approx(6_000_000, rel=0.05)
    assert gone(1023, 1059) == pytest.approx(36_000, rel=0.05)
    assert seen[-1][0] < 1063
    assert sum(size for _, size in seen) == 100_000_000


async def test_when_nothing_may_go_a_transfer_that_is_under_way_ends():
    clock = Virtual()
    limits = [1000.0]
    throttle = Throttle(lambda: limits[-1], clock=clock, sleep=clock.sleep)
    pieces = throttle.paced(given([bytes(1_000_000)], 0.0))
    while clock() < 1005.0:
        await anext(pieces)
    limits.append(0.0)
    with pytest.raises(LineClosed):
        [it async for it in pieces]
    assert clock() < 1008.0


async def test_without_a_limit_pieces_are_handed_on_as_they_are():
    pieces = [bytes(10_000_000), b"", b"x"]
    found = [it async for it in Throttle().paced(given(pieces, 0.0))]
    assert all(one is other for one, other in zip(found, pieces, strict=True))


async def test_one_that_gives_up_while_it_waits_lets_the_others_go_on():
    throttle = Throttle(lambda: 20_000.0)

    async def send(size):
        return sum([len(it) async for it in throttle.paced(given([bytes(size)], 0.0))])

    impatient, patient = (asyncio.create_task(send(size)) for size in (10_000_000, 20_000))
    await asyncio.sleep(0.3)
    impatient.cancel()
    assert await asyncio.wait_for(patient, 30) == 20_000
