"""Who is connected, and who gives way when there are too many.

Owns the two bounds of the listener: how many peers are associated, and how many more are connected
without being so. Promises that nobody keeps a new peer out by sitting there: where there is no room
left, the host that takes up most of it loses what it has used least. So one host, whatever it does,
can't lock out another, and strangers can't lock out a known peer. A peer that has a limit of its
own is held to it address by address, before anybody else would have to give way to it; only what
was silent for ``STALE_SECONDS`` there makes room for what comes anew, for a device that was
switched off and on has forgotten its associations. It closes nothing itself, and logs nothing: it
asks a member to give way, and that one does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

__all__ = ["MAX_UNASSOCIATED", "STALE_SECONDS", "Connections", "Member"]

MAX_UNASSOCIATED = 256
"""Connections that have not associated yet, or are about to end; each may hold a half request."""
STALE_SECONDS = 60.0
"""So long an association of a peer at its own limit is silent before it gives way to a new one."""


class Member(Protocol):
    """One connection: an `Association`, or a fake."""

    @property
    def host(self) -> str:
        """The peer's address."""

    @property
    def ae_title(self) -> str:
        """By which the peer calls itself; means something once it is associated."""

    @property
    def own_limit(self) -> int:
        """Associations that the peer may have from this address; 0 means no limit of its own."""

    @property
    def is_stranger(self) -> bool:
        """Whether nobody named it; means something once it is associated."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""

    @property
    def is_ending(self) -> bool:
        """Whether it was told that this is the end, and only its own end is awaited."""

    @property
    def heard(self) -> float:
        """When it last said something; seconds of the event loop's clock."""

    @property
    def worked(self) -> float:
        """When it began, or a request of it but C-ECHO was last answered; likewise."""

    def give_way(self, why: str) -> None:
        """End now; *why* is for the peer's line in the log. It leaves as soon as it is gone."""


class Connections:
    """All connections of one server.

    Args:
        max_associations: How many may be associated.
        max_unassociated: How many may be connected beyond these.
        clock: As `Member.heard`.
    """

    def __init__(
        self,
        max_associations: int,
        max_unassociated: int = MAX_UNASSOCIATED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._max_associations = max_associations
        self._max_unassociated = max_unassociated
        self.turns_away = ""
        """Why nobody may associate for now; empty if they may."""
        # Ordered sets, the oldest first.
        self._associated: dict[Member, None] = {}
        self._unassociated: dict[Member, None] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter((*self._associated, *self._unassociated))

    def __len__(self) -> int:
        return len(self._associated) + len(self._unassociated)

    @property
    def associated(self) -> int:
        """How many are associated."""
        return len(self._associated)

    @property
    def is_quiet(self) -> bool:
        """Whether every association has nothing under way, and did nothing for long.

        One that is kept open by a C-ECHO now and then does nothing.
        """
        since = self._clock() - STALE_SECONDS
        return all(not each.is_busy and each.worked < since for each in self._associated)

    @property
    def is_idle(self) -> bool:
        """Whether no association has anything under way."""
        return not any(each.is_busy for each in self._associated)

    def enter(self, member: Member) -> None:
        """It connected. It always may: if there are too many, another gives way."""
        self._unassociated[member] = None
        if len(self._unassociated) > self._max_unassociated:
            self.relieve("there are too many connections that are not associated")

    def relieve(self, why: str) -> bool:
        """Have one that is not associated give way; whether there was one."""
        if not self._unassociated:
            return False
        host, _ = _most_frequent(self._unassociated)
        crowd = [member for member in self._unassociated if member.host == host]
        # One that ends anyway has the least to lose; min finds the oldest of equals.
        loser = min(crowd, key=lambda member: not member.is_ending)
        # Out of the count at once, although its connection takes a moment to be gone.
        del self._unassociated[loser]
        loser.give_way(why)
        return True

    def admit(self, member: Member) -> str:
        """Count it as associated; else why not: there are too many, and nobody is to give way."""
        if self.turns_away:
            return self.turns_away
        if refusal := self._beyond_its_own(member):
            return refusal
        if len(self._associated) >= self._max_associations:
            loser = self._who_gives_way_to(member)
            if loser is None:
                return "there are as many associations as are allowed"
            self.dissociate(loser)
            loser.give_way("another peer needs an association, and no more are allowed")
        self._unassociated.pop(member, None)
        self._associated[member] = None
        return ""

    def dissociate(self, member: Member) -> None:
        """Its association has ended; its connection will soon."""
        if member in self._associated:
            del self._associated[member]
            self.enter(member)

    def leave(self, member: Member) -> None:
        """Its connection is gone."""
        self._associated.pop(member, None)
        self._unassociated.pop(member, None)

    def _beyond_its_own(self, newcomer: Member) -> str:
        """Hold it to the limit of its peer; why it is refused."""
        limit = newcomer.own_limit
        its = (newcomer.ae_title, newcomer.host)
        own = [it for it in self._associated if limit and (it.ae_title, it.host) == its]
        if len(own) < limit or not limit:
            return ""
        idle = [member for member in own if not member.is_busy]
        oldest = min(idle, key=lambda member: member.heard, default=None)
        if oldest is None or self._clock() - oldest.heard < STALE_SECONDS:
            return f"it has {len(own)} associations, and its max_associations is {limit}"
        self.dissociate(oldest)
        oldest.give_way("its peer began another association, and no more are allowed it")
        return ""

    def _who_gives_way_to(self, newcomer: Member) -> Member | None:
        """The one that is idle and silent for longest, of those that have more than their part.

        Strangers have none beside a known peer. Among equals it is the host with
        most associations, if it still has no fewer than the newcomer's afterwards.
        """
        strangers = [member for member in self._associated if member.is_stranger]
        if newcomer.is_stranger or not strangers:
            equals = strangers if newcomer.is_stranger else list(self._associated)
            host, count = _most_frequent(equals)
            if count < 2 + sum(member.host == newcomer.host for member in equals):
                return None
            candidates = [member for member in equals if member.host == host]
        else:
            candidates = strangers
        return min(candidates, key=lambda member: (member.is_busy, member.heard))


def _most_frequent(members: Iterable[Member]) -> tuple[str, int]:
    """The host that most of them are of, and how many; of none: nobody's, 0."""
    counted = Counter(member.host for member in members).most_common(1)
    return counted[0] if counted else ("", 0)
