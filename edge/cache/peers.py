"""The DICOM peers that a person approved, beside those of the configuration, and who else called.

Owns the choice between the two: an AE title that the configuration names is the configuration's
alone. What was approved is in the index, and in force once `PeerBook.refresh` returns; the service
refreshes whenever it is woken. Promises that what can't be meant is refused when it is approved,
with the words of the configuration, and that it is never wider than was said: where no right is
named it is ``store``, and where no address is, it is the one that the stranger called from.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from edge.cache.changes import Changes
from edge.cache.strangers import Strangers
from edge.config import Dimse
from edge.errors import DecisionRefused
from edge.index import peers
from edge.index.database import Database
from edge.index.peers import PeerRow, Stranger
from edge.others import Peer, Right
from edge.peering import fault_of

__all__ = ["Approved", "Forgotten", "PeerBook", "Reached", "Stranger"]

log = logging.getLogger(__name__)

MOST_APPROVED = 1000
_LOOK_SECONDS = 60.0
"""The index is looked at so often, should a command not have been able to wake the service."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A peer, when it was approved, and by whom."""

    peer: Peer
    approved: float
    who: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten of an AE title."""

    approved: bool
    """It was an approved peer."""
    stranger: bool
    """It stood on the list of strangers."""
    configured: bool
    """The configuration names it, and so lets it in nevertheless."""

    def __bool__(self) -> bool:
        return self.approved or self.stranger


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of calling a peer."""

    ae_title: str
    where: str
    """``HOST:PORT``; empty if it is not said where it is."""
    works: bool
    found: str
    """A sentence."""
    hint: str
    """What to do; empty if nothing is."""
    milliseconds: float


class PeerBook:
    """Approved peers and strangers.

    Args:
        database: The index.
        settings: ``[dimse]``.
        clock: POSIX seconds.
    """

    def __init__(
        self, database: Database, settings: Dimse, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._clock = clock
        self.configured = settings.peer
        self._titles = {peer.ae_title.strip() for peer in settings.peer}
        self._has_authority = settings.tls_ca != Path()
        self.learns = settings.unknown_peers == "learn"
        self.strangers = Strangers(database, clock)
        self._approved: tuple[Approved, ...] = ()

    @property
    def approved(self) -> tuple[Approved, ...]:
        """As of the last `refresh`; those that the configuration names are not in force."""
        return self._approved

    @property
    def in_force(self) -> Sequence[Peer]:
        """Those of the configuration, then those that were approved beside them."""
        beside = [one.peer for one in self._approved if not self.is_configured(one.peer.ae_title)]
        return (*self.configured, *beside)

    def is_configured(self, ae_title: str) -> bool:
        """Whether the configuration names the AE title, and so decides about it alone."""
        return ae_title.strip() in self._titles

    async def refresh(self) -> None:
        """Read the index: what it says is in force once this returns."""
        found = await peers.all_peers(self._database)
        self._approved = tuple(map(_approved, found))
        await self.strangers.reload()

    async def run(self, changes: Changes) -> None:
        """Follow the index, and write strangers to it, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.strangers.run())
            with changes.subscribe() as woken:
                while True:
                    await self.refresh()
                    await woken.wait(_LOOK_SECONDS)

    async def approve(self, peer: Peer, who: str, *, host: str | None = None) -> Approved:
        """Have a peer from now on, in place of what was approved under its AE title.

        Args:
            peer: It; its ``host`` does not count.
            who: Approves it.
            host: That it must call from, empty for any; None: where the stranger called from.

        Raises:
            DecisionRefused: The configuration names it, it can't be meant, or nobody knows where
                it is.
        """
        title = peer.ae_title.strip()
        if self.is_configured(title):
            raise DecisionRefused(
                f"the configuration names {title}, and decides about it alone",
                hint="change its [[dimse.peer]], and start the service again",
            )
        await self.refresh()
        wish = Peer(
            title,
            self._seen_at(title) if host is None else host.strip(),
            peer.port,
            tuple(dict.fromkeys(peer.may)),
            peer.name.strip(),
            peer.tls,
            peer.certificate.strip(),
            peer.max_associations,
        )
        self._check(wish)
        row = PeerRow(
            wish.ae_title,
            wish.host,
            wish.port,
            " ".join(wish.may),
            wish.name,
            int(wish.tls),
            wish.certificate,
            wish.max_associations,
            self._clock(),
            who,
        )
        await self._database.write(lambda db: peers.approve(db, row))
        self.strangers.forget(title)
        await self.refresh()
        log.info("peer %s was approved by %s: may %s", title, who, row.may or "nothing")
        return _approved(row)

    async def forget(self, ae_title: str, who: str) -> Forgotten:
        """Let go of an approved peer, and of strangers of that AE title.

        Raises:
            DecisionRefused: Only the configuration names it.
        """
        title = ae_title.strip()
        is_listed = any(one.ae_title == title for one in self.strangers.all())
        self.strangers.forget(title)
        approved, listed = await self._database.write(lambda db: peers.forget(db, title))
        gone = Forgotten(approved, listed or is_listed, self.is_configured(title))
        await self.refresh()
        if not gone and gone.configured:
            raise DecisionRefused(
                f"{title} is a peer of the configuration",
                hint="take its [[dimse.peer]] away, and start the service again",
            )
        if gone.approved:
            log.info("peer %s was forgotten by %s", ascii(title), who)
        elif gone:
            log.info("stranger %s was taken off the list by %s", ascii(title), who)
        return gone

    def _seen_at(self, title: str) -> str:
        hosts = {one.host for one in self.strangers.all() if one.ae_title == title}
        hosts = hosts or {one.peer.host for one in self._approved if one.peer.ae_title == title}
        if len(hosts) == 1:
            return hosts.pop()
        if hosts:
            raise DecisionRefused(
                f"{title} called from {', '.join(sorted(hosts))}",
                hint="say which one it is: --host ADDRESS",
            )
        raise DecisionRefused(
            f"nobody called as {title}, so it is not known where it is",
            hint='say --host ADDRESS, or --host "" if its address changes',
        )

    def _check(self, peer: Peer) -> None:
        if fault := fault_of(peer, has_authority=self._has_authority):
            raise DecisionRefused(f"{fault.key} {fault.what}", hint=fault.hint)
        if unknown := set(peer.may) - set(get_args(Right)):
            raise DecisionRefused(
                f"may names what is no right: {', '.join(sorted(unknown))}",
                hint=f"there are {', '.join(get_args(Right))}",
            )
        if peer.max_associations < 0:
            raise DecisionRefused("max_associations must not be negative")
        others = sum(one.peer.ae_title != peer.ae_title for one in self._approved)
        if others >= MOST_APPROVED:
            raise DecisionRefused(
                f"there are {others} approved peers", hint="forget some with edge peer forget"
            )


def _approved(row: PeerRow) -> Approved:
    """What a newer version may have called a right is none here."""
    may = tuple(cast(Right, word) for word in row.may.split() if word in get_args(Right))
    peer = Peer(
        row.ae_title,
        row.host,
        row.port,
        may,
        row.name,
        bool(row.tls),
        row.certificate,
        row.max_associations,
    )
    return Approved(peer, row.approved, row.who)
