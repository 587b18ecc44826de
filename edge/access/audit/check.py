"""Goes through the whole record and says where it was changed, cut, swapped or taken away.

Owns the meaning of every flaw. Promises to name the segment and the entries that each is about, and
to go on behind it: one damaged byte hides nothing of the rest. Changes nothing.

What it can't see: that the newest entries are gone, or that everything is an older copy, if whoever
did it took the index back with it, which remembers the record's head; and entries that were written
anew with the key, by root of a running box. Only a syslog server that was told of each entry, with
its number, shows these.

Blocks: use it from a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from edge.access.audit.entry import Entry, Event
from edge.access.audit.folder import EMPTY, AuditFolder, Head, Segment
from edge.crypto.chain import HEADER, Link, Links, SegmentHeader
from edge.errors import SealBroken

__all__ = ["Fault", "Finding", "Report", "check_record"]

Told = Callable[[float], None]


class Fault(StrEnum):
    """What is wrong."""

    HEADER = "header"
    """The beginning of a segment was changed, or it is sealed with another key."""
    CHANGED = "changed"
    """Entries were changed: they do not open."""
    EXCHANGED = "exchanged"
    """An entry opens, and is not the one that the next was written behind."""
    MISSING = "missing"
    """Entries are not there."""
    MOVED = "moved"
    """An entry stands where another belongs."""
    REMOVED = "removed"
    """Whole segments are not there."""
    FOREIGN = "foreign"
    """A segment stands under the name of another."""
    CUT = "cut"
    """The record ends before what the index remembers of it."""
    TORN = "torn"
    """Its end does not open: a power cut, or somebody changed it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw."""

    fault: Fault
    segment: int
    first: int
    """The first entry that it is about."""
    last: int
    what: str
    is_harmless: bool = False
    """A power cut leaves this, and no entry is known to be missing for it."""


@dataclass(slots=True)
class Report:
    """What was found."""

    segments: int = 0
    entries: int = 0
    """That are sound."""
    since: float = 0.0
    """When the first of them was."""
    head: Head = EMPTY
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.is_harmless for finding in self.findings)


def check_record(folder: AuditFolder, known: Head = EMPTY) -> Report:
    """Go through all of it.

    Args:
        folder: The record's files.
        known: How far it went, as the index remembers.
    """
    return _Check(folder, known).run()


class _Check:
    def __init__(self, folder: AuditFolder, known: Head) -> None:
        self._folder = folder
        self._known = known
        self._report = Report()
        # The last sound entry; None behind damage, when nothing can be compared with the next.
        self._head: Head | None = EMPTY
        self._last = 0
        self._is_first = True
        self._pruned = 0
        self._tail: Finding | None = None

    def run(self) -> Report:
        report, segments = self._report, self._folder.sizes()
        report.segments = len(segments)
        for segment, size in segments:
            try:
                with segment.path.open("rb") as file:
                    self._segment(segment, file.read(size))
                    self._is_first = False
            except FileNotFoundError:
                continue  # its time was over, just now
        if self._tail is not None:
            report.findings.append(self._tail)
        if segments:
            self._compare_numbers([segment.number for segment, _ in segments])
        report.head = self._head or Head(self._last)
        if report.head.number < self._known.number:
            self._found(
                Fault.CUT,
                segments[-1][0].number if segments else 0,
                report.head.number + 1,
                self._known.number,
                f"the record ends with entry {report.head.number}, and had {self._known.number}",
            )
        return report

    def _compare_numbers(self, numbers: list[int]) -> None:
        if numbers[0] > self._pruned + 1:
            what = f"segments {self._pruned + 1} to {numbers[0] - 1} are gone, and nothing says why"
            self._found(Fault.REMOVED, self._pruned + 1, 0, 0, what)
        for number, following in pairwise(numbers):
            if following > number + 1:
                what = f"segments {number + 1} to {following - 1} are gone"
                self._found(Fault.REMOVED, number + 1, 0, 0, what)

    def _segment(self, segment: Segment, data: bytes) -> None:
        try:
            header = SegmentHeader.from_bytes(data, self._folder.key)
        except SealBroken as error:
            self._settle_tail(None)
            if not data:
                self._tail = Finding(
                    Fault.TORN, segment.number, 0, 0, "a segment has no content", is_harmless=True
                )
            else:
                self._found(Fault.HEADER, segment.number, self._last + 1, 0, str(error))
                self._head = None
            return
        self._settle_tail(header)
        if header.number != segment.number:
            what = f"segment {header.number} stands here"
            self._found(Fault.FOREIGN, segment.number, header.first, 0, what)
        self._compare_header(segment, header)
        self._walk(segment, header, data)

    def _settle_tail(self, header: SegmentHeader | None) -> None:
        """The end of the segment before does not open; was it so when the next one was begun?"""
        tail, self._tail = self._tail, None
        if tail is None:
            return
        head = self._head
        seen = header is not None and head is not None and header.previous == head.digest
        if seen and tail.fault is Fault.TORN:
            tail = Finding(
                tail.fault, tail.segment, tail.first, tail.last, tail.what, is_harmless=True
            )
        self._report.findings.append(tail)

    def _compare_header(self, segment: Segment, header: SegmentHeader) -> None:
        """Does it go on where the one before ended?"""
        head, before = self._head, header.first - 1
        if (
            head is None
            or self._is_first
            or (head.number, head.digest) == (before, header.previous)
        ):
            pass  # what was removed before the first one is told by the numbers of the segments
        elif before > head.number:
            what = f"entries {head.number + 1} to {before} are missing before this segment"
            self._found(Fault.MISSING, segment.number, head.number + 1, before, what)
        elif before == head.number:
            what = f"entry {before} is not the one that this segment was begun behind"
            self._found(Fault.EXCHANGED, segment.number - 1, before, before, what)
        else:
            what = f"this segment goes on behind entry {before}, not {head.number}"
            self._found(Fault.MOVED, segment.number, header.first, head.number, what)
        self._head = Head(before, header.previous)
        self._last = before

    def _walk(self, segment: Segment, header: SegmentHeader, data: bytes) -> None:
        links, offset = Links(self._folder.key, header), HEADER
        while offset < len(data):
            following, number = offset, self._last + 1
            try:
                link: Link | None = links.open(data, offset)
            except SealBroken:
                link = links.find(data, offset + 1, number)
                if link is None:
                    what = f"{len(data) - offset} bytes behind entry {number - 1} do not open"
                    self._tail = Finding(Fault.TORN, segment.number, number, number, what)
                    return
                self._damage(segment, number, link)
            assert link is not None
            self._link(segment, link)
            offset = max(link.end, following + 1)

    def _damage(self, segment: Segment, number: int, behind: Link) -> None:
        last = max(number, behind.number - 1)
        which = f"entry {number} does" if last == number else f"entries {number} to {last} do"
        self._found(Fault.CHANGED, segment.number, number, last, f"{which} not open")
        self._head, self._last = None, behind.number - 1

    def _link(self, segment: Segment, link: Link) -> None:
        number, head = self._last + 1, self._head
        if link.number > number:
            what = f"entries {number} to {link.number - 1} are missing"
            self._found(Fault.MISSING, segment.number, number, link.number - 1, what)
        elif link.number < number:
            what = f"entry {link.number} stands where {number} belongs"
            self._found(Fault.MOVED, segment.number, link.number, number, what)
        elif head is not None and link.before != head.digest:
            what = f"entry {number - 1} is not the one that the next was written behind"
            self._found(Fault.EXCHANGED, segment.number, number - 1, number - 1, what)
        if link.number == self._known.number and link.digest != self._known.digest:
            what = f"entry {link.number} is not the one that the index remembers"
            self._found(Fault.EXCHANGED, segment.number, link.number, link.number, what)
        # Behind one that was moved, nothing can be compared, and the numbers go on as they were.
        is_moved = link.number < number
        self._head = None if is_moved else Head(link.number, link.digest)
        self._last = max(self._last, link.number)
        report, entry = self._report, Entry.from_bytes(link.content, link.number)
        report.entries += 1
        report.since = report.since or entry.at
        if entry.event is Event.RECORD_PRUNED:
            self._pruned = max(self._pruned, int(entry.detail.get("segment", 0)))

    def _found(self, fault: Fault, segment: int, first: int, last: int, what: str) -> None:
        self._report.findings.append(Finding(fault, segment, first, last, what))
