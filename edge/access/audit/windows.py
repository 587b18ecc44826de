"""Joins acts that a person would call one: a viewer that opens 500 frames has opened one study.

Owns the spans in which they are joined, and how much may be held meanwhile. The first act makes an
entry at once; those that follow it within the span make one more, at its end, which speaks for all
of them. Promises bounded memory, whoever asks for whatever. No I/O, and no clock of its own.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import msgspec

from edge.access.audit.entry import NOBODY, Actor, Entry
from edge.access.throttle import network_of

__all__ = ["Seen", "Windows"]

_IDLE, _LONGEST = 120.0, 900.0
"""Seconds without another act, and from the first, that end a span."""
_COUNTED = 5000
"""Instances that are told apart in a span."""
_COUNTED_IN_ALL = 100_000

_LONGEST_TEXT = 1000
"""Characters of what was asked; a list of thousands of UIDs is held by nobody."""

_TOLD_APART = 120
"""Searches of one actor within a minute, each another; who would push old entries out by new ones
makes few."""

Seen = tuple[str, str]
"""SOP Instance UID and SOP Class UID."""
MANY = Actor("many")
"""Who they are is not told any more."""
FURTHER = "further searches within a minute"
"""What they were is not told any more."""


@dataclass(slots=True)
class _Span:
    entry: Entry
    """The first."""
    begun: float
    last: float
    until: float
    times: int = 0
    said: int = 0
    """Instances that its first entry spoke of."""
    instances: set[int] = field(default_factory=set)
    """Hashes of UIDs: they are counted, and named nowhere."""
    sop_classes: dict[str, int] = field(default_factory=dict)

    def see(self, seen: Iterable[Seen], room: int) -> int:
        """Count instances; how many were not counted before."""
        instances, before = self.instances, len(self.instances)
        most = min(before + room, _COUNTED)
        for sop_uid, sop_class in seen:
            known = hash(sop_uid)
            if known not in instances and len(instances) < most:
                instances.add(known)
                self.sop_classes[sop_class] = self.sop_classes.get(sop_class, 0) + 1
        return len(instances) - before

    def first(self) -> Entry:
        """What is written at once."""
        self.said = len(self.instances)
        if not self.said:
            return self.entry
        return msgspec.structs.replace(
            self.entry, instances=self.said, sop_classes=dict(self.sop_classes)
        )

    def closing(self) -> list[Entry]:
        """What speaks for all of it; nothing if the first entry did."""
        if self.times == 1:
            return []
        return [
            msgspec.structs.replace(
                self.entry,
                until=self.until,
                times=self.times,
                instances=len(self.instances),
                sop_classes=self.sop_classes,
            )
        ]


class Windows:
    """The spans that are under way.

    Args:
        most: That are held; the one that was silent for longest ends early for a new one.
        folded: Beyond that, new acts are joined without telling who did them, or what exactly, but
            from where, of a quarter as many addresses more: for strangers, who may call themselves
            anything.
    """

    def __init__(self, most: int = 2048, *, folded: bool = False) -> None:
        self._most = most
        self._folded = folded
        self._spans: OrderedDict[Hashable, _Span] = OrderedDict()
        self._counted = 0
        self._asked = Counter[Actor]()
        """Searches of this minute, each another."""
        self._minute = 0

    def __len__(self) -> int:
        return len(self._spans)

    def add(self, entry: Entry, now: float, seen: Iterable[Seen] = ()) -> list[Entry]:
        """Take an act; what is to be written now.

        Args:
            entry: The act. Acts that differ in when, reason and detail alone are one.
            now: Seconds of a clock that nobody sets.
            seen: The instances that it was about.
        """
        if len(entry.query) + len(entry.reason) > _LONGEST_TEXT:
            query, reason = entry.query[:_LONGEST_TEXT], entry.reason[:_LONGEST_TEXT]
            entry = msgspec.structs.replace(entry, query=query, reason=reason)
        written, key = list[Entry](), _key_of(entry)
        span = self._spans.get(key)
        if span is None and entry.query and self._is_eager(entry.actor, now):
            entry = msgspec.structs.replace(entry, query=FURTHER)
            key = _key_of(entry)
            span = self._spans.get(key)
        if span is None and self._folded and len(self._spans) >= self._most:
            entry = self._in_a_crowd(entry)
            key = _key_of(entry)
            span = self._spans.get(key)
        if span is not None and (now - span.last >= _IDLE or now - span.begun >= _LONGEST):
            written += self._end(key)
            span = None
        if span is None:
            while not self._folded and len(self._spans) >= self._most:
                written += self._end(next(iter(self._spans)))
            span = self._spans[key] = _Span(entry, now, now, entry.at)
        span.last, span.until, span.times = now, entry.at, span.times + 1
        self._counted += span.see(seen, _COUNTED_IN_ALL - self._counted)
        self._spans.move_to_end(key)
        if span.times == 1:
            written.append(span.first())
        return written

    def _is_eager(self, actor: Actor, now: float) -> bool:
        """Whether they asked for so much within this minute that it is not told apart any more."""
        if (minute := int(now // 60)) != self._minute:
            self._minute = minute
            self._asked.clear()
        self._asked[actor] += 1
        return self._asked[actor] > _TOLD_APART

    def _in_a_crowd(self, entry: Entry) -> Entry:
        """What is left of an act of strangers: whence it came, of so many addresses."""
        entry = msgspec.structs.replace(
            entry,
            actor=msgspec.structs.replace(MANY, address=network_of(entry.actor.address)),
            about=NOBODY,
            what="",
            query="",
            target="",
            reason="",
            detail={},
        )
        if _key_of(entry) in self._spans or len(self._spans) < self._most + self._most // 4:
            return entry
        return msgspec.structs.replace(entry, actor=MANY)

    def due(self, now: float) -> list[Entry]:
        """What speaks for the spans that are over."""
        over = [
            key
            for key, span in self._spans.items()
            if now - span.last >= _IDLE or now - span.begun >= _LONGEST
        ]
        return [entry for key in over for entry in self._end(key)]

    def close(self) -> list[Entry]:
        """End all of them."""
        return [entry for key in list(self._spans) for entry in self._end(key)]

    def _end(self, key: Hashable) -> list[Entry]:
        span = self._spans.pop(key)
        self._counted -= len(span.instances)
        return span.closing()


def _key_of(entry: Entry) -> Hashable:
    return (
        entry.event,
        entry.actor,
        entry.outcome,
        entry.what,
        entry.about.study_uid,
        entry.query,
        entry.target,
    )
