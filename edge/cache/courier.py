"""What comes back on a disk: receipts, and custody by them; and what a disk holds.

A receipt is believed if a place signed it that ``courier.recipients`` names. Whoever writes a key
there says: this place delivers into our primary archive, and what it says of it holds.

Why VERIFIED may come of that. It means: the archive was asked again and has exactly this object.
That place did so, with the same code as this box would: it stored the instance, read it back whole,
and states the SHA-256 of the data set that came. The digest is compared here, with that of the
bytes that were packed and of those that are here now. So the only thing that is believed is that a
pinned key tells the truth about where it looked; the archive's own word is believed for no more. It
counts from when that place looked: a disk that was under way for long proves nothing new, and
eviction, which asks the archive itself once the line is up, believes it without for as long as any
verification. Without it a box that has no line could never make room, which is what a courier is
for.

Promises that a receipt moves custody once, but to better it, and never what changed since: not
bytes that are others now, nor an instance of which the archive itself has spoken over the line (a
trigger of the schema notes that), nor one of a bundle that was closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.cache.bundle import Bundle, BundleForbidden, bundles_on, root_of
from edge.cache.disk import held, on_disk
from edge.cache.statements import Complete, Outcome, PartList, Receipt, Result, decoded
from edge.crypto.courier import BundleKey, Place, PlaceKeys, Stranger
from edge.dicom.instance import Custody
from edge.errors import SealBroken, SecretError, WrongKey
from edge.index import courier
from edge.index.courier import Seen
from edge.index.database import Connection, Database
from edge.index.disputes import Theirs

__all__ = ["Described", "Receipts", "Taken", "describe", "open_bundle"]

_AT_ONCE = 500
"""Results in one transaction."""
_CUSTODY = {
    Outcome.VERIFIED: Custody.VERIFIED,
    Outcome.STORED: Custody.ACKNOWLEDGED,
    Outcome.REFUSED: Custody.REFUSED,
    Outcome.CONFLICT: Custody.CONFLICT,
    Outcome.DAMAGED: None,
}


@dataclass(slots=True)
class Taken:
    """What the receipts of a bundle said."""

    bundle: str
    outcomes: Counter[str] = field(default_factory=Counter)
    """New ones, by what became of the instance here."""
    waiting: int = 0
    """Instances of which more is to be heard."""
    receipts: int = 0
    """That were believed."""
    troubles: list[str] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether the bundle is of no more use."""
        return not self.waiting and not self.troubles


class Receipts:
    """Takes them in.

    Args:
        database: The index.
        keys: The box's own courier key.
        recipients: The places that are believed.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        keys: PlaceKeys,
        recipients: Sequence[Place],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keys = keys
        self._recipients = tuple(recipients)
        self._clock = clock

    async def take(self, disk: Path) -> tuple[list[Taken], int]:
        """Take in what is on a disk; what it said, and how many bundles are not of this box.

        Raises:
            EdgeError: The disk can't be read, or another process works on it.
        """
        taken, others = [], 0
        with on_disk(disk):
            async with held(root_of(disk)):
                for bundle in await asyncio.to_thread(bundles_on, disk):
                    try:
                        key = await asyncio.to_thread(self._own, bundle)
                    except BundleForbidden as error:
                        taken.append(Taken(bundle.number, troubles=[str(error)]))
                        continue
                    if key is None:
                        others += 1
                    elif await courier.knows(self._database, bundle.number):
                        taken.append(Taken(bundle.number))  # closed: it counts no more
                    else:
                        taken.append(await self._take(bundle, key))
        return taken, others

    async def delete(self, disk: Path, number: str) -> list[str]:
        """Delete a bundle from a disk, and be done with it; names of what is no file of it, if any.

        Crash order: closed first; then what is left of it on the disk, or on a copy, is harmless.

        Raises:
            EdgeError: The disk can't be written, or another process works on it.
        """
        now = self._clock()
        await self._database.write(lambda db: courier.begin(db, number, now))
        await self._database.write(lambda db: courier.close(db, number, now))
        left: list[str] = []
        with on_disk(disk):
            async with held(root_of(disk)):
                for bundle in await asyncio.to_thread(bundles_on, disk):
                    if bundle.number == number:
                        left += await asyncio.to_thread(bundle.delete)
        return left

    def _own(self, bundle: Bundle) -> BundleKey | None:
        keys = (self._keys.made(bundle.number, one) for one in bundle.envelopes())
        return next((key for key in keys if key is not None), None)

    async def _take(self, bundle: Bundle, key: BundleKey) -> Taken:
        taken = Taken(bundle.number)
        if await courier.knows(self._database, bundle.number) is None:
            # The index was lost since, or the box was ended before it could write it down.
            await self._know_again(bundle, key)
        results: list[Result] = []
        for name in await asyncio.to_thread(bundle.receipts):
            try:
                results += (await asyncio.to_thread(self._read, bundle, key, name)).results
            except Stranger as error:
                taken.troubles.append(f"receipt {name[:4]}: {error}: it is not believed")
            except (SecretError, OSError) as error:
                taken.troubles.append(f"receipt {name[:4]} can't be read: {error}")
            else:
                taken.receipts += 1
        # What one place could not read another may have delivered.
        results.sort(key=lambda result: result.outcome is Outcome.DAMAGED)
        for at in range(0, len(results), _AT_ONCE):
            seen = [_seen(result) for result in results[at : at + _AT_ONCE]]
            taken.outcomes.update(await self._settle(bundle.number, seen))
        taken.waiting = await courier.under_way(self._database, bundle.number)
        return taken

    def _read(self, bundle: Bundle, key: BundleKey, name: str) -> Receipt:
        _, content = key.stated(name, bundle.read(name), self._recipients)
        return decoded(content, Receipt)

    async def _settle(self, number: str, seen: Sequence[Seen]) -> list[str]:
        now = self._clock()

        def write(db: Connection) -> list[str]:
            return [what for one in seen if (what := courier.settle(db, number, one, now))]

        return await self._database.write(write)

    async def _know_again(self, bundle: Bundle, key: BundleKey) -> None:
        """Know from the disk what is in a bundle: its lists are signed by this box."""
        lists = await asyncio.to_thread(
            lambda: [each for _, each in _lists(bundle, key, [self._keys.place])]
        )

        def write(db: Connection) -> None:
            for each in lists:
                courier.begin(db, bundle.number, each.packed)
                names = [(entry.sop_uid, entry.dataset_digest) for entry in each.entries]
                courier.pack(db, bundle.number, names, each.packed)

        await self._database.write(write)


def _seen(result: Result) -> Seen:
    theirs = None
    if result.outcome is Outcome.CONFLICT and result.digest:
        theirs = Theirs(result.digest, result.transfer_syntax, result.length)
    return Seen(
        sop_uid=result.sop_uid,
        outcome=result.outcome,
        custody=_CUSTODY[result.outcome],
        at=result.at,
        digest=result.digest,
        words=result.words,
        lasting=result.lasting,
        theirs=theirs,
    )


# What is on a disk --------------------------------------------------------------------------------


@dataclass(slots=True)
class Described:
    """A bundle on a disk; what is in it only for those who can open it."""

    bundle: str
    size: int
    """Bytes on the disk."""
    parts: int
    receipts: int
    is_ours: bool = False
    """This place made it."""
    is_open: bool = False
    """It can be opened here."""
    box: str = ""
    packed: float = 0.0
    images: int = 0
    bytes: int = 0
    is_complete: bool = False
    by: str = ""
    """Fingerprint of who packed it."""
    delivered: dict[str, int] = field(default_factory=dict)
    """By outcome, of the receipts that can be read."""
    trouble: str = ""


def describe(disk: Path, keys: PlaceKeys, known: Iterable[Place]) -> list[Described]:
    """What is on a disk; counts only. Blocks.

    Args:
        disk: Where.
        keys: This place's.
        known: Those whose statements are believed.
    """
    believed = [*known, keys.place]
    with on_disk(disk):
        return [_described(bundle, keys, believed) for bundle in bundles_on(disk)]


def _described(bundle: Bundle, keys: PlaceKeys, believed: Sequence[Place]) -> Described:
    """What is in one; one that can't be read hides no other."""
    try:
        names = bundle.names()
        parts = sum(name.endswith(".part") for name in names)
        found = Described(bundle.number, bundle.size(), parts, len(bundle.receipts()))
        strange = bundle.strange()
    except OSError as error:
        return Described(bundle.number, 0, 0, 0, trouble=f"{error.strerror}: it can't be read")
    found = _describe(found, bundle, names, keys, believed)
    if strange:
        what = f"it is damaged: {', '.join(strange)} is no file, but a link or a folder"
        found.trouble = "; ".join(filter(None, (what, found.trouble)))
    return found


def _describe(
    found: Described,
    bundle: Bundle,
    names: Container[str],
    keys: PlaceKeys,
    believed: Sequence[Place],
) -> Described:
    try:
        found.is_ours, key = open_bundle(bundle, keys)
    except (SecretError, BundleForbidden) as error:
        found.trouble = str(error)
        return found
    found.is_open = True
    try:
        for place, each in _lists(bundle, key, believed):
            found.by, found.box, found.packed = place.fingerprint, each.box, each.packed
            found.images += len(each.entries)
            found.bytes += sum(entry.size for entry in each.entries)
        if "complete" in names:
            _, content = key.stated("complete", bundle.read("complete"), believed)
            whole = decoded(content, Complete).parts
            found.is_complete = set(whole) <= set(bundle.parts())
        delivered = Counter[str]()
        for name in bundle.receipts():
            _, content = key.stated(name, bundle.read(name), believed)
            delivered.update(result.outcome for result in decoded(content, Receipt).results)
        found.delivered = dict(delivered)
    except (SecretError, OSError) as error:
        found.trouble = str(error)
    return found


def open_bundle(bundle: Bundle, keys: PlaceKeys) -> tuple[bool, BundleKey]:
    """Whether this place made a bundle, and its key.

    Raises:
        SecretError: It is for others, or both envelopes are damaged.
        BundleForbidden: This user may not read it.
    """
    problem: SecretError = SealBroken("both envelopes of it are missing or damaged")
    for envelope in bundle.envelopes():
        if key := keys.made(bundle.number, envelope):
            return True, key
        try:
            return False, keys.open_envelope(bundle.number, envelope)
        except SecretError as error:
            # One that is whole, and for others, says more than one that is damaged.
            problem = problem if isinstance(problem, WrongKey) else error
    raise problem


def _lists(
    bundle: Bundle, key: BundleKey, believed: Sequence[Place]
) -> Iterator[tuple[Place, PartList]]:
    """The lists of its parts, those that can be read."""
    for number in bundle.parts():
        name = f"{number:04}.list"
        try:
            place, content = key.stated(name, bundle.read(name), believed)
            yield place, decoded(content, PartList)
        except Stranger:
            raise
        except (SecretError, OSError):
            continue
