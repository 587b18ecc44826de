"""The service while its root secret can't be had: alive, shut, and waiting to be opened.

A box that starts without its root secret does not end: it rejects DICOM associations for now, says
that it is locked to whoever asks over HTTP, and waits for what opens it: a passphrase, by its page
or by ``edge key unlock``; a server, which it asks again and again; the recovery key; or who
administers the machine. Promises that nothing of index and store is opened, that nothing is written
but what opening needs and what the audit is to hear of it (`edge.access.audit.shut`), and that
nothing is lost: whatever was acknowledged is there afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from edge.access.audit.entry import BOX, Actor, Entry, Kind
from edge.access.audit.shut import Tries, keep, locked_entry, opened_entry
from edge.access.codes import new_code
from edge.access.tls import box_names, locked_context
from edge.admin.api import health_routes
from edge.admin.local import local_door
from edge.admin.local_keys import LockAsked, Opening, Waiting, when_locked
from edge.admin.unlocking import unlocking_routes
from edge.cache.status import Parts
from edge.config import Config
from edge.crypto.custodian import Custodian, Locked
from edge.crypto.passphrases import normal, wipe
from edge.crypto.recovery import RecoveryKey
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.listener import Listener
from edge.dicomweb.root import create_root
from edge.dimse.shut import ShutDoor
from edge.errors import KeyLocked, Needs, SecretError, WrongKey
from edge.opening import custodian_of, is_first_start, lock_folder, make_folder
from edge.supervision import Supervisor

__all__ = ["LockedBox", "root_secret"]

log = logging.getLogger(__name__)

Show = Callable[[str], Awaitable[bool]]

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds until a server is asked again."""


async def root_secret(
    config: Config, *, tell: Callable[[str], None] = lambda _: None, show: Show | None = None
) -> bytes:
    """The root secret of a box, however long it takes until it can be had.

    Args:
        config: All of it.
        tell: Hears what the box waits for.
        show: Shows who stands before the machine by which code a passphrase may be chosen on the
            page, and says whether it could.

    Raises:
        EdgeError: It can't be had, and waiting would not help; or the folder can't be used.
    """
    folder = config.appliance.data_dir
    await asyncio.to_thread(make_folder, folder)
    lock = await asyncio.to_thread(lock_folder, folder)
    try:
        custodian = custodian_of(config)
        await asyncio.to_thread(custodian.finish_locking)
        first_start = await asyncio.to_thread(is_first_start, config)
        try:
            return await asyncio.to_thread(partial(custodian.open, first_start=first_start))
        except KeyLocked as why:
            box = LockedBox(config, custodian, why, first_start=first_start, tell=tell)
        if show is not None and box.needs is Needs.NEW_PASSPHRASE:
            await box.show_code(show)
        async with box.serving():
            return await box.opened()
    finally:
        os.close(lock)


class LockedBox:
    """It, and its doors.

    Args:
        config: All of it.
        custodian: Opens it.
        why: It is locked.
        first_start: Nothing was ever sealed in it.
        tell: Hears what it waits for.
    """

    def __init__(
        self,
        config: Config,
        custodian: Custodian,
        why: KeyLocked,
        *,
        first_start: bool,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._custodian = custodian
        self._first_start = first_start
        self._tell = tell
        self._turn = asyncio.Lock()
        self._root: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting = Waiting()
        self._fingerprint = ""
        self._say(why)
        self.http_port = 0
        self.dimse_port = 0
        self._code = ""
        self._tries = Tries()

    @property
    def needs(self) -> Needs | None:
        """What it waits for."""
        return self._waiting.needs

    async def show_code(self, show: Show) -> None:
        """Let the first passphrase be chosen on the page, if somebody sees by which code."""
        code = new_code()
        if await show(code):
            self._code = code

    def parts(self) -> Parts:
        """What ``/readyz`` says."""
        return {"keys": f"locked: {self._waiting.why}"}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Have the doors answer until the block ends.

        Raises:
            ConfigError: A port can't be listened on, or the certificate can't be used.
        """
        config, names = self._config, box_names(self._config)
        tls, self._fingerprint = await asyncio.to_thread(locked_context, config.http, names)
        is_open = config.http.auth == "none"
        application = create_root({}, names=OwnNames(names), is_open=is_open)
        application.add_routes(health_routes(self.parts))
        application.add_routes(
            unlocking_routes(
                lambda: self._waiting, self.open, code=self._code, wrong=self._wrong_code
            )
        )
        http = Listener(application, config.http.listen, tls)
        dimse = ShutDoor(config.dimse)
        local = when_locked(self._for_commands, self.open, self.lock)
        async with (
            local_door(config.appliance.data_dir, self.parts, more=local),
            Supervisor() as parts,
        ):
            await parts.start_ready("http", lambda ready: http.serve(ready=ready))
            await parts.start_ready("dimse", lambda ready: dimse.serve(ready=ready))
            parts.start("keys", self._ask_again)
            self.http_port, self.dimse_port = http.port, dimse.port
            self._announce()
            yield

    async def opened(self) -> bytes:
        """The root secret, once it can be had."""
        return await self._root

    async def open(self, by: Opening) -> None:
        """Open it by what somebody has.

        Raises:
            WrongKey: It opens nothing here.
            SecretError: It does not open so.
        """
        async with self._turn:
            if not self._root.done():
                locked = await asyncio.to_thread(self._locked)
                try:
                    root = await asyncio.to_thread(self._open, by)
                except KeyLocked as why:
                    if not by.recovery_key:
                        self._say(why)
                    raise
                except WrongKey:
                    self._tries.wrong(_actor(by), _how(by))
                    raise
                await asyncio.to_thread(
                    self._keep, opened_entry(_how(by), _actor(by), locked), locked
                )
                self._root.set_result(root)

    def _wrong_code(self, address: str) -> None:
        """Somebody did not know the code of the console."""
        self._tries.wrong(_actor(Opening(address=address)), "the code of the console")

    def _locked(self) -> Locked | None:
        with contextlib.suppress(SecretError):
            return self._custodian.locked()
        return None

    def _keep(self, opened: Entry, locked: Locked | None) -> None:
        """Have the audit hear of it, once it can be written. Blocks."""
        keep(self._custodian.folder, *locked_entry(locked), *self._tries.entries(), opened)

    async def lock(self, asked: LockAsked) -> str:
        """Have it stay locked, whatever it waited for.

        Returns:
            What could not be destroyed, and why; each start tries again.

        Raises:
            DecisionRefused: It is not opened by itself anyway, and could not be opened any more.
        """
        async with self._turn:
            if self._custodian.keeper.opens_alone:
                lock = partial(self._custodian.lock, asked.by, time.time(), None, force=asked.force)
                await asyncio.to_thread(lock)
                try:
                    await asyncio.to_thread(partial(self._custodian.open, first_start=False))
                except KeyLocked as why:
                    self._say(why)
        return self._custodian.left

    def _open(self, by: Opening) -> bytes:
        passphrase = normal(by.passphrase) if by.passphrase else None
        try:
            if by.recovery_key:
                key = RecoveryKey.from_text(by.recovery_key)
                return self._custodian.open_by_recovery_key(key, passphrase)
            if passphrase is not None:
                return self._custodian.open_by_passphrase(passphrase, first_start=self._first_start)
            return self._custodian.open_by_act(first_start=self._first_start)
        finally:
            if passphrase is not None:
                wipe(passphrase)

    async def _ask_again(self) -> None:
        """Ask the provider now and then, if it may release the secret by itself."""
        pause = _FIRST_PAUSE
        while not self._root.done():
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
            if self._waiting.needs is not Needs.SERVER:
                continue
            async with self._turn:
                if self._root.done():
                    return
                try:
                    attempt = partial(self._custodian.open, first_start=self._first_start)
                    root = await asyncio.to_thread(attempt)
                except KeyLocked as why:
                    self._say(why)
                    continue
                await asyncio.to_thread(self._keep, opened_entry("a server", BOX), None)
                self._root.set_result(root)

    def _say(self, why: KeyLocked) -> None:
        if (why.needs, str(why)) != (self._waiting.needs, self._waiting.why):
            log.warning("this box is locked: %s; %s", why, why.hint)
        self._waiting = Waiting(why.needs, str(why))
        self._tell(f"locked: {why}")

    def _for_commands(self) -> Waiting:
        """What it waits for, and what nobody else can be sure of: its certificate."""
        return Waiting(self._waiting.needs, self._waiting.why, self._fingerprint)

    def _announce(self) -> None:
        log.warning(
            "locked: DICOM on port %d rejects for now, HTTP on port %d waits%s",
            self.dimse_port,
            self.http_port,
            f"; SHA-256 of its certificate: {self._fingerprint}" if self._fingerprint else "",
        )


def _actor(by: Opening) -> Actor:
    """Who tries to open the box, as far as that is known: a passphrase says nothing of a name."""
    if by.address:
        return Actor("somebody", address=by.address)
    return Actor(by.by or "somebody", Kind.MACHINE, proof="operating system")


def _how(by: Opening) -> str:
    if by.recovery_key:
        return "the recovery key"
    return "the passphrase" if by.passphrase else "an act on the machine"
