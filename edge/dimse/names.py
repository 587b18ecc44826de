"""Addresses of peers that are configured by name, remembered, and asked for one at a time.

Owns what a name was last known to mean, and the threads in which that is looked up: a resolver that
does not answer holds these, and nobody else's. Promises that whoever calls waits for ``LONGEST`` at
the most; that one look-up at a time is under way for a name, however many call; that a name which
was found before goes on meaning the same while it can't be found; and that a caller hears whether
an address is not the name's, or whether that can't be known now.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

__all__ = ["LONGEST", "Address", "Names", "address_of"]

log = logging.getLogger(__name__)

LONGEST: Final = 5.0
"""Seconds that a caller waits for a look-up; it goes on without them."""
_FRESH: Final = 60.0
"""Seconds for which an address of a name is taken without asking again."""
_PAUSE: Final = 5.0
"""Seconds between two look-ups of a name, whatever came of the first."""
_THREADS: Final = 2
_MOST: Final = 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], frozenset[Address]]
_Found = tuple[frozenset[Address] | OSError | ValueError, float]
"""What came of a look-up, and when."""


@dataclass(slots=True)
class _Name:
    """What is known of one."""

    addresses: frozenset[Address] | None = None
    """None: it was never found."""
    found: float = 0.0
    """When that was, and ``asked``, when it was last looked up: monotonic seconds."""
    asked: float | None = None
    is_missing: bool = False
    """The last look-up failed."""
    under_way: Future[_Found] | None = None
    """A look-up in the pool, or what came of it and was not looked at yet."""


def resolve(name: str) -> frozenset[Address]:
    """The addresses of a name. Blocks.

    Raises:
        OSError: It can't be found.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return frozenset(address_of(str(entry[4][0])) for entry in found)


class Names:
    """Those of the configuration and of approved peers.

    Args:
        resolve: Looks one up.
        clock: Monotonic seconds.
    """

    def __init__(
        self, resolve: Resolve = resolve, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolve = resolve
        self._clock = clock
        self._names: dict[str, _Name] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="names")

    async def has(self, name: str, address: Address) -> bool | None:
        """Whether an address is the name's; None if that can't be known now."""
        known = self._known(name)
        _take(name, known)
        now = self._clock()
        is_its = known.addresses is not None and address in known.addresses
        if is_its and now - known.found < _FRESH:
            return True
        if known.under_way is None and (known.asked is None or now - known.asked >= _PAUSE):
            known.asked = now
            known.under_way = self._threads.submit(self._look_up, name)
        if known.under_way is not None and not is_its:
            # What was right a while ago is taken without waiting, and looked up beside that.
            await asyncio.wait([asyncio.wrap_future(known.under_way)], timeout=LONGEST)
            _take(name, known)
            is_its = known.addresses is not None and address in known.addresses
        if is_its:
            return True
        return None if known.is_missing or known.under_way is not None else False

    def _known(self, name: str) -> _Name:
        if (known := self._names.get(name)) is None:
            if len(self._names) >= _MOST:
                self._names.clear()
            known = self._names[name] = _Name()
        return known

    def _look_up(self, name: str) -> _Found:
        """In a thread of the pool."""
        try:
            return self._resolve(name), self._clock()
        except (OSError, ValueError) as error:  # ValueError: it can't be a name
            return error, self._clock()


def _take(name: str, known: _Name) -> None:
    """Know what a look-up came to, if it is over."""
    if known.under_way is None or not known.under_way.done():
        return
    (found, when), known.under_way = known.under_way.result(), None
    if isinstance(found, frozenset):
        known.addresses, known.found, known.is_missing = found, when, False
        return
    if not known.is_missing:
        log.warning("the address of %s can't be found: %s", ascii(name), found)
    known.is_missing = True


def address_of(text: str) -> Address:
    """The address, an IPv4 one inside IPv6 as what it is; raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
