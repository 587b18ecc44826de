"""Guessing, slowed down: by the name that is guessed at, and by the address that guesses.

Owns how many wrong proofs may come before the next one has to wait, and how long: each beyond the
first few doubles the wait, up to a cap, and quiet time makes up for them. Promises bounded memory;
that attempts at the same time count as if they had come one after the other; that a name which
nobody has is treated as one that somebody has; and that nobody is shut out for ever: the wait has a
cap, and who comes from where they logged in before has a count of their own, which no stranger
elsewhere can raise.

Never sees a password. An IPv6 address counts as its /64, for a caller may have all of that.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edge.errors import TooManyAttempts

__all__ = ["IPV6_NETWORK", "Attempt", "Limit", "Throttle", "network_of"]

log = logging.getLogger(__name__)

IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that stand for one caller."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What is allowed of one kind."""

    free: int
    """So many wrong ones cost nothing."""
    first_seconds: float = 1.0
    """The wait after the next one; it doubles with each."""
    most_seconds: float = 300.0
    forget_seconds: float = 3600.0
    """So long after the last one it begins anew."""


LIMITS = {
    "name": Limit(free=5),
    "address": Limit(free=20),
    "known": Limit(free=5, most_seconds=60.0),
    "token": Limit(free=20, most_seconds=60.0),
    "factor": Limit(free=5, first_seconds=4.0, most_seconds=3600.0, forget_seconds=86400.0),
}
"""Of a name from anywhere; of an address with any name; of a name from where its user is known; of
tokens from an address; of second factors, at which nobody can fail who does not know the password,
and which have so few digits that a day must bring no more than some thirty."""
_MOST = 4096
"""Counts of one kind. What there is no room for shares one count."""
_THE_REST = ""


@dataclass(slots=True)
class _Count:
    failures: int
    last: float


class Attempt:
    """One try, which counts as a failure until it is said to be none."""

    def __init__(self, throttle: Throttle, keys: Sequence[tuple[str, str]]) -> None:
        self._throttle = throttle
        self._keys = keys

    def take_back(self) -> None:
        """It was neither right nor wrong."""
        self._throttle.take_back(self._keys)

    def succeeded(self) -> None:
        """It was right: whoever failed at this name before was its user, or is no danger any more.

        What the address failed at stays: who has a name of their own may still guess at others'.
        """
        self._throttle.take_back(self._keys)
        self._throttle.forget([key for key in self._keys if key[0] != "address"])


class Throttle:
    """Counts wrong proofs.

    Args:
        limits: By kind.
        clock: Monotonic seconds.
        most: Counts of one kind that are kept.
    """

    def __init__(
        self,
        limits: dict[str, Limit] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        most: int = _MOST,
    ) -> None:
        self._limits = limits or LIMITS
        self._clock = clock
        self._most = most
        self._counts: dict[str, OrderedDict[str, _Count]] = {
            kind: OrderedDict() for kind in self._limits
        }

    def log_in(self, name: str, address: str, known_from: Sequence[str]) -> Attempt:
        """Somebody is about to prove that they are of that name.

        Args:
            name: That they say; whether somebody has it makes no difference.
            address: They come from.
            known_from: Networks from which the user of that name logged in before.

        Raises:
            TooManyAttempts: Not now; the proof must not be looked at.
        """
        network = network_of(address)
        if network and network in known_from:
            # Counted for the address, too: it guesses at others' names no more often for that.
            return self._enter([("known", f"{name} {network}")], also=[("address", network)])
        return self._enter([("name", name), ("address", network)])

    def of_address(self, address: str) -> Attempt:
        """Somebody is about to prove something that has no name.

        Raises:
            TooManyAttempts: As ``log_in``.
        """
        return self._enter([("address", network_of(address))])

    def second_factor(self, name: str) -> Attempt:
        """Somebody whose password was right is about to prove more.

        Raises:
            TooManyAttempts: As ``log_in``.
        """
        return self._enter([("factor", name)])

    def no_attempt(self) -> Attempt:
        """What can be no guess, and counts for nothing."""
        return Attempt(self, ())

    def wrong_token(self, address: str) -> None:
        """A token was none. Right ones are taken however many wrong ones come: none can be guessed.

        Raises:
            TooManyAttempts: There were too many by now: the caller is told to wait.
        """
        self._enter([("token", network_of(address))])

    def take_back(self, keys: Sequence[tuple[str, str]]) -> None:
        """One attempt of each was no failure."""
        for kind, key in keys:
            count = self._counts[kind].get(self._place(kind, key))
            if count is not None and count.failures > 0:
                count.failures -= 1

    def forget(self, keys: Sequence[tuple[str, str]]) -> None:
        """Begin anew with each."""
        for kind, key in keys:
            self._counts[kind].pop(key, None)

    def _enter(
        self, keys: Sequence[tuple[str, str]], also: Sequence[tuple[str, str]] = ()
    ) -> Attempt:
        """Count one at each key, if none of *keys* has to wait; *also* are asked nothing."""
        now = self._clock()
        found = [(kind, key, self._count(kind, key, now)) for kind, key in keys]
        wait = max(self._wait(self._limits[kind], count, now) for kind, _, count in found)
        if wait > 0:
            raise TooManyAttempts(
                "too many attempts failed", hint="wait, then try again", retry_after=wait
            )
        for kind, key, count in [
            *found,
            *((kind, key, self._count(kind, key, now)) for kind, key in also),
        ]:
            count.failures += 1
            count.last = now
            limit = self._limits[kind]
            self._keep(kind, key, count)
            if count.failures == limit.free + 1 and kind != "token":
                what = key if kind == "address" else f"the name {key.split(' ')[0]}"
                log.warning("log-in: %d attempts at %s failed; it is slowed down", limit.free, what)
        return Attempt(self, [*keys, *also])

    def _count(self, kind: str, key: str, now: float) -> _Count:
        """That of a key; what nobody failed at for long is forgotten first."""
        counts, forget = self._counts[kind], self._limits[kind].forget_seconds
        while counts and now - next(iter(counts.values())).last >= forget:
            counts.popitem(last=False)
        return counts.get(self._place(kind, key)) or _Count(0, now)

    def _keep(self, kind: str, key: str, count: _Count) -> None:
        place, counts = self._place(kind, key), self._counts[kind]
        counts[place] = count
        counts.move_to_end(place)

    def _place(self, kind: str, key: str) -> str:
        """Where a key is counted. In a crowd, to let the oldest go would let it begin anew."""
        counts = self._counts[kind]
        return key if key in counts or len(counts) < self._most else _THE_REST

    @staticmethod
    def _wait(limit: Limit, count: _Count, now: float) -> float:
        beyond = count.failures - limit.free
        if beyond <= 0:
            return 0.0
        # Beyond some thirty doublings it is the cap whatever it is.
        wait = min(limit.most_seconds, limit.first_seconds * 2.0 ** min(beyond - 1, 30))
        return count.last + wait - now


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the network of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), IPV6_NETWORK), strict=False))
    return str(found)
