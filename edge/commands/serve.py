"""``edge serve``: the service, until it is told to stop."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from edge.cage.kernel import hide_memory
from edge.commands.lightly import lightly
from edge.commands.parsing import Commands, configuration_file, layers
from edge.commands.welcome import show_code, welcome
from edge.errors import ConfigError
from edge.systemd import Systemd, keep_watch

if TYPE_CHECKING:
    from edge.app import Appliance
    from edge.applying import Applying
    from edge.config import Config

__all__ = ["add"]

log = logging.getLogger("edge")

_ROOT = (
    "RUNNING AS ROOT: whoever finds a fault in this service has the whole machine."
    " Give it a user of its own, as the manual does"
)
_TIME_ZONE = os.environ.get("TZ")
"""As the machine has it."""
_WITHOUT_KEYS = "locked: the service begins anew, without its keys"
_CLOSING = 15.0
"""Seconds that a service which was locked has to close everything."""
_KEEP = {
    "file": "keep a copy of its root key elsewhere",
    "passphrase": "without its passphrase nothing in it opens; make a recovery key, too",
    "systemd-creds": "make a recovery key: without this machine's credential nothing in it opens",
    "network": "make a recovery key: without the server nothing in it opens",
}
"""Provider -> what a new box's administrator must know."""


def add(commands: Commands) -> None:
    """Add the command."""
    commands.add("serve", "Run the service until it is told to stop.", _serve)


def _prepare() -> None:
    """Set what holds for the whole process, as long as it lives."""
    # Every peer and every open object is a file; the usual soft limit is made for small programs.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Keys and images are in its memory: no dump of it, and no look into it by others of its user.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        hide_memory()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A configuration to run with."""

    config: Config
    ran: bytes
    """What the box's own file said of it."""
    setback: str = ""
    """Why other settings were taken back for it; empty if none were."""


async def _serve(options: argparse.Namespace) -> int:
    try:
        return await _run(options)
    except Exception as error:
        if await _given_back(options, error):
            _begin_anew("the service begins anew, as the box that it was")
        raise


async def _given_back(options: argparse.Namespace, error: Exception) -> bool:
    """Whether what does not start is a box that was restored in the place of this one."""
    from edge.cache.replacing import give_back
    from edge.loading import data_dir

    file = await configuration_file(options)
    folder = await asyncio.to_thread(data_dir, file)
    return await asyncio.to_thread(give_back, folder, str(error) or type(error).__name__)


async def _run(options: argparse.Namespace) -> int:
    current = await _load(options)
    _prepare()
    systemd = Systemd()
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    if serving := asyncio.current_task():
        _at_signals(loop, serving.cancel)  # a start may take long: an index may have to be rebuilt
    with lightly():
        from edge.app import Appliance
        from edge.applying import Applying
        from edge.locked import root_secret

    current = await _without_leftovers(options, current)
    folder, file = current.config.appliance.data_dir, await configuration_file(options)
    again, is_new = True, not await asyncio.to_thread(_holds_box, folder)
    show = partial(show_code, config=current.config)
    root = await root_secret(current.config, tell=systemd.waiting, show=show)
    current = await _without_half_taken(options, current, root)
    while again:
        loaded = current.config
        systemd.opening()
        _set_time_zone(loaded.appliance.time_zone)
        applying, is_open = Applying(current.setback), False
        appliance = Appliance(loaded, file=file, root=root, applying=applying)
        try:
            async with _told_of(appliance, loaded, is_new=is_new) as box:
                is_open = True
                await _prove(folder, current, applying)
                await _see_to_setup(folder, box)
                _say_ready(box, loaded)
                await welcome(box.cache.users, loaded)
                _at_signals(loop, stopping.set)
                _pass_over_memory()
                _tell_ready(systemd, box)
                again = await box.serve_until(stopping)
                is_new = False
                log.info("stopping")
                if box.holding.locking.is_set():
                    # Whatever hangs while it closes, and holds a key, does not do so for long.
                    loop.call_later(_CLOSING, _begin_anew, _WITHOUT_KEYS)
                elif not again:
                    systemd.stopping()
        except Exception as error:
            # Whatever it is: a box that came up before comes up again.
            former = None if is_open else await _former(options, current, error)
            if former is None:
                raise
            current = former
            continue
        if applying.asked.is_set() and again:
            current = await _other_settings(options, current)
        if box.holding.locking.is_set() and again:
            _begin_anew(_WITHOUT_KEYS)
    log.info("stopped")
    return 0


async def _without_leftovers(options: argparse.Namespace, before: _Loaded) -> _Loaded:
    """What there is to start with, once a factory reset that was cut short is finished.

    And once another box has this one's place, if that was decided.
    """
    with lightly():
        from edge.replacing import take_place
        from edge.resetting import finish

    is_other = await finish(before.config)
    is_other |= await take_place(before.config)
    return await _load(options) if is_other else before


async def _without_half_taken(
    options: argparse.Namespace, before: _Loaded, root: bytes | None
) -> _Loaded:
    """What there is to start with, once it is known whether a file that was cut short has an admin.

    Its settings go unless it has.
    """
    with lightly():
        from edge.opening import Cache
        from edge.provision.journal import may_have_admin, undo_settings

    folder = before.config.appliance.data_dir
    if not await asyncio.to_thread(may_have_admin, folder):
        return before
    try:
        async with Cache(before.config, root=root) as cache:
            is_new = await cache.users.is_empty()
    except Exception as error:  # noqa: BLE001 - the start itself finds it, and mends it if it can
        log.warning("who there is can't be seen: %s", error)
        is_new = True
    if not is_new:
        return before
    await asyncio.to_thread(partial(undo_settings, folder, is_new=True))
    return await _load(options)


async def _load(options: argparse.Namespace) -> _Loaded:
    """What there is to start with: the former settings, if the new ones can't be loaded.

    Or else what of them can be.
    """
    with lightly():
        from edge.cache.damaged_settings import put_right
        from edge.loading import data_dir
        from edge.provision.journal import undo_settings

    file = await configuration_file(options)
    with contextlib.suppress(ConfigError):  # which is told when all of it is read
        await asyncio.to_thread(undo_settings, await asyncio.to_thread(data_dir, file))
    if await asyncio.to_thread(put_right, file):
        log.warning("the box's own settings that were set aside can be used again")
    try:
        loaded = await _read(options)
    except ConfigError as error:
        from edge.cache.damaged_settings import spare
        from edge.cache.own_settings import recover

        why = str(error)
        if await asyncio.to_thread(partial(recover, file, why=why)):
            log.error("the new settings can't be used: %s", error)
        elif why := await asyncio.to_thread(spare, file):
            log.error("the box's own settings are damaged: %s", why)
        else:
            raise
        return await _read(options, why)
    from edge.cache.own_settings import setback

    folder = loaded.config.appliance.data_dir
    return replace(loaded, setback=await asyncio.to_thread(setback, folder))


async def _former(options: argparse.Namespace, tried: _Loaded, error: Exception) -> _Loaded | None:
    """Those to start with in place of what was tried in vain; None if there are no others."""
    from edge.cache.own_settings import put_back, take_back

    folder, why = tried.config.appliance.data_dir, str(error) or type(error).__name__
    if why == tried.setback and await asyncio.to_thread(put_back, folder):
        log.error("nor does it start with the former settings: the new ones are kept")
        return None
    if not await asyncio.to_thread(take_back, folder, why):
        return None
    log.error("the service does not start with its new settings: %s", error)
    return await _read(options, why)


async def _other_settings(options: argparse.Namespace, before: _Loaded) -> _Loaded:
    """Those that hold from now on; and why the new ones do not, if they do not."""
    await _begin_as_another(before.config.appliance.data_dir)
    try:
        return await _read(options)
    except ConfigError as error:  # somebody wrote into a file since they were tried
        log.error("the new settings can't be used: %s", error)
        from edge.cache.own_settings import take_back

        await asyncio.to_thread(take_back, before.config.appliance.data_dir, str(error))
        return replace(before, setback=str(error))


async def _read(options: argparse.Namespace, setback: str = "") -> _Loaded:
    settings, config = await layers(options)
    return _Loaded(config, settings.own_text.encode(), setback)


async def _prove(folder: Path, current: _Loaded, applying: Applying) -> None:
    """The service runs with these; what was written while it began is next."""
    from edge.cache.own_settings import prove

    try:
        holds = await asyncio.to_thread(prove, folder, current.ran)
    except OSError as error:
        log.error("settings can't be changed until the next start: %s", error)
        return
    if not holds:
        applying.ask()


async def _see_to_setup(folder: Path, box: Appliance) -> None:
    """Of what was to set the box up, a file or another's backup, it is known now that it does."""
    from edge.replacing import settle

    await settle(folder, box.cache)
    from edge.provision.journal import is_open, settle_for_service

    if await asyncio.to_thread(is_open, folder):
        box.supervisor.start("set-up", partial(settle_for_service, folder, box.cache.users))


async def _begin_as_another(folder: Path) -> None:
    """Nothing happens unless it is decided that another box takes this one's place."""
    from edge.cache.replacing import read

    if await asyncio.to_thread(read, folder) is not None:
        _begin_anew("the service begins anew, as another box")


def _say_ready(box: Appliance, loaded: Config) -> None:
    if os.geteuid() == 0:
        log.warning(_ROOT)
    log.info(
        "ready: DICOM as %s on %s, HTTP on port %d",
        loaded.dimse.ae_title,
        _ports(box.dimse_port, box.dimse_tls_port),
        box.http_port,
    )


def _pass_over_memory() -> None:
    """What was made so far stays: to look through it again and again holds others up."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _set_time_zone(name: str) -> None:
    """Have this process and those that it starts tell the time of there; the machine's if empty."""
    if name:
        os.environ["TZ"] = name
    elif _TIME_ZONE is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = _TIME_ZONE
    time.tzset()


def _tell_ready(systemd: Systemd, box: Appliance) -> None:
    """Tell systemd, and have its watchdog fed by commits to the index while the box is open."""

    def state() -> str:
        failing = sorted(name for name, state in box.parts().items() if state != "running")
        return f"in trouble: {', '.join(failing)}" if failing else "runs"

    systemd.ready()
    if seconds := systemd.watch_seconds:
        watch = partial(keep_watch, systemd, seconds, box.cache.beat, state)
        box.supervisor.start("watchdog", watch)


def _begin_anew(why: str) -> NoReturn:
    """Become another process in this one's place: the kernel takes back every page of its memory.

    Nothing is sent or written any more; whatever was acknowledged is on the disk.
    """
    log.info(why)
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    finally:
        os._exit(1)  # whoever runs the service starts it again


def _ports(plain: int, tls: int) -> str:
    """Those that are there."""
    return " and ".join(
        words for port, words in ((plain, f"port {plain}"), (tls, f"port {tls} (TLS)")) if port
    )


@contextlib.asynccontextmanager
async def _told_of(
    appliance: Appliance, config: Config, *, is_new: bool
) -> AsyncIterator[Appliance]:
    """An appliance, entered; a new box is named as such even if it can't be started after all."""
    folder, keep = config.appliance.data_dir, _KEEP[config.keys.provider]
    async with contextlib.AsyncExitStack() as stack:
        try:
            box = await stack.enter_async_context(appliance)
        finally:
            if is_new and await asyncio.to_thread(_holds_box, folder):
                log.warning("made a new box in %s; %s", folder, keep)
        yield box


def _at_signals(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def _holds_box(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("keys.db", "index.db"))
