"""The files of the record: ``data_dir/audit``, written by one process at a time, only ever longer.

Owns the segments ``0000000001.audit`` and so on, and ``lock``, which whoever writes holds for as
long as that takes: the service and a command write one behind the other. Knows nothing of what the
records mean.

Crash order: one write of all records of a group -> fdatasync: only now they are durable. A new
segment: header -> fsync -> fsync the folder -> records. What a power cut leaves torn at the end of
a segment is never written over or cut off: the next writer begins a new segment behind the last
record that opens, and says so. So a damaged end stays there as evidence, whoever damaged it.

Calls block: use them from worker threads.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.crypto.chain import HEADER, START, Link, Links, SegmentHeader, digest_of
from edge.crypto.durable import hand_over, sync_folder
from edge.crypto.sealed import Algorithm
from edge.errors import SealBroken, StorageFull
from edge.index.ballast import Ballast

__all__ = ["EMPTY", "AuditFolder", "Flaw", "Head", "Segment"]

_NAME = re.compile(r"(\d{10})\.audit")
_SEGMENT_BYTES = 4 * 1024 * 1024
_SEGMENT_SECONDS = 7 * 86400.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BALLAST = 1024 * 1024
_OURS = os.O_NOFOLLOW | os.O_CLOEXEC
"""Root's commands write here, too: the folder's owner shall not lead them to another file."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far the record goes."""

    number: int = 0
    """Of its last entry; 0 if there is none."""
    digest: bytes = START


EMPTY = Head()


@dataclass(frozen=True, slots=True)
class Flaw:
    """What was found wrong at the end of the record when it was continued."""

    segment: int
    after: int
    """Number of the last record that is sound."""
    until: int = 0
    """Number of the last one that is known of; 0 if none behind that is."""
    bytes: int = 0
    """Behind it in the segment, of which not all open."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the record."""

    number: int
    path: Path


@dataclass(slots=True)
class _End:
    """Where the record is continued."""

    header: SegmentHeader
    links: Links
    size: int
    head: Head


class AuditFolder:
    """The record's files.

    Args:
        folder: ``data_dir/audit``; made when something is written.
        key: 32 bytes.
        algorithm: For new segments.
        segment_bytes: A longer segment is followed by another.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        algorithm: Algorithm,
        *,
        segment_bytes: int = _SEGMENT_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = folder
        self.key = key
        self._algorithm = algorithm
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._ballast = Ballast(folder / "ballast", _BALLAST)
        self._end: _End | None = None
        self._turn = threading.Lock()

    def append(self, contents: Sequence[bytes], known: Head = EMPTY) -> tuple[Head, list[Flaw]]:
        """Write records; they are durable when this returns.

        Args:
            contents: Of each.
            known: How far the record went for sure, as somebody else remembers it. If it ends
                before that, its numbers go on behind what is missing.

        Returns:
            Its head now, and what was found wrong at its end.

        Raises:
            StorageFull: The disk is full; nothing was written, or it is found torn by the next.
            OSError: The disk fails.
        """
        with self._turn, self._locked():
            try:
                return self._append(contents, known)
            except OSError as error:
                self._end = None  # how far it went is found out by looking
                if error.errno not in _FULL:
                    raise
                if not self._ballast.release():
                    raise StorageFull("the disk is full; the audit can't be written") from error
            try:
                return self._append(contents, known)
            except OSError as error:
                self._end = None
                raise StorageFull("the disk is full; the audit can't be written") from error

    def head(self) -> Head:
        """How far it goes."""
        with self._turn, self._locked():
            end = self._look([])
            return EMPTY if end is None else end.head

    def segments(self) -> list[Segment]:
        """All of them, the oldest first."""
        try:
            found = [(_NAME.fullmatch(path.name), path) for path in self.path.iterdir()]
        except FileNotFoundError:
            return []
        segments = [Segment(int(match[1]), path) for match, path in found if match]
        return sorted(segments, key=lambda segment: segment.number)

    def sizes(self) -> list[tuple[Segment, int]]:
        """All of them, and how long each is when nobody is just writing."""
        if not self.path.exists():
            return []
        with self._turn, self._locked():
            return [(segment, _size(segment.path)) for segment in self.segments()]

    def header(self, segment: Segment) -> SegmentHeader | None:
        """How a segment begins; None if that can't be told."""
        try:
            with segment.path.open("rb") as file:
                return SegmentHeader.from_bytes(file.read(HEADER), self.key)
        except (OSError, SealBroken):
            return None

    def read(self, segment: Segment) -> Iterator[Link]:
        """The records of a segment that open, in their order; what does not is passed over."""
        try:
            data = segment.path.read_bytes()
            header = SegmentHeader.from_bytes(data, self.key)
        except (OSError, SealBroken):
            return
        links, offset, number = Links(self.key, header), HEADER, header.first
        while offset < len(data):
            try:
                link: Link | None = links.open(data, offset)
            except SealBroken:
                link = links.find(data, offset, number)
            if link is None:
                return
            yield link
            offset, number = link.end, link.number + 1

    def expired(self, before: float, most_bytes: int) -> list[Segment]:
        """The oldest segments that are not kept any longer; never the last one.

        Args:
            before: POSIX seconds: what is wholly older.
            most_bytes: That all segments together may have.
        """
        segments = self.segments()
        sizes = [_size(segment.path) for segment in segments]
        total, gone = sum(sizes), list[Segment]()
        for segment, following, size in zip(segments, segments[1:], sizes, strict=False):
            header = self.header(following)
            is_old = header is not None and header.begun < before
            if not is_old and total <= most_bytes:
                break
            gone.append(segment)
            total -= size
        return gone

    def remove(self, segments: Sequence[Segment]) -> None:
        """Remove segments, the oldest first; who does has written that down before."""
        for segment in segments:
            segment.path.unlink(missing_ok=True)
            sync_folder(self.path)

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(_size(segment.path) for segment in self.segments())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """While no other process writes."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | _OURS, 0o600)
        try:
            hand_over(lock, self.path)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _append(self, contents: Sequence[bytes], known: Head) -> tuple[Head, list[Flaw]]:
        flaws = list[Flaw]()
        end = self._look(flaws)
        if end is None:
            if known.number:
                flaws.append(Flaw(0, 0, known.number))
            end = self._begin(known)
        elif end.head.number < known.number:
            flaws.append(Flaw(end.header.number, end.head.number, known.number))
            end = self._begin(known)
        elif flaws or self._is_over(end):
            end = self._begin(end.head)
        head, batch = end.head, bytearray()
        for content in contents:
            record = end.links.seal(head.number + 1, head.digest, content)
            head = Head(head.number + 1, digest_of(record))
            batch += record
        descriptor = os.open(self._path(end.header.number), os.O_WRONLY | os.O_APPEND | _OURS)
        try:
            rest = memoryview(batch)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fdatasync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end.size)  # nobody was told of these
            raise
        finally:
            os.close(descriptor)
        end.size, end.head = end.size + len(batch), head
        self._end = end
        self._ballast.restore()
        return head, flaws

    def _is_over(self, end: _End) -> bool:
        old = self._clock() - end.header.begun > _SEGMENT_SECONDS
        return end.size > self._segment_bytes or (old and end.size > HEADER)

    def _path(self, number: int) -> Path:
        return self.path / f"{number:010}.audit"

    def _begin(self, head: Head) -> _End:
        """Make a new segment behind a head."""
        number = max((segment.number for segment in self.segments()), default=0) + 1
        header = SegmentHeader.new(
            number, head.number + 1, int(self._clock()), head.digest, self._algorithm
        )
        path = self._path(number)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _OURS, 0o600)
        try:
            hand_over(descriptor, self.path)
            os.write(descriptor, header.to_bytes(self.key))
            os.fsync(descriptor)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        sync_folder(self.path)
        return _End(header, Links(self.key, header), HEADER, head)

    def _look(self, flaws: list[Flaw]) -> _End | None:
        """Where it ends now: as it was left, or as another process has continued it."""
        end = self._end
        if end is not None:
            size = _size(self._path(end.header.number))
            if size == end.size and not self._path(end.header.number + 1).exists():
                return end
            self._end = end = None
        segments = self.segments()
        while segments and end is None:
            end = self._walk(segments.pop(), flaws)
        if end is not None:
            self._end = end if not flaws else None
        return end

    def _walk(self, segment: Segment, flaws: list[Flaw]) -> _End | None:
        """The end of a segment; None if nothing in it can be continued."""
        data = segment.path.read_bytes()
        try:
            header = SegmentHeader.from_bytes(data, self.key)
        except SealBroken:
            flaws.append(Flaw(segment.number, 0, bytes=len(data)))
            return None
        links, offset = Links(self.key, header), HEADER
        head = Head(header.first - 1, header.previous)
        while offset < len(data):
            try:
                link = links.open(data, offset)
            except SealBroken:
                break
            if (link.number, link.before) != (head.number + 1, head.digest):
                break
            head, offset = Head(link.number, link.digest), link.end
        if offset < len(data):
            # Records behind the damage are sound perhaps, and their numbers are not used again.
            last, at = head, offset
            while (found := links.find(data, at, last.number + 1)) is not None:
                last, at = Head(found.number, found.digest), found.end
            known = last.number if last is not head else 0
            flaws.append(Flaw(segment.number, head.number, known, len(data) - offset))
            head = last
        return _End(header, links, len(data), head)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
