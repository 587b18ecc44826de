"""A month without the line, on a simulated clock; then both sides are equal."""

from __future__ import annotations

import asyncio

import pytest

from edge import config
from edge.crypto.sealed import sealed_length
from edge.errors import StorageFull
from tests import samples
from tests.simulation.box import Box
from tests.simulation.checks import check_end
from tests.simulation.cloud import Cloud, copy_of
from tests.simulation.simulator import DAY, HOUR, Acknowledged, Simulation

BEFORE, DAILY, DAYS = 30, 4, 30


class Month(Simulation):
    """A clinic whose line is down, another one whose line is not, and their archive.

    Args:
        folder: For the boxes.
        room: Instances that the first one has room for.
    """

    def __init__(self, folder, room: int) -> None:
        super().__init__(1, folder, 0)
        self.cloud = Cloud(lambda: self.now)
        self.sampled = False
        self.made: dict[str, set[bytes]] = {}
        size = sealed_length(len(next(samples.ct_series(1, rows=8, columns=8)).data))
        self.clinic, self.other = self.boxes = [
            Box(
                name,
                folder,
                self.cloud,
                lambda: self.now,
                "month",
                config.Sync(),
                config.Cache(max_bytes=most, reserve_bytes=0),
            )
            for name, most in (("A", room * size), ("B", 0))
        ]

    def study(self, number: int, count: int):
        """Instances of a study that is nowhere yet."""
        found = [
            copy_of(one.data)
            for one in samples.ct_series(count, rows=8, columns=8, seed=50_000 + number)
        ]
        self.made |= {one.sop_uid: {one.data} for one in found}
        return found

    def bytes_of(self, sop_uid: str) -> set[bytes]:
        return self.made[sop_uid]

    async def take(self, box: Box, copies) -> None:
        """Devices send, and hear that it is safe."""
        for copy in copies:
            await box.send(copy.data)
            self.acknowledged.append(Acknowledged(box.name, copy))

    async def custodies(self, box: Box) -> dict[str, int]:
        """Of what is here: custody -> instances."""
        counts: dict[str, int] = {}
        for row in (await box.rows()).values():
            if row["availability"] == "ONLINE":
                counts[row["custody"]] = counts.get(row["custody"], 0) + 1
        return counts

    async def a_day(self, box: Box) -> None:
        """Sync has a day."""
        for _ in range(4):
            for part in ("push", "verify", "pull"):
                await self._work(box, part)
            self.now += DAY / 4


def test_a_month_offline_blocks_no_intake_and_afterwards_both_sides_are_equal(tmp_path):
    asyncio.run(_month(Month(tmp_path, room=BEFORE + DAILY * DAYS - 20)))


async def _month(month: Month) -> None:
    clinic, other, cloud = month.clinic, month.other, month.cloud
    for box in month.boxes:
        await box.start()
    await month.take(clinic, month.study(0, BEFORE))
    await month.a_day(clinic)
    assert await month.custodies(clinic) == {"VERIFIED": BEFORE}

    clinic.way.up = False
    elsewhere = []
    for day in range(1, DAYS + 1):
        await month.take(clinic, month.study(day, DAILY))
        news = month.study(1000 + day, 3)
        await month.take(other, news[:1])
        for copy in news[1:]:
            cloud.put(copy)
        cloud.edits[news[0].study_uid] = f"CORRECTED^{day}"
        elsewhere += news
        if day % 10 == 0:
            await clinic.crash()
            await clinic.restart()
        for part in ("push", "pull"):
            assert isinstance(await clinic.step(part), Exception)
        for part in ("push", "verify", "pull"):
            await month._work(other, part)
        month.now += DAY - HOUR
    # What was proven to be elsewhere made room for all that is nowhere else.
    custodies = await month.custodies(clinic)
    assert custodies.get("EDGE_ONLY", 0) + custodies["SENT"] == DAILY * DAYS
    assert 0 < custodies["VERIFIED"] < BEFORE
    assert clinic.space.used <= clinic.space.capacity

    await month._heal()
    await check_end(month)
    everything = {one.copy.sop_uid for one in month.acknowledged}
    everything |= {copy.sop_uid for copy in elsewhere}
    assert set(cloud.copies) == everything
    for box in month.boxes:
        assert set(await box.rows()) == everything
        await box.stop()


def test_what_is_only_here_is_not_evicted_and_the_line_frees_the_intake(tmp_path):
    asyncio.run(_full(Month(tmp_path, room=30)))


async def _full(month: Month) -> None:
    clinic = month.clinic
    for box in month.boxes:
        await box.start()
    await month.take(clinic, month.study(0, 10))
    await month.a_day(clinic)
    clinic.way.up = False
    copies = month.study(1, 40)
    with pytest.raises(StorageFull):
        await month.take(clinic, copies)
    taken = len(month.acknowledged) - 10
    assert taken >= 29
    assert await month.custodies(clinic) == {"EDGE_ONLY": taken}
    month.now += 20 * DAY
    with pytest.raises(StorageFull):
        await clinic.send(copies[taken].data)
    clinic.way.up = True
    await month.a_day(clinic)
    await month.take(clinic, copies[taken:])
    await month._heal()
    await check_end(month)
    for box in month.boxes:
        await box.stop()
