"""Builds the parts that make the box and its archives equal, and starts them.

Each archive has a line, and is sent and asked about what it is owed by parts of its own: one that
is away or ill holds up no other. The primary one is learned from; those of role ``failover`` stand
in for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from edge import config, others
from edge.cache.absences import Absences
from edge.cache.acts import Tell
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
from edge.cloud.shut import driver_of
from edge.supervision import Supervisor
from edge.sync.absence import AbsenceWatch
from edge.sync.arbitration import Arbitration
from edge.sync.backup import ArchiveBackup
from edge.sync.corrections import Corrections
from edge.sync.failover import Failover, StandIn
from edge.sync.learning import Learning
from edge.sync.line import Line
from edge.sync.link import Link
from edge.sync.notes import Notes
from edge.sync.prefetch import Prefetch
from edge.sync.pull import Pull
from edge.sync.push import Push
from edge.sync.reverify import Reverify
from edge.sync.verify import Verify
from edge.sync.withdraw import Withdraw

__all__ = ["Archives", "Means", "open_archives", "start_sync"]

Archives = Sequence[tuple[others.Archive, Archive]]
"""What is configured of each, and its driver; the primary one first."""

Arbitrating = Callable[[Archive, Link], Arbitration]


async def open_archives(
    stack: AsyncExitStack, cloud: config.Cloud, secret: bytes, line: Line
) -> Archives:
    """Every archive that is configured; one whose secret can't be opened is shut.

    Args:
        stack: Closes them.
        cloud: Says which.
        secret: Opens their secrets.
        line: Each has its way over it.
    """
    archives = []
    for each in cloud.in_order:
        driver = await asyncio.to_thread(driver_of, each, cloud, secret, line.way(each.name))
        stack.push_async_callback(driver.close)
        archives.append((each, driver))
    return archives


@dataclass(frozen=True, slots=True)
class Means:
    """What sync works with."""

    ledger: CustodyLedger
    retrieval: Retrieval
    """Opens what is sent."""
    fetching: Fetching
    """Brings what only an archive has."""
    remedies: Remedies
    """Makes what the primary archive is sent in place of what it refuses."""
    arbitrating: Arbitrating
    """Makes what carries out decisions about it, of its driver and its line."""
    backups: Backups
    """Of the box, which the primary archive gets, too."""
    absences: Absences
    """What archives do not have any more."""
    priors: Priors
    """Says what is to be brought before anybody asks,"""
    headroom: Headroom
    """and how much of that may be."""
    changes: Changes
    """Wakes its parts."""
    line: Line
    """What they may use of it, together."""
    tell: Tell
    """Has in the audit what goes to archives, and is deleted there."""


def start_sync(
    parts: Supervisor,
    archives: Archives,
    means: Means,
    settings: config.Config,
) -> None:
    """Start them all.

    Args:
        parts: Owns them.
        archives: What is configured of each, and its driver; the primary one first.
        means: What they work with.
        settings: How they work.
    """
    ledger, changes = means.ledger, means.changes
    sync = settings.sync
    lines: list[Link] = []
    standing_in: list[StandIn] = []
    for configured, archive in archives:
        is_primary = configured.role == "primary"
        account = ledger if is_primary else ledger.beside(archive.name)
        suffix = "" if is_primary else f" {archive.name}"
        link = Link(archive, ledger, sync, line=means.line)
        mending = means.remedies if is_primary else None
        push = Push(
            account,
            means.retrieval,
            archive,
            link,
            changes,
            sync,
            remedies=mending,
            tell=means.tell,
        )
        corrections = Corrections(means.retrieval)
        verify = Verify(account, archive, link, changes, sync, corrections=corrections)
        parts.start(f"link{suffix}", link.run)
        parts.start(f"push{suffix}", push.run)
        parts.start(f"verify{suffix}", verify.run)
        lines.append(link)
        feed = feed_of(configured, archive)
        missed = means.absences if is_primary else None
        learning = Learning(ledger, archive, link, unlisted=means.backups.studies, absences=missed)
        pull = Pull(ledger, archive, link, learning, sync, feed=feed, absences=missed)
        if sync.reverify_days and configured.role != "failover":
            review = Reverify(
                account,
                means.absences,
                archive,
                link,
                changes,
                sync,
                is_primary=is_primary,
                corrections=corrections,
            )
            parts.start(f"reverify{suffix}", review.run)
        if is_primary:
            parts.start("pull", pull.run)
            parts.start("absence", AbsenceWatch(means.absences, archive, link, changes, sync).run)
            parts.start("notes", Notes(ledger, archive, link, changes).run)
            parts.start("arbitration", means.arbitrating(archive, link).run)
            prefetch = Prefetch(
                means.priors,
                means.headroom,
                ledger,
                means.fetching,
                archive,
                link,
                learning,
                changes,
                sync,
            )
            parts.start("prefetch", prefetch.run)
            if settings.backup.archive:
                parts.start("backup", ArchiveBackup(means.backups, archive, link, sync).run)
        elif configured.role == "failover":
            standing_in.append(StandIn(archive.name, link, pull))
    drivers = [archive for _, archive in archives]
    withdraw = Withdraw(ledger, drivers, lines[0], changes, sync, tell=means.tell)
    parts.start("withdraw", withdraw.run)
    if standing_in:
        failover = Failover(ledger, lines[0], standing_in, means.fetching, changes, sync)
        parts.start("failover", failover.run)
