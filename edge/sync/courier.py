"""Delivers what a courier brought: from a disk into the archive, and the receipt onto the disk.

It works at the place with the good line, beside a service or without one. What is in a part is
asked about first, so that what was delivered twice, or came by the line meanwhile, is not sent
again; what the archive lacks goes up by the same push as a box's own (batches that grow and halve,
suspects alone, an unknown answer asked about); and every instance is read back whole by the same
verify, whatever the configuration samples, for the box believes it. The calendar and the budget of
this place don't hold it up: a person waits for it.

The receipt is the state, too: written anew at intervals, at the end and when it is ended early. Who
runs it again goes on where it was. A bundle is never deleted here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge import config
from edge.cache.bundle import Bundle, BundleForbidden, bundles_on, root_of
from edge.cache.changes import Changes
from edge.cache.courier import open_bundle
from edge.cache.disk import held, on_disk
from edge.cache.ledger import Settlement
from edge.cache.statements import VERSION, Complete, PartList, Receipt, Result, decoded
from edge.cloud.archive import Archive
from edge.cloud.listing import list_instances
from edge.crypto.courier import BundleKey, Place, PlaceKeys, Stranger
from edge.dicom.instance import Custody
from edge.errors import CloudError, CloudRefused, SecretError
from edge.sync.carried import CarriedLedger, CarriedParts
from edge.sync.link import Link
from edge.sync.push import Push
from edge.sync.verify import Verify

__all__ = ["Delivered", "Delivery", "Progress"]

_PATIENCE = 3600.0
"""Seconds without a byte or an answer after which a run ends."""
_SAVE_EVERY = 5.0
_LOOK = 1.0

Progress = Callable[[int, int, str], None]
"""Told: instances whose fate is known, instances in all, what is wrong with the line."""


@dataclass(slots=True)
class Delivered:
    """What became of a bundle."""

    bundle: str
    box: str = ""
    images: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    is_complete: bool = False
    """Whether all of it is on the disk."""
    is_ours: bool = False
    """It was packed here: nothing was done."""
    stranger: Place | None = None
    """Who packed it, if that is nobody that is known here: nothing was delivered."""
    troubles: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Instances whose fate is not known."""
        return self.images - self.outcomes.total()


class Delivery:
    """Delivers.

    Args:
        archive: Gets it.
        where: Name and url of it, for receipts.
        settings: Pauses and sizes.
        keys: This place's courier key.
        senders: Boxes whose bundles are delivered.
        place: The name of this place, for receipts.
        progress: Told how far it is; None if nobody wants to know.
        patience: Seconds without any progress after which it ends.
        save_every: Seconds between two receipts.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        archive: Archive,
        where: str,
        settings: config.Sync,
        keys: PlaceKeys,
        senders: Sequence[Place],
        *,
        place: str,
        progress: Progress | None = None,
        patience: float = _PATIENCE,
        save_every: float = _SAVE_EVERY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._where = where
        self._settings = dataclasses.replace(
            settings, verify="all", preview_first=False, calendar=(), monthly_budget_mb=0
        )
        self._keys = keys
        self._senders = tuple(senders)
        self._place = place
        self._tell = progress
        self._patience = patience
        self._save_every = save_every
        self._clock = clock

    async def deliver(self, disk: Path) -> list[Delivered]:
        """Deliver every bundle on a disk that is for this place; what became of each.

        Raises:
            EdgeError: The disk can't be used, another process works on it, or the archive will
                never talk to us.
        """
        with on_disk(disk):
            async with held(root_of(disk)):
                found = await asyncio.to_thread(bundles_on, disk)
                return [await self._deliver_bundle(bundle) for bundle in found]

    async def _deliver_bundle(self, bundle: Bundle) -> Delivered:
        done = Delivered(bundle.number)
        try:
            done.is_ours, key = await asyncio.to_thread(open_bundle, bundle, self._keys)
        except (SecretError, BundleForbidden) as error:
            done.troubles.append(str(error))
            return done
        if done.is_ours:
            return done
        lists = await asyncio.to_thread(self._lists, bundle, key, done)
        done.images = sum(len(each.entries) for each in lists.values())
        for number, each in lists.items():
            results = await self._deliver_part(bundle, key, number, each)
            done.outcomes.update(result.outcome for result in results)
        return done

    def _lists(self, bundle: Bundle, key: BundleKey, done: Delivered) -> dict[int, PartList]:
        """The lists that can be read and believed; the rest is said."""
        lists: dict[int, PartList] = {}
        for number in bundle.parts():
            name = f"{number:04}.list"
            try:
                sender, content = key.stated(name, bundle.read(name), self._senders)
                each = decoded(content, PartList)
            except Stranger as error:
                done.stranger = error.place
                return {}
            except (SecretError, OSError) as error:
                done.troubles.append(f"part {number} can't be delivered: {error}")
                continue
            # Who could open a bundle could wrap its key for others in the sender's name.
            if self._keys.place.digest not in each.recipients or sender == self._keys.place:
                done.troubles.append(f"part {number} is not for this place")
                continue
            lists[number], done.box = each, each.box
        self._look_at_end(bundle, key, set(lists), done)
        return lists

    def _look_at_end(
        self, bundle: Bundle, key: BundleKey, there: set[int], done: Delivered
    ) -> None:
        try:
            _, content = key.stated("complete", bundle.read("complete"), self._senders)
            missing = set(decoded(content, Complete).parts) - there
        except FileNotFoundError:
            done.troubles.append("it was not packed to its end; the parts that are whole go")
            return
        except (SecretError, OSError) as error:
            done.troubles.append(f"its end can't be read: {error}")
            return
        done.is_complete = not missing
        if missing:
            done.troubles.append(f"parts are missing: {', '.join(map(str, sorted(missing)))}")

    async def _deliver_part(
        self, bundle: Bundle, key: BundleKey, number: int, listed: PartList
    ) -> tuple[Result, ...]:
        name = f"{number:04}.{self._keys.place.digest[:8].hex()}.receipt"
        earlier = await asyncio.to_thread(self._earlier, bundle, key, name)
        changes = Changes()
        words = [""]
        ledger = CarriedLedger(
            listed.entries, earlier, changes, lambda said: words.__setitem__(0, said), self._clock
        )
        if not ledger.left:
            return ledger.results

        async def save() -> None:
            receipt = Receipt(VERSION, self._place, self._where, ledger.results)
            statement = key.state(name, msgspec.msgpack.encode(receipt), self._keys)
            await asyncio.to_thread(bundle.write, name, statement)

        parts = CarriedParts(bundle, key, listed.entries, ledger)
        try:
            await self._run(ledger, parts, changes, save, words)
        finally:
            await parts.close()
            await save()
        return ledger.results

    def _earlier(self, bundle: Bundle, key: BundleKey, name: str) -> tuple[Result, ...]:
        """What an earlier run wrote; nothing if it was of another archive, or can't be read."""
        try:
            _, content = key.stated(name, bundle.read(name), [self._keys.place])
            receipt = decoded(content, Receipt)
        except (SecretError, OSError):
            return ()
        return receipt.results if receipt.archive == self._where else ()

    async def _run(
        self,
        ledger: CarriedLedger,
        parts: CarriedParts,
        changes: Changes,
        save: Callable[[], Awaitable[None]],
        words: Sequence[str],
    ) -> None:
        """Work until every fate is known, or nothing moves any more."""
        settings, archive, clock = self._settings, self._archive, self._clock
        link = Link(archive, ledger, settings, clock=clock)
        push = Push(ledger, parts, archive, link, changes, settings, clock=clock)
        verify = Verify(ledger, archive, link, changes, settings, clock=clock)
        try:
            async with asyncio.TaskGroup() as group:
                working = [
                    group.create_task(link.run(), name="courier link"),
                    group.create_task(self._ask(ledger, link), name="courier asks"),
                    group.create_task(push.run(), name="courier push"),
                    group.create_task(verify.run(), name="courier verify"),
                ]
                try:
                    await self._watch(ledger, changes, save, words)
                finally:
                    for task in working:
                        task.cancel()
        except ExceptionGroup as failures:
            # One thing went wrong; what else was under way is asked about next time.
            raise failures.exceptions[0] from None

    async def _watch(
        self,
        ledger: CarriedLedger,
        changes: Changes,
        save: Callable[[], Awaitable[None]],
        words: Sequence[str],
    ) -> None:
        now = time.monotonic()
        moves, moved_at, saved_at = ledger.moves, now, now
        with changes.subscribe() as woken:
            while ledger.left:
                await woken.wait(_LOOK)
                now = time.monotonic()
                if self._tell is not None:
                    self._tell(ledger.count - ledger.left, ledger.count, words[0])
                if ledger.moves != moves:
                    moves, moved_at = ledger.moves, now
                elif now - moved_at > self._patience:
                    return
                if now - saved_at > self._save_every:
                    await save()
                    saved_at = now

    async def _ask(self, ledger: CarriedLedger, link: Link) -> None:
        """Ask what is there before anything is sent; what it can't say of is sent."""
        for series in ledger.unasked():
            while True:
                await link.wait_online()
                try:
                    listing = await list_instances(self._archive, [one.ref for one in series])
                except CloudRefused:
                    found = frozenset[str]()
                except CloudError as error:
                    link.failed(error)
                    continue
                else:
                    found = listing.found
                break
            there = [one for one in series if one.ref.sop_uid in found]
            if there:
                await ledger.settle(
                    [Settlement(one.instance_id, Custody.ACKNOWLEDGED) for one in there]
                )
            ledger.asked(one for one in series if one.ref.sop_uid not in found)
