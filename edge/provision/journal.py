"""How far a file was taken: what it changed is undone, unless the box is set up by it.

Owns ``provisioned.json`` in ``data_dir``, which says by what the box was set up, and
``provisioning.json``, which says what a file is about to change before it does. Promises that of a
file which was not taken to its end, or with whose settings the service does not start, nothing
stays in force that nobody is told of: it is undone by who took it, by the next start of the
service, or by the next file, whichever comes first.

Crash order: what is about to be changed is durable -> the change -> ... -> ``provisioned.json`` ->
the service runs with the settings -> ``provisioning.json`` goes. Settings that were taken back: the
mark goes -> all else is undone -> ``provisioning.json`` goes. If the mark can't go, all of that
stays, and is done once more. Once the box has an admin, who may have come by the token of a file
that was cut short behind that, nothing of it is undone: they see to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge.cache import replacing
from edge.cache.own_settings import Written, in_force
from edge.cache.undone_settings import forget_taken_back, is_taken_back, undo_change
from edge.crypto.durable import hand_over, lock_at_once, sync_folder, write_file
from edge.errors import DecisionRefused, EdgeError, NotYet, StorageFull
from edge.machine.asking import NoAnswer, ask
from edge.machine.networks import read_network
from edge.machine.places import Places
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Trust, Wish

if TYPE_CHECKING:
    from edge.access.users import Users

__all__ = [
    "MARK",
    "HalfTaken",
    "Journal",
    "Machine",
    "Networks",
    "Provisioned",
    "Settings",
    "alone",
    "is_open",
    "may_have_admin",
    "read_provisioned",
    "settle_for_service",
    "undo_settings",
]

log = logging.getLogger(__name__)

MARK: Final = "provisioned.json"
"""In ``data_dir``."""
_JOURNAL: Final = "provisioning.json"
_LOCK: Final = "provisioned.lock"
_LOOK: Final = 0.5

Machine = Callable[[Wish], Awaitable[object]]
"""Whom the machine's part of it is asked of, see `edge.machine.asking.ask`."""


class HalfTaken(EdgeError):
    """A file was not taken to its end, and something of it holds all the same."""


class Provisioned(msgspec.Struct, frozen=True):
    """By what a box was set up."""

    by: str
    """``stick`` or ``boot partition``."""
    at: float
    """POSIX seconds."""
    digest: str
    """Of the file."""
    settings: str = ""
    """SHA-256 of the box's own settings with it; empty: it changed none."""


class Networks(msgspec.Struct, frozen=True):
    """Another network."""

    before: NetworkSettings
    after: NetworkSettings


class Settings(msgspec.Struct, frozen=True):
    """Other settings of the box."""

    before: Written
    after: Written
    """Or they were about to be written."""


class _Half(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file changed, or was about to."""

    network: Networks | None = None
    trust: bool = False
    settings: Settings | None = None
    token: bool = False


_WORDS: Final = {
    "token": "the token",
    "settings": "the settings",
    "trust": "the authority's trust",
    "network": "the network",
}
"""In the order in which they are undone, the last first."""
_MARKED: Final = "that the box counts as set up"


def read_provisioned(folder: Path) -> Provisioned | None:
    """By what the box in ``data_dir`` was set up; None: by nothing of the kind. Blocks."""
    try:
        return msgspec.json.decode((folder / MARK).read_bytes(), type=Provisioned)
    except FileNotFoundError:
        return None
    except ValueError:
        return Provisioned("something that can't be read any more", 0.0, "")


def is_open(folder: Path) -> bool:
    """Whether a file was begun with of which it is not known yet that it holds. Blocks."""
    return (folder / _JOURNAL).exists()


def may_have_admin(folder: Path) -> bool:
    """Whether settings of a file that was cut short wait for it to be known who there is. Blocks.

    Its token may have made an admin by now, who would lose them.
    """
    try:
        half = _read(folder)
        return half.token and half.settings is not None and read_provisioned(folder) is None
    except OSError:
        return False


def undo_settings(folder: Path, *, is_new: bool = False) -> None:
    """Before the service reads its settings: those of a file that was cut short go. Blocks.

    What else it did, `Journal.settle` undoes. Images come in whatever became of the files: what is
    wrong is told in the log alone.

    Args:
        folder: ``data_dir``.
        is_new: There is nobody yet; else those stay of which `may_have_admin` speaks.
    """
    try:
        if is_open(folder):
            with _locked(folder):
                _undo_settings(folder, is_new=is_new)
    except BlockingIOError:
        return  # one is taken just now
    except (EdgeError, OSError, ValueError) as error:
        log.error("settings of a file that was not taken to its end may hold: %s", error)


def _undo_settings(folder: Path, *, is_new: bool) -> None:
    half = _read(folder)
    if half.settings is None or read_provisioned(folder) is not None:
        return
    if half.token and not is_new:
        return
    undo_change(folder, half.settings.before, half.settings.after)
    # Once: whoever has the same settings afterwards has their own.
    _write(folder, msgspec.structs.replace(half, settings=None))


@contextlib.asynccontextmanager
async def alone(
    folder: Path, patience: float = 0.0, go_on: Callable[[], None] = lambda: None
) -> AsyncGenerator[None]:
    """One file at a time: a stick and the boot partition are found at the same start.

    Args:
        folder: ``data_dir``.
        patience: Seconds to wait for the end of another.
        go_on: Raises if nobody waits any more.

    Raises:
        NotYet: Another is taken just now.
    """
    # Looked at from time to time: nothing could break off a thread that waits for it.
    until = time.monotonic() + patience
    while True:
        with contextlib.ExitStack() as stack:
            try:
                await asyncio.to_thread(stack.enter_context, _locked(folder))
            except BlockingIOError:
                if time.monotonic() > until:
                    raise NotYet(
                        "this box is being set up by another file",
                        retry_after=patience,
                        hint="see what becomes of that",
                    ) from None
            else:
                yield
                return
        go_on()
        await asyncio.sleep(_LOOK)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / _LOCK, flags, 0o600)
    try:
        hand_over(descriptor, folder)
        if not lock_at_once(descriptor):
            raise BlockingIOError
        yield
    finally:
        os.close(descriptor)


class Journal:
    """Of one box; whoever uses it is `alone`, but for `settle`, which says so.

    Args:
        folder: ``data_dir``.
        users: Who may log in.
        machine: Carries out wishes.
        places: Of the machine.
    """

    def __init__(self, folder: Path, users: Users, machine: Machine, places: Places) -> None:
        self._folder = folder
        self._users = users
        self._machine = machine
        self._places = places
        self._half = _Half()

    async def about_to(
        self,
        *,
        network: Networks | None = None,
        trust: bool = False,
        token: bool = False,
    ) -> None:
        """These are changed next; settings, see `about_to_set`.

        Raises:
            StorageFull: It can't be written down, so that it must not be done.
        """
        half = self._half
        then = _Half(
            network or half.network,
            trust or half.trust,
            half.settings,
            token or half.token,
        )
        await asyncio.to_thread(self._say, then)

    def about_to_set(self, before: Written, after: Written) -> None:
        """The settings are changed next. Blocks.

        Raises:
            StorageFull: As of `about_to`.
        """
        self._say(msgspec.structs.replace(self._half, settings=Settings(before, after)))

    def _say(self, half: _Half) -> None:
        """What can't be written down is not done, and there is nothing to undo of it. Blocks."""
        try:
            _write(self._folder, half)
        except OSError as error:
            raise StorageFull(
                f"what a file changes can't be written down: {error.strerror or error}",
                hint="look at the disk of the box, and have the file taken once more",
            ) from error
        self._half = half

    @property
    def settings(self) -> Settings | None:
        """What was said of them; None: nothing."""
        return self._half.settings

    async def did_not(self, what: str) -> None:
        """It was refused: there is nothing to undo of it."""
        self._half = msgspec.structs.replace(self._half, **{what: _default(what)})
        await self._keep()

    async def mark(self, by: Provisioned) -> None:
        """The box is set up by it from now on."""
        await asyncio.to_thread(write_file, self._folder / MARK, msgspec.json.encode(by))

    async def close(self) -> None:
        """What it changed holds for good."""
        self._half = _Half()
        await self._keep()

    async def undo(self) -> list[tuple[str, Exception]]:
        """The box is not set up by it: undo all of it, the last first.

        Returns:
            What could not be undone, and why. What may be another time is undone then.
        """
        stays = list[tuple[str, Exception]]()
        half, left = self._half, self._half
        try:
            await asyncio.to_thread(self._unmark)
        except OSError as error:  # such as a disk that takes no writing any more
            log.warning("%s can't be undone: %s", _MARKED, error)
            stays.append((_MARKED, error))
        is_marked = bool(stays)
        for what, undo in (
            ("token", self._undo_token),
            ("settings", self._undo_settings),
            ("trust", self._undo_trust),
            ("network", self._undo_network),
        ):
            if getattr(half, what) == _default(what):
                continue
            is_left = False
            try:
                await undo(half)
            except (EdgeError, OSError) as error:
                words = _WORDS[what]
                log.warning("%s can't be undone: %s", words, error)
                perhaps = "perhaps " if isinstance(error, NoAnswer) else ""
                stays.append((f"{perhaps}{words}", error))
                is_left = not isinstance(error, DecisionRefused)
            if not is_left:
                left = msgspec.structs.replace(left, **{what: _default(what)})
        self._half = half if is_marked else left
        try:
            await self._keep()
        except OSError as error:  # it is undone once more, then
            log.warning("that a file was undone can't be written down: %s", error)
        return stays

    async def settle(self) -> list[str]:
        """See to a file that was begun with before: it holds, is yet to, or is undone.

        Returns:
            What holds of one that was not taken, for good: somebody changed it since.

        Raises:
            HalfTaken: Something of one that was not taken holds, and can't be undone now.
        """
        if not await asyncio.to_thread(is_open, self._folder):
            return []
        if await asyncio.to_thread(replacing.read, self._folder) is not None:
            return []  # another box takes this one's place: that is known at the next start
        self._half = await asyncio.to_thread(_read, self._folder)
        mark = await asyncio.to_thread(read_provisioned, self._folder)
        settings = ""
        if mark is not None:
            settings, said = mark.settings, self._half.settings
            before = said.before.text if said is not None else None
            if not settings or not await asyncio.to_thread(
                is_taken_back, self._folder, settings, before
            ):
                if await asyncio.to_thread(in_force, self._folder):
                    await self.close()
                return []
        if not await self._users.is_empty():  # an admin, who can see to all of it
            await self.close()
            return []
        stays = await self.undo()
        await asyncio.to_thread(forget_taken_back, self._folder, settings)
        if self._half != _Half():
            left = [one for one in stays if not isinstance(one[1], DecisionRefused)]
            what, error = ", ".join(words for words, _ in left), left[0][1]
            raise HalfTaken(
                f"an earlier file was not taken to its end, and of it holds: {what}; {error}",
                hint=error.hint if isinstance(error, EdgeError) else "",
            ) from error
        log.warning("a file that was not taken to its end is undone")
        return [words for words, _ in stays]

    async def _undo_token(self, _: _Half) -> None:
        await self._users.withdraw_first_code()  # if it made an admin, they stay

    async def _undo_settings(self, half: _Half) -> None:
        if half.settings is not None:
            before, after = half.settings.before, half.settings.after
            await asyncio.to_thread(undo_change, self._folder, before, after)

    async def _undo_trust(self, _: _Half) -> None:
        await self._machine(Trust(""))

    async def _undo_network(self, half: _Half) -> None:
        await self._machine(Back())
        state = await asyncio.to_thread(read_network, self._places)
        if half.network is not None and half.network.before != state.kept == half.network.after:
            await self._machine(Network(half.network.before))
            await self._machine(Keep())

    def _unmark(self) -> None:
        mark = self._folder / MARK
        if mark.exists():  # or a disk that is read-only would be said to be in the way
            mark.unlink()
            sync_folder(self._folder)

    async def _keep(self) -> None:
        await asyncio.to_thread(_write, self._folder, self._half)


async def settle_for_service(folder: Path, users: Users) -> None:
    """What the service does about a file that was begun with, once it runs; never ends.

    Args:
        folder: ``data_dir``.
        users: Who may log in.

    Raises:
        HalfTaken: As of `Journal.settle`: it is to be tried again.
    """
    places = Places()
    async with alone(folder, math.inf):
        await Journal(folder, users, partial(ask, places), places).settle()
    await asyncio.Event().wait()


def _default(what: str) -> object:
    return getattr(_Half(), what)


def _write(folder: Path, half: _Half) -> None:
    path = folder / _JOURNAL
    if half != _Half():
        write_file(path, msgspec.json.encode(half))
    elif path.exists():
        path.unlink()
        sync_folder(folder)


def _read(folder: Path) -> _Half:
    try:
        return msgspec.json.decode((folder / _JOURNAL).read_bytes(), type=_Half)
    except FileNotFoundError:
        return _Half()
    except ValueError:  # what it changed is not known: all that can be undone is
        return _Half(trust=True, token=True)
