"""Who called and is no peer: counted in memory, and written to the index now and then.

Promises that no flood of callers makes more of it than ``MOST`` rows, ``MOST_OF_A_HOST`` of one
host, or more than a write in ``PAUSE``: where there is no room, the host that has most of them
loses the one that called longest ago. So one host, whatever it calls itself, keeps no other off the
list.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable

from edge.index import peers
from edge.index.database import Database
from edge.index.peers import Stranger

__all__ = ["MOST", "MOST_OF_A_HOST", "Strangers", "place_of"]

MOST = 256
MOST_OF_A_HOST = 16
PAUSE = 2.0
"""Seconds between two writes."""
_LONGEST = 400
"""Characters of a text about one."""


class Strangers:
    """The list of them.

    Args:
        database: The index.
        clock: POSIX seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[tuple[str, str], Stranger] = {}
        self._places: dict[tuple[str, str], str] = {}  # of those, what counts as their host
        self._changed: set[tuple[str, str]] = set()
        self._gone: set[tuple[str, str]] = set()
        self._noted = asyncio.Event()
        self._writing = asyncio.Lock()

    def note(
        self,
        ae_title: str,
        host: str,
        *,
        called: str,
        services: str,
        why: str,
        certificate: str = "",
    ) -> None:
        """It called, and was refused. Does not wait."""
        now, key = self._clock(), (ae_title, host)
        known = self._known.get(key)
        self._known[key] = Stranger(
            ae_title,
            host,
            called,
            services[:_LONGEST],
            why[:_LONGEST],
            certificate,
            first_seen=known.first_seen if known else now,
            last_seen=now,
            calls=known.calls + 1 if known else 1,
        )
        self._changed.add(key)
        self._gone.discard(key)
        if known is None:
            self._places[key] = place_of(host)
            self._make_room(self._places[key])
        self._noted.set()

    def all(self) -> list[Stranger]:
        """The one that called last first."""
        return sorted(self._known.values(), key=lambda one: -one.last_seen)

    async def run(self) -> None:
        """Write what is noted, until cancelled; what was noted last is written then."""
        try:
            while True:
                await self._noted.wait()
                await self.write()
                await asyncio.sleep(PAUSE)
        finally:
            await self.write()

    async def write(self) -> None:
        """Write what was noted since."""
        async with self._writing:
            self._noted.clear()
            seen = [self._known[key] for key in self._changed]
            gone = list(self._gone)
            self._changed.clear()
            self._gone.clear()
            if not seen and not gone:
                return
            try:
                await self._database.write(lambda db: peers.write_strangers(db, seen, gone))
            except BaseException:
                self._changed |= {(one.ae_title, one.host) for one in seen} & self._known.keys()
                self._gone |= set(gone) - self._known.keys()
                raise

    async def reload(self) -> None:
        """Take over what another process changed in the index."""
        await self.write()
        found = await peers.all_strangers(self._database)
        kept = {(one.ae_title, one.host): one for one in found}
        # What was noted while the index was read counts more.
        kept |= {key: self._known[key] for key in self._changed}
        self._known = kept
        self._places = {key: place_of(key[1]) for key in kept}

    def forget(self, ae_title: str) -> None:
        """Those with this AE title are no more, in the index neither."""
        for key in [key for key in self._known if key[0] == ae_title]:
            del self._known[key], self._places[key]
            self._changed.discard(key)

    def _make_room(self, crowd: str) -> None:
        of_host = [key for key, place in self._places.items() if place == crowd]
        if len(of_host) > MOST_OF_A_HOST:
            self._drop(of_host)
        elif len(self._known) > MOST:
            fullest, _ = Counter(self._places.values()).most_common(1)[0]
            self._drop([key for key, place in self._places.items() if place == fullest])

    def _drop(self, among: list[tuple[str, str]]) -> None:
        key = min(among, key=lambda key: self._known[key].last_seen)
        del self._known[key], self._places[key]
        self._changed.discard(key)
        self._gone.add(key)


def place_of(host: str) -> str:
    """What counts as one host: of IPv6 its network, in which a host has any number of addresses."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
