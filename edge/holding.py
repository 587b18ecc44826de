"""The root secret while the service runs: who may have it, and how the service lets go of it.

Owns the answer to commands on this machine that need it, what the kernel keeps for the next start,
and the lock-down. Promises that once a lock-down is answered, no start opens the box by itself any
more, and that the service has been told to end: its doors close, and whoever runs it replaces the
process (`edge.commands.serve`), so that no copy of a key is left in memory. That is so whatever
fails on the way, as soon as it is written down that the box is locked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from aiohttp import web

from edge.access.audit.entry import Actor, Entry, Event
from edge.access.audit.recorder import Audit
from edge.access.audit.shut import hand_over
from edge.admin.local_keys import ChangeAsked, LockAsked, when_open
from edge.config import Config
from edge.crypto.change import change_root
from edge.crypto.custodian import Custodian
from edge.crypto.escrow import Escrow
from edge.crypto.keys import KeyRing
from edge.crypto.passphrases import normal
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.errors import KeyUnavailable, SecretError
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
        self._config = config
        self._custodian = custodian_of(config)
        self._turn = asyncio.Lock()
        self._parts: Supervisor | None = None
        self._keys: KeyRing | None = None
        self._audit: Audit | None = None
        self._is_renewed = False
        self.locking = asyncio.Event()
        """Set once the box is locked, and everything must end."""

    async def take(self, keys: KeyRing, audit: Audit) -> None:
        """The ring is open, and so is the record, which hears of lock-downs and what ended them."""
        self._keys = keys
        self._audit = audit
        await hand_over(self._custodian.folder, audit)

    def routes(self) -> list[web.RouteDef]:
        """What commands on this machine are answered."""
        return when_open(self._root, self.lock, self.change)

    async def lock(self, asked: LockAsked) -> str:
        """Lock the box: it stays so over restarts.

        Returns:
            What could not be destroyed, and why; empty if nothing is left. It is locked all the
            same, and each start tries again.

        Raises:
            DecisionRefused: Nothing could open it any more; nothing was changed.
            SecretError: It can't be written down.
        """
        async with self._turn:
            keys, custodian = self._keys, self._custodian
            escrow = None if keys is None else Escrow(custodian.folder, keys)
            hears = self._audit is not None and not self._audit.trouble
            lock = partial(
                custodian.lock, asked.by, time.time(), escrow, force=asked.force, is_recorded=hears
            )
            try:
                locked = await asyncio.to_thread(lock)
            finally:
                if await asyncio.to_thread(_is_locked, custodian):
                    self.locking.set()
        needed = "what opened it is destroyed" if locked.destroys else "what opens it is kept"
        if custodian.left:
            needed = f"not everything that opened it is destroyed: {custodian.left}"
        log.warning("%s locked this box; %s", asked.by, needed)
        # It is locked, whether that can be written or not.
        self._note(asked.by, "the box was locked", {"forced": str(asked.force), "key": needed})
        return custodian.left

    async def change(self, asked: ChangeAsked) -> None:
        """Have another root secret, kept by another provider or by the same.

        Raises:
            KeyUnavailable: The service is being started, or has been locked.
            SecretError: The new provider can't keep it; all is as before.
        """
        config = replace(self._config, keys=asked.settings())
        async with self._turn:
            if self._keys is None or self.locking.is_set():
                raise KeyUnavailable("not while the service starts or ends", hint="try again soon")
            custodian = custodian_of(config)
            words = normal(asked.passphrase) if asked.passphrase else None
            await asyncio.to_thread(self._change, self._keys, custodian, words)
            self._config, self._custodian = config, custodian
        log.warning("%s changed the root secret; it is kept by %s", asked.by, config.keys.provider)
        self._note(asked.by, "the root secret was changed", {"provider": config.keys.provider})
        if self._parts is not None:
            self.start(self._parts)

    def _change(self, keys: KeyRing, custodian: Custodian, passphrase: bytearray | None) -> None:
        old, new = self._custodian.keeper, custodian.keeper
        with new.saying(passphrase) if isinstance(new, PassphraseKeyProvider) else nullcontext():
            change_root(keys, Escrow(custodian.folder, keys), old, new)
        new.remember(keys.escrow_root(bytes))

    def start(self, parts: Supervisor) -> None:
        """Start what there is to do, if there is anything."""
        self._parts = parts
        if not self._is_renewed and self._config.keys.provider in ("passphrase", "network"):
            self._is_renewed = True
            parts.start("keys", self.run)

    def _note(self, by: str, what: str, detail: dict[str, str]) -> None:
        if self._audit is not None:
            entry = Entry(
                at=time.time(), event=Event.KEY, actor=Actor(by), what=what, detail=detail
            )
            self._audit.put(entry)

    async def run(self) -> None:
        """Have the kernel keep the secret for the next start, as long as the service runs."""
        while True:
            await asyncio.to_thread(self._remember)
            await asyncio.sleep(_RENEWED)

    def _remember(self) -> None:
        custodian, root = self._custodian, self._root()
        custodian.keeper.remember(root)
        # Since it was asked, the box may have been locked, or have another root secret.
        if custodian.locked() is not None or self._root() != root:
            custodian.keeper.forget()

    def _root(self) -> bytes:
        if self._keys is None:
            raise KeyUnavailable("the service is being started", hint="try again soon")
        return self._keys.escrow_root(bytes)


def _is_locked(custodian: Custodian) -> bool:
    try:
        return custodian.locked() is not None
    except SecretError:
        return True  # something is there that says so, and can't be read
