"""Two boxes, one archive, and a seed that decides what happens to them; then nothing may be lost.

Devices send, people delete and decide, the archive gets studies from elsewhere, is edited, loses
some, is full, refuses; lines are cut, requests go wrong in every way, boxes crash and are
restarted, clocks jump. Then all is healed, time passes until nothing moves, and what must be true
is looked at (``checks``). A failure names its seed, and has the trace of what was done.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

from edge import config
from edge.cache import trash
from edge.cache.eviction import TRUSTED
from edge.cloud.retry import Backoff
from edge.errors import (
    CloudError,
    DeletionRefused,
    EdgeError,
    InstanceNotFound,
    StorageFull,
)
from edge.index.disputes import Query
from tests import samples
from tests.simulation.box import Box, Crashed
from tests.simulation.checks import check_end, check_recovered
from tests.simulation.cloud import Cloud, Copy, copy_of

__all__ = ["Failure", "Simulation", "simulate"]

BEGIN = 1_750_000_000.0
HOUR, DAY = 3600.0, 86400.0
WEIGHTS = {
    "send": 30,
    "push": 20,
    "verify": 14,
    "pull": 7,
    "withdraw": 5,
    "evict": 5,
    "open": 7,
    "delete": 3,
    "decide": 3,
    "arbitration": 3,
    "absence": 4,
    "review": 4,
    "emptying": 1,
    "cloud adds": 5,
    "cloud edits": 2,
    "cloud loses": 2,
    "cloud refuses": 1,
    "cloud is full": 1,
    "line": 5,
    "crash": 3,
    "restart": 1,
    "time passes": 9,
    "clock jumps": 1,
}
_HIDING = ("pull", "absence", "review")
"""Parts that may put something into the trash."""
_HEALING = (
    "withdraw",
    "push",
    "verify",
    "arbitration",
    "pull",
    "absence",
    "review",
    "emptying",
)
_REVIEWED = 3 * DAY
"""By then each study was reviewed twice."""
ROUNDS = 400
"""Of healing, at the most."""


class Failure(AssertionError):
    """Something that must be true is not; the message has seed, reason and trace."""


@dataclass(frozen=True)
class Acknowledged:
    """A device was told that this is safe."""

    box: str
    copy: Copy


@cache
def pool() -> tuple[tuple[Copy, Copy], ...]:
    """Instances of five studies, each with other bytes of the same UID beside it."""
    found = []
    for study in range(5):
        for series in (1, 2):
            for one in samples.ct_series(4, rows=8, columns=8, seed=900 + study, series=series):
                other = one.data[:-1] + bytes([one.data[-1] ^ 0xFF])
                found.append((copy_of(one.data), copy_of(other)))
    return tuple(found)


@contextlib.contextmanager
def seeded_jitter(seed: str) -> Iterator[None]:
    """Backoff's jitter comes from the seed: else no run would be like another."""
    chance, delay = random.Random(seed), Backoff.delay

    def seeded(self: Backoff, failures: int) -> float:
        return delay(dataclasses.replace(self, random=chance), failures)

    # Time leaps here by days, and shall count all the same for what is in the trash.
    with mock.patch.object(Backoff, "delay", seeded), mock.patch.object(trash, "_JUMP", 6 * DAY):
        yield


class Simulation:
    """One seed's.

    Args:
        seed: It.
        folder: For the boxes.
        operations: How many, before all is healed.
    """

    def __init__(self, seed: int, folder: Path, operations: int = 150) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self.now = BEGIN
        self.chance = chance = random.Random(seed)
        self._operations = operations
        self.cloud = Cloud(
            lambda: self.now,
            existing=chance.choice(("keep", "keep", "conflict", "replace")),
            listing_delay=chance.choice((0.0, 0.0, 5.0, 40.0)),
        )
        self.cloud.deletes = chance.random() < 0.8
        self.faults = chance.choice((0.0, 0.1, 0.3, 0.5))
        sync = config.Sync(
            verify=chance.choice(("all", "all", "sample")),
            batch_bytes=chance.choice((16 * 1024, 64 * 1024, 1024**2)),
            preview_first=chance.random() < 0.3,
            absent=chance.choice(("trash", "trash", "send-again")),
            trash_days=chance.choice((1, 30)),
            reverify_days=chance.choice((0.5, 1.0)),
        )
        self.boxes = []
        for name in "AB":
            limit = chance.choice((0, 40_000, 80_000))
            limits = config.Cache(max_bytes=limit, reserve_bytes=0)
            box = Box(name, folder, self.cloud, lambda: self.now, str(seed), sync, limits)
            box.way.faults = self.faults
            self.boxes.append(box)
        self.acknowledged: list[Acknowledged] = []
        self.thrown_away = set[int]()
        """Of the acknowledgements, those of what somebody threw away since."""
        """Box and UID of what a person deleted there although it was the only copy."""
        self.may_be_gone: set[str] = set()
        """UIDs that somebody deleted, or the archive lost or overwrote."""
        self.disputed: set[str] = set()
        """UIDs of which a person decided which bytes count."""
        self.sampled = sync.verify == "sample"
        self.say(
            f"existing={self.cloud.existing} delay={self.cloud.listing_delay}"
            f" faults={self.faults} verify={sync.verify} batch={sync.batch_bytes}"
            f" max={[box._limits.max_bytes for box in self.boxes]}"
        )

    def say(self, words: str) -> None:
        """Put something into the trace."""
        day = (self.now - BEGIN) / DAY
        self.trace.append(f"{len(self.trace):4} day {day:8.3f}  {words}")

    async def run(self) -> None:
        """All of it.

        Raises:
            AssertionError: Something is not as it must be.
        """
        for box in self.boxes:
            await box.start()
        try:
            names, weights = list(WEIGHTS), list(WEIGHTS.values())
            for _ in range(self._operations):
                await self._one(self.chance.choices(names, weights)[0])
                self.now += self.chance.choice((0.0, 1.0, 10.0, 60.0))
            await self._heal()
            await check_end(self)
        finally:
            for box in self.boxes:
                await box.stop()

    def bytes_of(self, sop_uid: str) -> set[bytes]:
        """All that there ever was under a UID."""
        return {one.data for pair in pool() for one in pair if one.sop_uid == sop_uid}

    @property
    def unseen(self) -> set[str]:
        """UIDs of which there were several, and which a sample may have passed by."""
        if not self.sampled:
            return set()
        versions = {(one.copy.sop_uid, one.copy.digest) for one in self.acknowledged}
        known = Counter(uid for uid, _ in versions | self.cloud.ever)
        return {uid for uid, count in known.items() if count > 1}

    # Operations ----------------------------------------------------------------------------------

    async def _one(self, name: str) -> None:
        box = self.chance.choice(self.boxes)
        if name.startswith("cloud"):
            self._of_cloud(name)
            return
        operation = {
            "send": self._send,
            "evict": self._evict,
            "open": self._open,
            "delete": self._delete,
            "decide": self._decide,
            "line": self._line,
            "crash": self._crash,
            "restart": self._restart,
            "time passes": self._pass_time,
            "clock jumps": self._jump,
        }.get(name)
        try:
            if operation is None:
                await self._step(box, name)
            else:
                await operation(box)
        except Crashed:
            self.say(f"{box.name} crashes")
            await self._restart(box)

    async def _step(self, box: Box, part: str) -> None:
        before = await box.rows() if part in _HIDING else {}
        result = await box.does(box.step(part))
        if before:
            self._check_hidden(box, before, await box.rows())
        self.say(f"{box.name} {part}: {result if result is not None else 'done'}")

    async def _send(self, box: Box) -> None:
        number = self.chance.randrange(len(pool()))
        copy = pool()[number][self.chance.random() < 0.04]
        before = await box.rows()
        try:
            admitted = await box.does(box.send(copy.data))
        except StorageFull:
            self.say(f"{box.name} has no room for #{number}")
            await self._check_full(box)
            return
        finally:
            if not box.is_crashed:
                self._check_evicted(before, await box.rows())
        self.acknowledged.append(Acknowledged(box.name, copy))
        box.may_delete.discard(copy.sop_uid)
        self.say(f"{box.name} gets #{number} {copy.digest.hex()[:4]}: {admitted.outcome}")

    async def _check_full(self, box: Box) -> None:
        """Intake is refused only if nothing could have been evicted.

        What the archive deleted or lost stays, and the rest of its study with it: in the trash, or
        until it is known what it was.
        """
        await box.evict()
        if not box.space.above_high_mark:
            return  # A device that sends again now is served.
        left = [
            uid
            for uid, row in (await box.rows()).items()
            if row["availability"] == "ONLINE"
            and row["custody"] == "VERIFIED"
            and uid not in self.may_be_gone
            and not row["missed"]
            and row["verified"] >= self.now - TRUSTED
        ]
        assert not left, f"{box.name} refuses intake, and {len(left)} could have been evicted"

    def _check_evicted(self, before: dict, after: dict) -> None:
        for uid, row in before.items():
            if row["availability"] == "ONLINE" and after[uid]["availability"] != "ONLINE":
                was = (uid, row["dataset_digest"])
                assert was in self.cloud.ever or uid in self.unseen, (
                    f"{uid} was evicted, and was never in the archive"
                )

    def _check_hidden(self, box: Box, before: dict, after: dict) -> None:
        """What goes into the trash is gone there, and was safe there."""
        for uid, row in after.items():
            if row["withheld"] != "TRASH" or before[uid]["withheld"] == "TRASH":
                continue
            was = before[uid]
            words = f"{box.name} hides {uid}, {was['availability']} and {was['custody']}"
            assert uid in self.may_be_gone, f"{words}, which nobody deleted"
            assert was["availability"] != "ONLINE" or was["custody"] == "VERIFIED", words

    async def _evict(self, box: Box) -> None:
        before = await box.rows()
        await box.space.refresh()
        gained = await box.does(box.evict())
        self._check_evicted(before, await box.rows())
        self.say(f"{box.name} evicts {gained} bytes")

    async def _open(self, box: Box) -> None:
        rows = await box.rows()
        if not rows:
            return
        number = self.chance.choice(
            [number for number, (one, _) in enumerate(pool()) if one.sop_uid in rows]
        )
        versions = pool()[number]
        try:
            data = await box.does(box.read(_ref(versions[0])))
        except (CloudError, InstanceNotFound, StorageFull) as error:
            self.say(f"{box.name} can't open #{number}: {type(error).__name__}")
            return
        assert data in {one.data for one in versions}, f"#{number} was given otherwise"
        self.say(f"{box.name} opens #{number}")

    async def _delete(self, box: Box) -> None:
        rows = await box.rows()
        number = self.chance.randrange(len(pool()))
        copy = pool()[number][0]
        target = [copy.study_uid, copy.series_uid, copy.sop_uid]
        target = target[: self.chance.choice((1, 2, 3, 3, 3, 3))]
        archive, only = self.chance.random() < 0.4, self.chance.random() < 0.3
        hit = [one for one, _ in pool() if [*_uids(one)][: len(target)] == target]
        wished = {one.sop_uid for one in hit} if archive else set()
        # A crash in the middle leaves it open whether it was wished.
        had, box_wished = set(box.may_delete), wished - box.may_delete
        box.may_delete |= wished
        self.may_be_gone |= wished
        if only:
            self._throw_away(box, {one.sop_uid for one in hit})
        try:
            await box.does(
                box.deletion.delete(*target, only_copies=only, archive=archive)
                if rows
                else box.deletion.delete(*target, archive=archive)
            )
        except (DeletionRefused, InstanceNotFound) as error:
            box.may_delete -= box_wished - had
            self.say(f"{box.name} does not delete #{number}: {type(error).__name__}")
            return
        self.say(f"{box.name} deletes #{number}/{len(target)} {archive=} {only=}")

    def _throw_away(self, box: Box, uids: set[str]) -> None:
        self.thrown_away |= {
            number
            for number, one in enumerate(self.acknowledged)
            if one.box == box.name and one.copy.sop_uid in uids
        }

    async def _decide(self, box: Box) -> None:
        disputes = box.cache.disputes
        found = (await disputes.conflicts()).items
        if not found:
            return
        one = self.chance.choice(found)
        query = Query((one.sop_uid,))
        wish = self.chance.choice(
            ("keep_archive", "keep_ours", "keep_both")
            if one.kind == "archive"
            else ("keep_kept", "keep_other")
        )
        self.disputed.add(one.sop_uid)
        if wish == "keep_kept":
            # The other one is thrown away.
            self._throw_away(box, {one.sop_uid})
        if wish == "keep_ours":
            box.may_give_way.add(one.sop_uid)
        with contextlib.suppress(EdgeError):
            await box.does(getattr(disputes, wish)(query))
        self.say(f"{box.name} decides of {one.sop_uid[-4:]} ({one.kind}): {wish}")

    def _of_cloud(self, name: str) -> None:
        cloud, number = self.cloud, self.chance.randrange(len(pool()))
        copy = pool()[number][self.chance.random() < 0.05]
        if name == "cloud adds":
            if copy.sop_uid not in cloud.copies:
                cloud.put(copy)
        elif name == "cloud edits":
            cloud.edits[copy.study_uid] = f"CORRECTED^{self.chance.randrange(1000)}"
        elif name == "cloud loses":
            target = _uids(copy)[: self.chance.choice((1, 2, 3))]
            for one in list(cloud.copies.values()):
                if _uids(one)[: len(target)] == target:
                    self.may_be_gone.add(one.sop_uid)
                    cloud.remove(one.sop_uid)
        elif name == "cloud refuses":
            cloud.refused[copy.sop_uid] = self.chance.choice((0xA900, 0xC000, 0x0110))
        else:
            cloud.full_until = self.now + self.chance.uniform(0, 2 * DAY)
        self.say(f"{name} #{number}")

    async def _line(self, box: Box) -> None:
        box.way.up = not box.way.up or self.chance.random() < 0.5
        self.say(f"the line of {box.name} is {'up' if box.way.up else 'down'}")

    async def _crash(self, box: Box) -> None:
        """In the middle of what comes next, or at once."""
        if self.chance.random() < 0.7:
            box.crash_at = self.chance.randint(1, 4)
            return
        await box.crash()
        raise Crashed

    async def _restart(self, box: Box) -> None:
        await box.restart()
        check_recovered(box)
        self.say(f"{box.name} starts: {box.recovered}")

    async def _pass_time(self, box: Box) -> None:
        del box
        self.now += self.chance.choice((60.0, HOUR, 6 * HOUR, DAY, 5 * DAY))
        self.say("time passed")

    async def _jump(self, box: Box) -> None:
        del box
        self.now += self.chance.choice((-400 * DAY, -40 * DAY, -DAY, -HOUR, 31 * DAY, 400 * DAY))
        self.say("the clock jumped")

    # Healing -------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Let everything work, and time pass, until nothing moves any more."""
        self.cloud.full_until = 0.0
        for box in self.boxes:
            box.way.up, box.way.faults, box.crash_at = True, 0.0, None
        self.say("all is healed")
        before, still = None, 0
        healed = self.now
        for _ in range(ROUNDS):
            for box in self.boxes:
                for part in _HEALING:
                    await self._work(box, part)
            now = [
                *[await box.rows() for box in self.boxes],
                *[await box.tombstones() for box in self.boxes],
                sorted(self.cloud.copies),
            ]
            still = still + 1 if now == before else 0
            is_reviewed = self.now - healed > _REVIEWED
            if still >= 3 and is_reviewed and not await self._is_waiting():
                return
            before = now
            self.now += 6 * HOUR if still else HOUR

    async def _work(self, box: Box, part: str) -> None:
        before = await box.rows() if part in _HIDING else {}
        for _ in range(100):
            worked = await box.step(part)
            assert not isinstance(worked, CloudError), f"{box.name} {part}: {worked}"
            if not worked or part in ("arbitration", "review"):
                if before:
                    self._check_hidden(box, before, await box.rows())
                return
        raise AssertionError(f"{box.name} {part}: it never ends")

    async def _is_waiting(self) -> bool:
        """Whether time will bring more work, other than to offer again what is refused."""
        for box in self.boxes:
            for row in (await box.rows()).values():
                waits = row["custody"] in ("EDGE_ONLY", "SENT", "ACKNOWLEDGED")
                if row["availability"] == "ONLINE" and waits:
                    return row["sop_uid"] not in self.cloud.refused
            if "DUE" in (await box.tombstones()).values():
                return True
        return False


def _uids(copy: Copy) -> tuple[str, str, str]:
    return copy.study_uid, copy.series_uid, copy.sop_uid


def _ref(copy: Copy):
    return samples.InstanceRef(*_uids(copy))


def simulate(seed: int, operations: int = 150) -> Simulation:
    """Run one seed; it is quick where a `tests.nursery` is in use.

    Raises:
        Failure: With the trace.
    """
    # On a disk of memory, if there is one: a crash here is none of the disk's.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=memory if memory.is_dir() else None))
    simulation = Simulation(seed, folder, operations)
    try:
        with seeded_jitter(str(seed)):
            asyncio.run(simulation.run())
    except Exception as error:
        trace = "\n".join(simulation.trace)
        if not isinstance(error, AssertionError):
            trace += "\n\n" + "".join(traceback.format_exception(error))
        raise Failure(
            f"{trace}\n\nseed {seed} failed: {type(error).__name__}: {error}\n"
            f"again: scripts/simulate --seed {seed}"
        ) from error
    finally:
        shutil.rmtree(folder)
    return simulation
