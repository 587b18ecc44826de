"""The archive of the simulation: in memory, on the simulated clock, spoken to as ``Archive``.

``Cloud`` is what it has, and what it ever had. ``Way`` is one box's way to it: it misbehaves by
seed, in every manner that the contract knows. What happens to the n-th request of a kind depends on
seed, box, kind and n alone, so that a run can be repeated. Whoever crashes a box does it at a
``point``: just before or just after the archive did what it was asked.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from edge.cloud.archive import StoreOutcome, StoreResult
from edge.cloud.store_answer import results_of
from edge.dicom.digest import Digester
from edge.errors import CloudRefused, CloudUnauthorised, CloudUnreachable, InstanceNotFound
from tests.fakes.archive import held

__all__ = ["Cloud", "Copy", "Way", "copy_of"]

STUDY = (
    "00080020 00080030 00080050 00080090 00081030 00100010 00100020 00100030 00100040 "
    "0020000D 00200010".split()
)


@dataclass(frozen=True)
class Copy:
    """An instance with certain bytes."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    data: bytes
    digest: bytes
    attributes: dict = field(compare=False, repr=False)


_COPIES: dict[bytes, Copy] = {}


def copy_of(data: bytes) -> Copy:
    """Understand an instance; each only once, for pydicom takes its time."""
    if data not in _COPIES:
        digester = Digester()
        digester.update(data)
        one = held(data)
        _COPIES[data] = Copy(
            one.study_uid,
            one.series_uid,
            one.sop_uid,
            one.sop_class_uid,
            data,
            digester.digests()[1],
            json.loads(json.dumps(dict(one.attributes))),
        )
    return _COPIES[data]


class Cloud:
    """What the archive has, and how it is.

    Args:
        clock: POSIX seconds, simulated.
        existing: Of the same UID with other bytes: "keep", "replace" or "conflict".
        listing_delay: Seconds from a store to the first search that shows the instance.
    """

    def __init__(
        self, clock: Callable[[], float], *, existing: str = "keep", listing_delay: float = 0.0
    ) -> None:
        self.clock = clock
        self.existing = existing
        self.listing_delay = listing_delay
        self.deletes = True
        self.copies: dict[str, Copy] = {}
        self.ever: set[tuple[str, bytes]] = set()
        """UID and digest of all that it had at some time."""
        self.replaced: set[str] = set()
        """UIDs whose bytes gave way to others."""
        self.full_until = 0.0
        self.refused: dict[str, int] = {}
        """UID -> the failure reason that it is refused for."""
        self.edits: dict[str, str] = {}
        """Study -> the name of its patient, as somebody corrected it here."""
        self._listed_from: dict[str, float] = {}

    def put(self, copy: Copy, *, at_once: bool = True) -> None:
        """Have an instance from now on."""
        if copy.sop_uid in self.copies:
            self.replaced.add(copy.sop_uid)
        self.copies[copy.sop_uid] = copy
        self.ever.add((copy.sop_uid, copy.digest))
        self._listed_from[copy.sop_uid] = self.clock() + (0.0 if at_once else self.listing_delay)

    def remove(self, sop_uid: str) -> None:
        """Have it no more."""
        del self.copies[sop_uid]

    def listed(self, study=None, series=None, sop=None) -> list[Copy]:
        """What searches and retrievals find."""
        now = self.clock()
        return [
            one
            for one in self.copies.values()
            # A wait that is longer than it ever is was set under a clock that was ahead.
            if not 0 < self._listed_from[one.sop_uid] - now <= self.listing_delay
            and study in (None, one.study_uid)
            and series in (None, one.series_uid)
            and sop in (None, one.sop_uid)
        ]

    def study_rows(self, params: dict[str, str]) -> list[dict]:
        """What a search for studies answers."""
        studies: dict[str, list[Copy]] = {}
        for one in self.listed(study=params.get("StudyInstanceUID")):
            studies.setdefault(one.study_uid, []).append(one)
        rows = []
        for uid, members in sorted(studies.items()):
            row = {tag: members[0].attributes[tag] for tag in STUDY if tag in members[0].attributes}
            if uid in self.edits:
                row["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": self.edits[uid]}]}
            row["00201206"] = {"vr": "IS", "Value": [len({one.series_uid for one in members})]}
            row["00201208"] = {"vr": "IS", "Value": [len(members)]}
            rows.append(row)
        return rows

    def store(self, sent: list[Copy], spoil: dict[str, str]) -> tuple[int, dict]:
        """Take instances; status and data set of the answer.

        Args:
            sent: They.
            spoil: UID -> what goes wrong with it: "lie", "silent", "retry", "wait", "no but yes".
        """
        stored, failed = [], []
        for one in sent:
            fault = spoil.get(one.sop_uid, "")
            if (reason := self._reason(one, fault)) is not None:
                failed.append(_item(one) | {"00081197": {"vr": "US", "Value": [reason]}})
                continue
            known = self.copies.get(one.sop_uid)
            if fault != "lie" and (known is None or self._replaces(known, one)):
                self.put(one, at_once=False)
            if fault == "no but yes":
                failed.append(_item(one) | {"00081197": {"vr": "US", "Value": [0x0110]}})
            elif fault != "silent":
                stored.append(_item(one))
        answer = {}
        if stored:
            answer["00081199"] = {"vr": "SQ", "Value": stored}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": failed}
        return 200 if not failed else 202 if stored else 409, answer

    def _replaces(self, known: Copy, new: Copy) -> bool:
        return self.existing == "replace" and known.digest != new.digest

    def _reason(self, one: Copy, fault: str) -> int | None:
        if self.clock() < self.full_until:
            return 0xA700
        if one.sop_uid in self.refused:
            return self.refused[one.sop_uid]
        if fault == "retry":
            return 0x0110
        if fault == "wait":
            return 45071
        known = self.copies.get(one.sop_uid)
        if self.existing == "conflict" and known is not None and known.digest != one.digest:
            return 45070
        return None


def _item(one: Copy) -> dict:
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [one.sop_uid]},
    }


class Way:
    """A box's way to the cloud; speaks as ``edge.cloud.dicomweb`` does.

    Args:
        name: As the box calls the archive.
        cloud: At the other end.
        seed: What goes wrong, and when.
        point: Awaited just before and just after the archive did something.
        may_delete: Says whether somebody wished that an instance be deleted there.
    """

    STORE = (
        "nobody takes the connection",
        "cut before the end",
        "cut in the middle, the first are kept",
        "kept, and cut before the answer",
        "500 and nothing kept",
        "500 and kept",
        "503",
        "413",
        "401",
        "some of it spoilt",
        "400 with words only, and kept",
    )
    SEARCH = ("unreachable", "unreachable", "refused", "401")
    RETRIEVE = ("unreachable", "cut", "cut", "refused", "404")
    DELETE = ("unreachable", "deleted, and cut before the answer", "refused")

    def __init__(
        self,
        name: str,
        cloud: Cloud,
        seed: str,
        point: Callable[[], Awaitable[None]],
        may_delete: Callable[[str], bool],
    ) -> None:
        self.name = name
        self.cloud = cloud
        self.up = True
        self.faults = 0.0
        """Of the requests: so many go wrong."""
        self._seed = seed
        self._count = Counter[str]()
        self._point = point
        self._may_delete = may_delete

    def _chance(self, kind: str) -> random.Random:
        self._count[kind] += 1
        return random.Random(f"{self._seed}/{kind}/{self._count[kind]}")

    def _fault(self, kind: str, faults: tuple[str, ...]) -> tuple[str, random.Random]:
        chance = self._chance(kind)
        if not self.up:
            raise CloudUnreachable(f"archive {self.name}: the line is down")
        return (chance.choice(faults) if chance.random() < self.faults else ""), chance

    def _raise(self, fault: str) -> None:
        if fault == "unreachable":
            raise CloudUnreachable(f"archive {self.name}: no answer")
        if fault == "401":
            raise CloudUnauthorised(f"archive {self.name}: wrong password")
        if fault == "refused":
            raise CloudRefused(f"archive {self.name}: will not", status=400)

    async def answers(self) -> bool:
        return self.up

    async def close(self) -> None:
        pass

    async def store_instances(self, instances) -> list[StoreResult]:
        fault, chance = self._fault("store", self.STORE)
        if fault == "nobody takes the connection":
            raise CloudUnreachable(f"archive {self.name}: connection refused")
        refs = [one.ref for one in instances]
        unknown = [StoreResult(ref, StoreOutcome.UNKNOWN, text="ReadError") for ref in refs]
        if fault.startswith("cut"):
            read_to = chance.randint(0, len(refs) - 1)
            sent = await _read(instances[: read_to + 1])
            await self._point()
            if fault.endswith("kept"):
                self.cloud.store(sent[:read_to], {})
            return unknown
        sent = await _read(instances)
        await self._point()
        if fault == "503":
            raise CloudUnreachable(f"archive {self.name}: 503", retry_after=5.0)
        if fault == "413" and len(refs) > 1:
            raise CloudRefused(f"archive {self.name}: too large", status=413)
        self._raise(fault)
        if fault == "500 and nothing kept":
            return results_of(refs, None, status=500)
        spoil = {}
        if fault == "some of it spoilt":
            how = ("lie", "silent", "retry", "wait", "no but yes", "")
            spoil = {one.sop_uid: chance.choice(how) for one in sent}
        status, answer = self.cloud.store(sent, spoil)
        await self._point()
        match fault:
            case "kept, and cut before the answer":
                return unknown
            case "500 and kept":
                return results_of(refs, None, status=500)
            case "400 with words only, and kept":
                return results_of(refs, None, status=400, text="no")
        return results_of(refs, answer or None, status=status)

    async def search_studies(self, params=None, *, limit: int, offset: int = 0) -> list[dict]:
        self._raise(self._fault("search", self.SEARCH)[0])
        params = dict(params or {})
        rows = [
            row
            for row in self.cloud.study_rows(params)
            if _in_range(row["00080020"]["Value"][0], params.get("StudyDate"))
        ]
        return rows[offset : offset + limit]

    async def search_series(self, study_uid: str) -> list[dict]:
        self._raise(self._fault("search", self.SEARCH)[0])
        series = {one.series_uid: one for one in self.cloud.listed(study=study_uid)}
        wanted = (*STUDY, "00080060", "0008103E", "0020000E", "00200011")
        return [
            {tag: one.attributes[tag] for tag in wanted if tag in one.attributes}
            for one in series.values()
        ]

    async def search_instances(self, study_uid, series_uid, sop_uid=None) -> list[dict]:
        self._raise(self._fault("search", self.SEARCH)[0])
        return [one.attributes for one in self.cloud.listed(study_uid, series_uid, sop_uid)]

    async def retrieve_metadata(self, study_uid, series_uid=None) -> list[dict]:
        self._raise(self._fault("retrieve", self.SEARCH)[0])
        if not (found := self.cloud.listed(study_uid, series_uid)):
            raise InstanceNotFound("nothing of it is there")
        return [one.attributes for one in found]

    async def retrieve_instance(self, ref) -> AsyncIterator[bytes]:
        fault, chance = self._fault("retrieve", self.RETRIEVE)
        self._raise(fault)
        found = self.cloud.listed(ref.study_uid, ref.series_uid, ref.sop_uid)
        if fault == "404" or not found:
            raise InstanceNotFound(f"archive {self.name} does not have it")
        await self._point()
        data = found[0].data
        if fault == "cut":
            yield data[: chance.randrange(len(data))]
            raise CloudUnreachable(f"archive {self.name}: it broke off")
        yield data

    async def retrieve_study(self, study_uid, series_uid=None) -> AsyncIterator[AsyncIterator]:
        fault, chance = self._fault("retrieve", self.RETRIEVE)
        self._raise(fault)
        found = self.cloud.listed(study_uid, series_uid)
        if fault == "404" or not found:
            raise InstanceNotFound("nothing of it is there")

        async def stream(data: bytes, whole: bool) -> AsyncIterator[bytes]:
            yield data if whole else data[: chance.randrange(len(data))]
            if not whole:
                raise CloudUnreachable(f"archive {self.name}: it broke off")

        breaks_at = chance.randrange(len(found)) if fault == "cut" else len(found)
        for number, one in enumerate(found):
            await self._point()
            yield stream(one.data, number < breaks_at)

    async def delete_instance(self, ref) -> None:
        fault, _ = self._fault("delete", self.DELETE)
        assert self._may_delete(ref.sop_uid), f"{ref.sop_uid}: nobody wished that it be deleted"
        self._raise(fault)
        if not self.cloud.deletes:
            raise CloudRefused(f"archive {self.name} deletes nothing", status=405)
        await self._point()
        if ref.sop_uid not in self.cloud.copies:
            raise InstanceNotFound("it is not there")
        self.cloud.remove(ref.sop_uid)
        await self._point()
        if fault:
            raise CloudUnreachable(f"archive {self.name}: no answer")


async def _read(instances) -> list[Copy]:
    """What goes out, as the archive gets it."""
    found = []
    for outgoing in instances:
        async with aclosing(outgoing.open()) as pieces:
            data = b"".join([piece async for piece in pieces])
        assert len(data) == outgoing.size
        found.append(copy_of(data))
    return found


def _in_range(date: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    earliest, dash, latest = wanted.partition("-")
    latest = latest or ("99991231" if dash else earliest)
    return earliest <= date <= latest
