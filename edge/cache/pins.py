"""What shall be here at all times, and how much room it may take.

Owns the pins of people; rules of the configuration (``cache.pin``) are pins, too. Promises that
what is pinned is never evicted while all that is pinned fits into ``SHARE`` of the capacity. Beyond
that intake goes first: what does not fit is not fetched, and of what is here the longest unused
may go, that of the rules before that of people.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo

from edge.cache.space import Space
from edge.dicom.uids import is_uid
from edge.errors import DecisionRefused
from edge.index import pins
from edge.index.database import Database
from edge.index.pins import Pin, Pinned, PinnedSize
from edge.rules import pin_of

__all__ = ["SHARE", "Pin", "Pins"]

_NOT_IN_LO = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")
SHARE = 0.5
"""Of the capacity that pinned objects may hold."""
_FILLED = 0.95
"""Of that share, at which nothing more is fetched: what was just fetched must not go again."""


class Pins:
    """Pins of people, and those of the configuration.

    Args:
        database: The index.
        rules: Of the configuration; they were understood once.
        clock: POSIX seconds.
        zone: Of the box; None means what the system says.
    """

    def __init__(
        self,
        database: Database,
        rules: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        self._database = database
        self._rules = tuple(pin_of(text) for text in rules)
        self._clock = clock
        self._zone = zone

    @property
    def pinned(self) -> Pinned:
        """Which studies are, today."""
        today = datetime.fromtimestamp(self._clock(), UTC).astimezone(self._zone).date()
        return Pinned.of(self._rules, today)

    async def add(self, kind: str, value: str, issuer: str = "", who: str = "") -> bool:
        """Pin a study or a patient; whether that is new.

        Raises:
            DecisionRefused: It is no UID, or no Patient ID (PS3.5 6.2, VR LO).
        """
        value, issuer = value.strip(), issuer.strip()
        if kind == "study" and (not is_uid(value) or issuer):
            raise DecisionRefused(
                "that is no study", hint="name its Study Instance UID; only patients have an issuer"
            )
        if not value:
            raise DecisionRefused("a patient without an ID can't be pinned")
        for text in (value, issuer):
            if len(text) > 64 or _NOT_IN_LO.search(text):
                raise DecisionRefused(
                    "that is no Patient ID, or no issuer of one: 64 characters at the most, no"
                    " backslash and no control characters"
                )
        pin = Pin(kind, value, issuer, self._clock(), who)
        return await self._database.write(lambda db: pins.add(db, pin))

    async def remove(self, kind: str, value: str, issuer: str = "") -> bool:
        """Let it go; whether there was such a pin."""
        return await self._database.write(
            lambda db: pins.remove(db, kind, value.strip(), issuer.strip())
        )

    async def all(self) -> list[Pin]:
        """Those of people, the oldest first."""
        return await pins.all_pins(self._database)

    async def named(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Studies, and patients with their issuers, that are pinned by name."""
        people = await pins.all_pins(self._database)
        studies = [one.value for one in people if one.kind == "study"]
        patients = [(one.value, one.issuer) for one in people if one.kind == "patient"]
        studies += [rule.study_uid for rule in self._rules if rule.study_uid]
        patients += [(rule.patient_id, rule.issuer) for rule in self._rules if rule.patient_id]
        return studies, patients

    async def exist(self) -> bool:
        """Whether anything is pinned at all."""
        return bool(self._rules) or await pins.any_pin(self._database)

    async def size(self) -> PinnedSize:
        """How much is pinned, here and in the archive."""
        if not await self.exist():
            return PinnedSize()
        return await pins.pinned_size(self._database, self.pinned)

    async def may_grow(self, capacity: int) -> int:
        """Bytes of pinned objects that may still be fetched."""
        return int(_FILLED * SHARE * capacity) - (await self.size()).here_bytes

    async def beyond(self, space: Space) -> int:
        """Bytes of pinned objects that are here, and that nothing is promised of."""
        return max(0, (await self.size()).here_bytes - int(SHARE * space.capacity))
