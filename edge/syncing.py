"""Builds the parts that make the box and its archives equal, and starts them.

Each archive has a line, and is sent and asked about what it is owed by parts of its own: one that
is away or ill holds up no other. The primary one is learned from; those of role ``failover`` stand
in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge import config
from edge.cache.absences import Absences
from edge.cache.backup import Backups
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.fetching import Fetching
from edge.cache.headroom import Headroom
from edge.cache.priors import Priors
from edge.cache.remedies import Remedies
from edge.cache.retrieval import Retrieval
from edge.cloud.archive import Archive
from edge.cloud.feeds import feed_of
from edge.supervision import Supervisor
from edge.sync.absence import AbsenceWatch
from edge.sync.arbitration import Arbitration
from edge.sync.backup import ArchiveBackup
from edge.sync.failover import Failover, StandIn
from edge.sync.line import Line
from edge.sync.link import Link
from edge.sync.notes import Notes
from edge.sync.prefetch import Prefetch
from edge.sync.pull import Pull
from edge.sync.push import Push
from edge.sync.reverify import Reverify
from edge.sync.verify import Verify
from edge.sync.withdraw import Withdraw

__all__ = ["by_role", "start_sync"]

Arbitrating = Callable[[Archive, Link], Arbitration]

_ORDER = ("primary", "failover", "copy")


def by_role(archives: Sequence[config.Archive]) -> list[config.Archive]:
    """The primary one, then those that stand in for it, then those for copies."""
    return sorted(archives, key=lambda archive: _ORDER.index(archive.role))


def start_sync(
    parts: Supervisor,
    archives: Sequence[tuple[config.Archive, Archive]],
    ledger: CustodyLedger,
    retrieval: Retrieval,
    fetching: Fetching,
    remedies: Remedies,
    arbitrating: Arbitrating,
    backups: Backups,
    absences: Absences,
    changes: Changes,
    settings: config.Config,
    line: Line,
    priors: Priors,
    headroom: Headroom,
) -> None:
    """Start them all.

    Args:
        parts: Owns them.
        archives: What is configured of each, and its driver; the primary one first.
        ledger: Custody.
        retrieval: Opens what is sent.
        fetching: Brings what only an archive has.
        remedies: Makes what the primary archive is sent in place of what it refuses.
        arbitrating: Makes what carries out decisions about it, of its driver and its line.
        backups: Of the box, which the primary archive gets, too.
        absences: What archives do not have any more.
        changes: Wakes them.
        settings: How they work.
        line: What they may use of it, together.
        priors: Says what is to be brought before anybody asks.
        headroom: Says how much of that may be.
    """
    sync = settings.sync
    lines: list[Link] = []
    standing_in: list[StandIn] = []
    for configured, archive in archives:
        is_primary = configured.role == "primary"
        account = ledger if is_primary else ledger.beside(archive.name)
        suffix = "" if is_primary else f" {archive.name}"
        link = Link(archive, ledger, sync, line=line)
        mending = remedies if is_primary else None
        push = Push(account, retrieval, archive, link, changes, sync, remedies=mending)
        verify = Verify(account, archive, link, changes, sync)
        parts.start(f"link{suffix}", link.run)
        parts.start(f"push{suffix}", push.run)
        parts.start(f"verify{suffix}", verify.run)
        lines.append(link)
        feed = feed_of(configured, archive)
        pull = Pull(
            ledger,
            archive,
            link,
            sync,
            unlisted=backups.studies,
            feed=feed,
            absences=absences if is_primary else None,
        )
        if sync.reverify_days and configured.role != "failover":
            review = Reverify(
                account, absences, archive, link, changes, sync, is_primary=is_primary
            )
            parts.start(f"reverify{suffix}", review.run)
        if is_primary:
            parts.start("pull", pull.run)
            parts.start("absence", AbsenceWatch(absences, archive, link, changes, sync).run)
            parts.start("notes", Notes(ledger, archive, link, changes).run)
            parts.start("arbitration", arbitrating(archive, link).run)
            prefetch = Prefetch(priors, headroom, ledger, fetching, archive, link, changes, sync)
            parts.start("prefetch", prefetch.run)
            if settings.backup.archive:
                parts.start("backup", ArchiveBackup(backups, archive, link, sync).run)
        elif configured.role == "failover":
            standing_in.append(StandIn(archive.name, link, pull))
    drivers = [archive for _, archive in archives]
    parts.start("withdraw", Withdraw(ledger, drivers, lines[0], changes, sync).run)
    if standing_in:
        failover = Failover(ledger, lines[0], standing_in, fetching, changes, sync)
        parts.start("failover", failover.run)
