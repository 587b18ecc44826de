"""What lies in ``data_dir/update``: what is known and wanted, orders, the trial, and what was done.

    state.json       of the service alone: what was found, what is wanted, how far that came
    V.edgeupdate     a bundle that is whole and proven; ``….part`` one that is coming
    order.json       what root shall do (`helper`); whoever carries it out removes it
    writing.json     how much of a version is in the other slot, while root writes it
    trial.json       a version that was written into the other slot, and is to prove itself
    history.jsonl    what happened, one line each (`history`), by whoever did it

Every file is written whole or not at all; the history grows by lines, of which one that a power
cut tore is passed over. Whoever reads can't tell a file that is damaged from one that is not there:
then nothing is wanted, and no trial is known; a start that the loader counts is one all the same
(`trial`). Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

import msgspec

from edge.crypto.durable import (
    hand_over,
    lock_file,
    one_at_a_time,
    sync_folder,
    write_file,
)
from edge.errors import StorageFull
from edge.updates.bundle import SUFFIX
from edge.updates.history import Cause, Deed, Entry, lines_of

__all__ = [
    "TRIES",
    "Folder",
    "Found",
    "Order",
    "State",
    "Trial",
    "Trouble",
]

T = TypeVar("T", bound=msgspec.Struct)

TRIES: Final = 3
"""Starts that a version on trial has to prove itself."""

_KEPT, _MOST = 200, 400
"""Lines of the history, after it was cut, and before."""
_MOST_BYTES: Final = 1024**2
_BROUGHT: Final = "brought-"
_COPYING: Final = 3600.0
"""Seconds that a copy from a stick may take."""
_DECIDING: Final = 30.0
"""Seconds after which it is given up to decide something; whoever else does is done at once."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An update that can be had."""

    version: str
    where: str
    """Address of the bundle; empty if it was brought."""
    bytes: int
    made: float
    notes: dict[str, str]
    security: bool = False
    seen: float = 0.0
    """POSIX seconds."""
    etag: str = ""
    """Of the file on the server: if that is another one, it is fetched anew."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why something does not go on, since when, and what a person can do."""

    why: str
    hint: str = ""
    since: float
    """POSIX seconds."""


class State(msgspec.Struct, kw_only=True):
    """What the service knows and wants."""

    looked: float = 0.0
    """When the server was asked last, and answered."""
    unlooked: Trouble | None = None
    """Why it could not be asked; None once it could."""
    trouble: str = ""
    """Why what is wanted does not go on."""
    hint: str = ""
    since: float = 0.0
    """When the trouble began."""
    offered: Found | None = None
    """The newest that the server has and this machine may take."""
    wanted: Found | None = None
    """It is to come here,"""
    synced: int = 0
    """and so many bytes of it are here for certain."""
    keeps_place: bool = False
    """It took the place of another one that was coming, and gives it to none."""
    ready: Found | None = None
    """It is here, whole and proven."""
    install: bool = False
    """It is to be written at the next quiet moment,"""
    by: str = ""
    """as they said who wanted it, or wanted it to come,"""
    asked: int = 0
    """when the last line of the history had this number."""
    told: int = 0
    """Number of the last line of the history that the audit has."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What root shall do."""

    act: Literal["install", "try", "keep", "return"]
    """``try``: start what is on trial and has starts left, which a Pi does not do by itself."""
    version: str
    file: str = ""
    """Of ``install``: the name of the bundle, in this folder."""
    reached: tuple[str, ...] = ()
    """Of ``install``: archives that can be reached now, and so have to be reached afterwards;"""
    ailing: tuple[str, ...] = ()
    """parts of the service that are in trouble now, which nobody asks of the new version."""
    why: str = ""
    by: str = ""
    at: float = 0.0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is to prove itself."""

    version: str
    before: str
    """The version to go back to."""
    boot_id: str
    """Of the start in which it was written, or the machine was last told to start from it."""
    tries: int = 0
    """So often the machine was told to; a Pi whose power was cut before is told again."""
    reached: tuple[str, ...] = ()
    ailing: tuple[str, ...] = ()
    by: str = ""
    at: float = 0.0


class _Begun(msgspec.Struct, frozen=True):
    version: str
    times: int


class _Written(msgspec.Struct, frozen=True):
    version: str
    share: float


class Folder:
    """The folder; made when something is written.

    Args:
        data_dir: Of the box.
        clock: POSIX seconds.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = data_dir / "update"
        self._clock = clock

    @classmethod
    def at(cls, path: Path) -> Self:
        """The folder itself, by whatever name it is at hand."""
        made = cls(path)
        made.path = path
        return made

    def make(self) -> None:
        """Have it; it belongs to whoever owns the data."""
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            owner = self.path.parent.stat()
            if os.geteuid() == 0 and owner.st_uid != 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)
        sync_folder(self.path.parent)

    # Bundles --------------------------------------------------------------------------------------

    def bundle(self, version: str) -> Path:
        """Where one lies that is whole."""
        return self.path / f"{version}{SUFFIX}"

    def part(self, version: str) -> Path:
        """Where one lies that is coming."""
        return self.path / f"{version}{SUFFIX}.part"

    def copying(self, version: str) -> Path:
        """Where one lies that is being copied from a stick."""
        return self.path / f"{_BROUGHT}{version}{SUFFIX}.part"

    def drop_copies(self) -> None:
        """Delete what was being copied from sticks; for who knows that nobody does so now."""
        for path in self.path.glob(f"{_BROUGHT}*{SUFFIX}.part"):
            path.unlink(missing_ok=True)

    def whole(self) -> list[Path]:
        """Those that are whole, whoever put them here."""
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def keep_only(self, *versions: str) -> None:
        """Delete bundles of other versions, whole or not."""
        kept = {path for one in versions for path in (self.bundle(one), self.part(one))}
        for path in self.path.glob(f"*{SUFFIX}*"):
            if path not in kept and not (path.name.startswith(_BROUGHT) and self._is_new(path)):
                path.unlink(missing_ok=True)

    def _is_new(self, path: Path) -> bool:
        """Whether somebody may still be copying it."""
        with contextlib.suppress(FileNotFoundError):
            return self._clock() - path.stat().st_mtime < _COPYING
        return False

    # State, order, trial --------------------------------------------------------------------------

    def state(self) -> State:
        """What the service knew last."""
        return self._read("state.json", State) or State()

    def write_state(self, state: State) -> None:
        """Keep it.

        Raises:
            StorageFull: The disk does not take it.
        """
        try:
            self._write("state.json", state)
        except OSError as error:
            raise StorageFull(
                f"what is known of updates can't be kept: {error.strerror}"
            ) from error

    def order(self) -> Order | None:
        """What root shall do."""
        return self._read("order.json", Order)

    def write_order(self, order: Order) -> None:
        """Have root do something; the unit's path watches this file."""
        self._write("order.json", order)

    def drop_order(self, done: Order | None = None) -> None:
        """It is done, or not wanted any more; another one than was *done* stays."""
        if done is None or self.order() == done:
            self._drop("order.json")

    @contextlib.contextmanager
    def deciding(self) -> Iterator[None]:
        """While nobody else decides whether an order holds: who carries it out, or takes it back.

        Raises:
            TimeoutError: Somebody does so without end.
        """
        self.make()
        with one_at_a_time(self.path, _DECIDING):
            yield

    def begun(self, version: str) -> int:
        """So often root began to write a version, and did not come to an end."""
        known = self._read("begun", _Begun)
        return known.times if known is not None and known.version == version else 0

    def write_begun(self, version: str, times: int) -> None:
        """Once more; 0 forgets it."""
        if times:
            self._write("begun", _Begun(version, times))
        else:
            self._drop("begun")

    def written_share(self, version: str) -> float | None:
        """How much of it is in the other slot, from 0 to 1; None: root has not begun with it."""
        known = self._read("writing.json", _Written)
        return known.share if known is not None and known.version == version else None

    def write_share(self, version: str, share: float) -> None:
        """So much is; nothing but what people are told hangs on it."""
        self._write("writing.json", _Written(version, share))

    def drop_share(self) -> None:
        """Nothing is being written any more."""
        self._drop("writing.json")

    def trial(self) -> Trial | None:
        """What is on trial."""
        return self._read("trial.json", Trial)

    def write_trial(self, trial: Trial) -> None:
        """From the next start on."""
        self._write("trial.json", trial)

    def drop_trial(self) -> None:
        """It is over."""
        self._drop("trial.json")

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(_content(self.path / name), type=kind)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _write(self, name: str, what: msgspec.Struct) -> None:
        self.make()
        write_file(self.path / name, msgspec.json.encode(what) + b"\n")

    def _drop(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).unlink()
            sync_folder(self.path)

    # History --------------------------------------------------------------------------------------

    def history(self) -> list[Entry]:
        """All that is known, the oldest first."""
        try:
            return list(lines_of(_content(self.path / "history.jsonl")))
        except OSError:
            return []

    def note(
        self,
        deed: Deed,
        version: str,
        *,
        before: str = "",
        why: str = "",
        by: str = "",
        cause: Cause = Cause.ITSELF,
    ) -> Entry:
        """Have something in the history; it is durable when this returns."""
        self.make()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path / "history.jsonl", flags, 0o600)
        try:
            with contextlib.suppress(TimeoutError):  # who holds it without end spoils numbers alone
                lock_file(descriptor, _DECIDING)
            hand_over(descriptor, self.path)
            there = os.pread(descriptor, _MOST_BYTES, 0)
            known = list(lines_of(there))
            entry = Entry(
                number=known[-1].number + 1 if known else 1,
                at=self._clock(),
                deed=deed,
                version=version,
                before=before,
                why=why[:500],
                by=by[:100],
                cause=cause,
            )
            torn = b"" if not there or there.endswith(b"\n") else b"\n"
            os.write(descriptor, torn + msgspec.json.encode(entry) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return entry

    def cut_history(self) -> None:
        """Forget the oldest lines, if there are many; for the service alone."""
        known = self.history()
        if len(known) > _MOST:
            lines = b"".join(msgspec.json.encode(one) + b"\n" for one in known[-_KEPT:])
            write_file(self.path / "history.jsonl", lines)


def _content(path: Path) -> bytes:
    """Of a plain file; root reads here, too, and the folder is not root's."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no file", str(path))
        return file.read(_MOST_BYTES)
