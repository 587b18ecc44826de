"""What went wrong with associations, in either direction: counted, and written now and then.

Repeats are one row. Promises that no flood makes more of it than ``MOST_OF_STRANGERS`` rows of
those who are no peers and ``MOST`` of peers, ``MOST_OF_A_PEER`` of one peer, ``MOST_OF_A_HOST`` of
one host, or more than a write in ``PAUSE``: where there is no room, whoever has most rows loses the
one that was seen longest ago. So no stranger takes room of a peer, and no host another's. Noting
does not wait, and holds no name or UID of a patient's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from edge.cache.strangers import place_of
from edge.errors import StorageFull
from edge.index import associations
from edge.index.associations import AssociationRow, Key
from edge.index.database import Database, DatabaseBroken

__all__ = [
    "FINE",
    "Associations",
    "Change",
    "Diagnosis",
    "Direction",
    "Finding",
    "Other",
    "PeerState",
    "RefusedContext",
    "Side",
    "Trouble",
]

log = logging.getLogger(__name__)

MOST = 1024
MOST_OF_STRANGERS = 256
MOST_OF_A_PEER = 48
MOST_OF_A_HOST = 16
PAUSE = 2.0
"""Seconds between two writes."""
KEEP_DAYS = 90
_DAY = 86400.0
_FINE_PAUSE = 60.0
"""Seconds between two writes of one row that says that all is well."""
_LONGEST = 600
"""Characters of a text."""
FINE = "fine"
"""The kind of an association without trouble."""


class Direction(StrEnum):
    """Who asked for the association."""

    IN = "in"
    """The other one: it called us."""
    OUT = "out"
    """We called it."""


class Side(StrEnum):
    """Where something has to be changed."""

    DEVICE = "device"
    BOX = "box"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Change:
    """What to change, on one side."""

    side: Side
    what: str


@dataclass(frozen=True, slots=True)
class RefusedContext:
    """A presentation context that was refused."""

    sop_class: str
    """Its name; its UID, if it has none."""
    sop_class_uid: str
    why: str
    offered: tuple[str, ...] = ()
    """Transfer syntaxes that were proposed, by name."""
    accepted: tuple[str, ...] = ()
    """Those that the other side would take; empty: any, or it does not say."""


@dataclass(frozen=True, slots=True)
class Other:
    """The other side of an association, as far as it is known."""

    direction: Direction
    ae_title: str = ""
    host: str = ""
    """The address that it called from; or, where we called, ``HOST:PORT``."""
    is_known: bool = False
    """Whether it is a peer."""
    called: str = ""
    """The AE title that was called."""
    implementation: str = ""
    """Its Implementation Version Name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What went wrong, in words."""

    kind: str
    what: str
    """A sentence that goes on from who it was: "it called …"."""
    changes: tuple[Change, ...] = ()
    """Empty: nothing has to be."""
    about: str = ""
    """Tells several of one kind apart."""
    contexts: tuple[RefusedContext, ...] = ()
    is_harmless: bool = False
    """The association counts as one without trouble nevertheless."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A row: what went wrong, with whom, and how often; ``kind = "fine"``: nothing did."""

    direction: Direction
    ae_title: str
    host: str
    kind: str
    about: str
    is_known: bool
    called: str
    implementation: str
    what: str
    changes: tuple[Change, ...]
    contexts: tuple[RefusedContext, ...]
    first_seen: float
    last_seen: float
    times: int
    fine_since: float | None = None
    """When an association with it, the same way, was last without any trouble, after this."""


@dataclass(frozen=True, slots=True)
class PeerState:
    """How it stands with a peer of the configuration, or one that was approved."""

    ae_title: str
    name: str
    host: str
    called: float | None
    """When it last called, and all went well."""
    was_called: float | None
    """When we last called it, and all went well."""
    missing: Finding | None
    """It has never called: what to look for."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known."""

    peers: tuple[PeerState, ...]
    troubles: tuple[Trouble, ...]
    """The one that was seen last first."""
    is_known: bool = True
    """False if there is no such peer, and nobody called so."""


class Associations:
    """The book of them.

    Args:
        database: The index.
        clock: POSIX seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._rows = _Rows()
        self._new: dict[Key, AssociationRow] = {}
        self._gone: dict[Key, None] = {}
        self._fine_written: dict[Key, float] = {}
        self._noted = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(self, other: Other, finding: Finding) -> None:
        """It happened, once more or for the first time. Does not wait."""
        now = self._clock()
        title, host = other.ae_title[:64], other.host[:256]
        key = (str(other.direction), title, host, finding.kind, finding.about[:64])
        before = self._new.get(key)
        self._new[key] = AssociationRow(
            *key,
            int(other.is_known),
            other.called[:64],
            other.implementation[:64],
            finding.what[:_LONGEST],
            msgspec.json.encode(finding.changes).decode(),
            msgspec.json.encode(finding.contexts).decode(),
            first_seen=before.first_seen if before else now,
            last_seen=now,
            times=before.times + 1 if before else 1,
        )
        for lost in self._rows.saw(key, other.is_known, now):
            self._new.pop(lost, None)
            self._fine_written.pop(lost, None)
            self._gone[lost] = None
        if finding.kind != FINE or now - self._fine_written.get(key, 0.0) >= _FINE_PAUSE:
            self._noted.set()

    async def run(self) -> None:
        """Write what is noted, until cancelled."""
        await self.reload()
        try:
            while True:
                await self._noted.wait()
                await self.write_if_possible()
                await asyncio.sleep(PAUSE)
        finally:
            await self.write_if_possible()

    async def write(self) -> None:
        """Write what was noted since."""
        async with self._writing:
            self._noted.clear()
            now = self._clock()
            new, self._new = self._new, {}
            gone, self._gone = self._gone, {}
            if not new and not gone:
                return
            rows, before = list(new.values()), now - KEEP_DAYS * _DAY
            try:
                await self._database.write(
                    lambda db: associations.write_associations(db, rows, gone, before)
                )
            except BaseException:
                self._take_back(new, gone)
                raise
            self._fine_written |= dict.fromkeys((key for key in new if key[3] == FINE), now)

    async def all(self) -> list[Trouble]:
        """The one that was seen last first; what other processes wrote, too."""
        await self.write_if_possible()
        return [_trouble(row) for row in await associations.all_associations(self._database)]

    async def reload(self) -> None:
        """Know what is in the index, whoever wrote it."""
        rows = _Rows()
        for key, is_known, seen in await associations.keys(self._database):
            for lost in rows.saw(key, is_known, seen):
                self._gone[lost] = None
        for key, row in list(self._new.items()):
            for lost in rows.saw(key, bool(row.known), row.last_seen):
                self._new.pop(lost, None)
                self._gone[lost] = None
        self._rows = rows

    async def write_if_possible(self) -> None:
        """As `write`; if there is no room for it now, it is written later."""
        try:
            await self.write()
        except (StorageFull, DatabaseBroken) as error:
            log.warning("what went wrong with associations is not written down now: %s", error)

    def _take_back(self, new: dict[Key, AssociationRow], gone: dict[Key, None]) -> None:
        """Have it written the next time, but for what gave way meanwhile."""
        for key, row in new.items():
            if key not in self._rows:
                continue
            later = self._new.get(key)
            self._new[key] = (
                replace(later, first_seen=row.first_seen, times=later.times + row.times)
                if later
                else row
            )
        self._gone = gone | self._gone
        self._noted.set()


class _Rows:
    """Which rows there are, and which have to go for others.

    A crowd is one peer, or all who are none; in it, every host has rows of its own.
    """

    def __init__(self) -> None:
        self._crowds: dict[str, dict[str, dict[Key, float]]] = {}
        self._of: dict[Key, tuple[str, str]] = {}
        self._sizes: dict[str, int] = {}
        self._peers = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._of

    def saw(self, key: Key, is_known: bool, now: float) -> list[Key]:
        """It was seen; those that go."""
        # Space begins no AE title of which the padding was taken away.
        crowd = key[1] if is_known else " "
        lost = []
        known = self._of.get(key)
        if known is not None and known[0] != crowd:
            self._drop(key)  # it became a peer, or is one no more
            known = None
        if known is None:
            known = self._of[key] = crowd, place_of(key[2])
            self._sizes[crowd] = self._sizes.get(crowd, 0) + 1
            self._peers += is_known
        # What was seen last stands last, so that the first of equals is the one to go.
        places = self._crowds[crowd] = self._crowds.pop(crowd, {})
        place = places[known[1]] = places.pop(known[1], {})
        place[key] = now
        if len(place) > MOST_OF_A_HOST:
            lost.append(_oldest(place))
        elif self._sizes[crowd] > (MOST_OF_A_PEER if is_known else MOST_OF_STRANGERS):
            lost.append(self._of_fullest_place(crowd))
        elif is_known and self._peers > MOST:
            peers = (each for each in self._crowds if each != " ")
            lost.append(self._of_fullest_place(max(peers, key=self._sizes.__getitem__)))
        for each in lost:
            self._drop(each)
        return lost

    def _of_fullest_place(self, crowd: str) -> Key:
        return _oldest(max(self._crowds[crowd].values(), key=len))

    def _drop(self, key: Key) -> None:
        crowd, place = self._of.pop(key)
        places = self._crowds[crowd]
        del places[place][key]
        if not places[place]:
            del places[place]
        self._sizes[crowd] -= 1
        self._peers -= crowd != " "
        if not places:
            del self._crowds[crowd], self._sizes[crowd]


def _oldest(place: dict[Key, float]) -> Key:
    """Trouble goes before the word that all was well."""
    return min(place, key=lambda key: (key[3] == FINE, place[key]))


def _trouble(row: AssociationRow) -> Trouble:
    return Trouble(
        Direction(row.direction),
        row.ae_title,
        row.host,
        row.kind,
        row.about,
        bool(row.known),
        row.called,
        row.implementation,
        row.what,
        msgspec.json.decode(row.changes, type=tuple[Change, ...]),
        msgspec.json.decode(row.contexts, type=tuple[RefusedContext, ...]),
        row.first_seen,
        row.last_seen,
        row.times,
    )
