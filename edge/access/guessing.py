"""How fast a secret may be guessed at a door: slower for who is wrong, and slowly by all.

Owns two counts: of each address, which after a few wrong tries must wait twice as long each time;
and of all together, so that many addresses are no way around that. Promises that it holds a bounded
number of addresses. Who sits at the machine does not pass here, so nobody can be locked out for
good by the tries of others.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Guesses"]

_FREE = 3
"""Wrong tries of an address that cost nothing."""
_LONGEST = 300.0
_FORGIVEN = 3600.0
"""Seconds without a wrong try, after which an address is like any other."""
_ADDRESSES = 1024
_ALL_AT_ONCE, _ALL_SECONDS = 20, 10.0
"""Wrong tries of everybody together: so many in a row, then one in so many seconds."""


class Guesses:
    """Counts them.

    Args:
        clock: Seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._all, self._all_since = 0.0, clock()

    def wait(self, address: str) -> float:
        """Seconds until this address may try; 0: now."""
        now = self._clock()
        count, last = self._wrong.get(_network(address), (0, now))
        own = 0.0
        if count >= _FREE and now - last < _FORGIVEN:
            own = last + min(_LONGEST, 2.0 ** (count - _FREE)) - now
        everybodys = (self._level(now) - _ALL_AT_ONCE + 1) * _ALL_SECONDS
        return max(0.0, own, everybodys)

    def wrong(self, address: str) -> None:
        """It tried, and was wrong."""
        now, network = self._clock(), _network(address)
        count, last = self._wrong.pop(network, (0, now))
        self._wrong[network] = (count + 1 if now - last < _FORGIVEN else 1), now
        if len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)
        self._all, self._all_since = self._level(now) + 1, now

    def right(self, address: str) -> None:
        """It tried, and was right: what it was wrong before is forgiven."""
        self._wrong.pop(_network(address), None)

    def _level(self, now: float) -> float:
        return max(0.0, self._all - (now - self._all_since) / _ALL_SECONDS)


def _network(address: str) -> str:
    """Who has one address of IPv6 has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
