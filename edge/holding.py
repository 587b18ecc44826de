"""The root secret while the service runs: who may have it, and how the service lets go of it.

Owns the answer to commands on this machine that need it, what the kernel keeps for the next start,
and the lock-down. Promises that once a lock-down is answered, no start opens the box by itself any
more, and that the service has been told to end: its doors close, and whoever runs it replaces the
process (`edge.commands.serve`), so that no copy of a key is left in memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from aiohttp import web

from edge.access.audit.entry import Actor, Entry, Event
from edge.access.audit.recorder import Audit
from edge.admin.local_keys import LockAsked, when_open
from edge.config import Config
from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing
from edge.errors import KeyUnavailable
from edge.opening import custodian_of
from edge.supervision import Supervisor

__all__ = ["Holding"]

log = logging.getLogger(__name__)

_RENEWED = 900.0
"""Seconds: so often the kernel is told that the service still runs."""


class Holding:
    """It.

    Args:
        config: All of it.
    """

    def __init__(self, config: Config) -> None:
        self._custodian = custodian_of(config)
        self._keys: KeyRing | None = None
        self._audit: Audit | None = None
        self._is_renewed = config.keys.provider in ("passphrase", "network")
        self.locking = asyncio.Event()
        """Set once the box is locked, and everything must end."""

    def take(self, keys: KeyRing, audit: Audit | None = None) -> None:
        """The ring is open, and so is the record, which hears of a lock-down."""
        self._keys = keys
        self._audit = audit

    def routes(self) -> list[web.RouteDef]:
        """What commands on this machine are answered."""
        return when_open(self._root, self.lock)

    async def lock(self, asked: LockAsked) -> None:
        """Lock the box: it stays so over restarts.

        Raises:
            DecisionRefused: Nothing could open it any more; nothing was changed.
        """
        keys = self._keys
        escrow = None if keys is None else Escrow(self._custodian.folder, keys)
        lock = partial(self._custodian.lock, asked.by, time.time(), escrow, force=asked.force)
        locked = await asyncio.to_thread(lock)
        needed = "what opened it is destroyed" if locked.destroys else "what opens it is kept"
        log.warning("%s locked this box; %s", asked.by, needed)
        if self._audit is not None:
            entry = Entry(
                at=time.time(),
                event=Event.KEY,
                actor=Actor(asked.by),
                what="the box was locked",
                detail={"forced": str(asked.force), "key": needed},
            )
            self._audit.put(entry)  # it is locked, whether that can be written or not
        self.locking.set()

    def start(self, parts: Supervisor) -> None:
        """Start what there is to do, if there is anything."""
        if self._is_renewed:
            parts.start("keys", self.run)

    async def run(self) -> None:
        """Have the kernel keep the secret for the next start, as long as the service runs."""
        remembers = True
        while remembers:
            remembers = await asyncio.to_thread(self._remembered)
            await asyncio.sleep(_RENEWED)
        await asyncio.Event().wait()  # there is nothing to do, and that is no failure

    def _remembered(self) -> bool:
        keeper = self._custodian.keeper
        remembers = keeper.remember(self._root())
        if self._custodian.locked() is not None:  # since it was asked
            keeper.forget()
        return remembers

    def _root(self) -> bytes:
        if self._keys is None:
            raise KeyUnavailable("the service is being started", hint="try again soon")
        return self._keys.escrow_root(bytes)
