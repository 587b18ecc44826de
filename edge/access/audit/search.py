"""Finds entries in the record, the newest first. Blocks: use it from a worker thread.

There is no index of the record: segments are opened one after the other, from the newest backwards,
and one is in memory at a time. Segments that are wholly outside of the time that is asked for are
not opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.access.audit.entry import Entry, Event
from edge.access.audit.folder import AuditFolder, Segment

__all__ = ["Asked", "entries", "search"]

_SLACK = 3600.0
"""Seconds by which an entry may be older than the segment that it is in: a span ended there."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What entries are looked for; what is empty does not count."""

    patient: str = ""
    """Patient ID, or a part of the name; what was searched for by that name counts, too."""
    study: str = ""
    """Study Instance UID."""
    user: str = ""
    """Part of the name of a user, token or peer, or its AE title, who did it or whom it befell."""
    address: str = ""
    event: Event | None = None
    since: float = 0.0
    """POSIX seconds."""
    until: float = 0.0
    failed: bool = False
    """Only what did not succeed."""
    before: int = 0
    """Only entries with lower numbers: the next page."""
    emergency: str = ""
    """Of this emergency access: its beginning, all that was done under it, and its end."""

    def fits(self, entry: Entry) -> bool:
        """Whether it is one of them."""
        about, actor = entry.about, entry.actor
        return (
            (not self.since or max(entry.at, entry.until) >= self.since)
            and (not self.until or entry.at < self.until)
            and (not self.before or entry.number < self.before)
            and (not self.study or about.study_uid == self.study)
            and (self.event is None or entry.event is self.event)
            and (not self.failed or entry.outcome != 0)
            and (not self.emergency or self.emergency == actor.emergency)
            and (not self.address or actor.address == self.address)
            and (
                not self.user
                or _names(self.user, actor.name, actor.ae_title, actor.token, entry.target)
            )
            and (
                not self.patient
                or about.patient_id == self.patient
                or _names(self.patient, about.patient_name, entry.query)
            )
        )


def search(folder: AuditFolder, asked: Asked, limit: int) -> list[Entry]:
    """The newest entries that fit, up to a limit."""
    found = list[Entry]()
    if limit < 1:
        return found
    begun_after: float | None = None
    for segment in reversed(folder.segments()):
        header = folder.header(segment)
        if begun_after is not None and begun_after < asked.since - _SLACK:
            break  # all that is in this one is older than the segment behind it
        if header is not None:
            begun_after = header.begun
            is_later = asked.until and header.begun - _SLACK > asked.until
            if is_later or (asked.before and header.first >= asked.before):
                continue
        fitting = [entry for entry in _of(folder, segment) if asked.fits(entry)]
        for entry in reversed(fitting):
            found.append(entry)
            if len(found) == limit:
                return found
    return found


def entries(folder: AuditFolder, asked: Asked, after: int = 0) -> Iterator[Entry]:
    """All entries that fit, the oldest first; for an export, and for who forwards them.

    Args:
        folder: The record's files.
        asked: Which.
        after: Only those with higher numbers.
    """
    segments = folder.segments()
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        header = None if following is None else folder.header(following)
        if header is not None and (
            header.first <= after + 1 or header.begun < asked.since - _SLACK
        ):
            continue
        for entry in _of(folder, segment):
            if entry.number > after and asked.fits(entry):
                yield entry


def _of(folder: AuditFolder, segment: Segment) -> Iterator[Entry]:
    for link in folder.read(segment):
        yield Entry.from_bytes(link.content, link.number)


def _names(part: str, *texts: str) -> bool:
    wanted = part.casefold()
    return any(wanted in text.casefold() for text in texts)
