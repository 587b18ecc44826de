"""A folder of worklist files (``.wl``), as DCMTK's wlmscpfs reads them: one source of the worklist.

Whoever fills the folder keeps it: nothing is written or taken away here. A file that comes is an
item, one that goes takes its item along; one that is broken, or has the IDs of another, is named in
the status, and stops no other. If there is a ``lockfile``, a shared lock of it is held while the
folder is read, so that who rewrites it under an exclusive one is never met halfway. A file that
changed just now and can't be read is still being written: what it said before holds meanwhile.

A folder that can't be read empties nothing. Names of files stand in no log: they may well be names
of patients.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edge.cache.worklist import MOST_STEPS, Worklist
from edge.dicom.scheduled import Step, steps_in_file
from edge.dicom.scheduled_check import flaws_of, repeated
from edge.dropfolder.events import events
from edge.dropfolder.wording import reason_of
from edge.errors import InvalidInstance
from edge.others import WorklistSource

__all__ = ["WorklistFolder"]

_SUFFIX = ".wl"
_LOCK = "lockfile"
_MOST_BYTES = 256 * 1024
"""Of a file; real ones have some two thousand."""
_SETTLE = 2.0
"""Seconds for which a file that can't be read may still be under way."""
_BREATH = 0.3
"""Seconds from an event to a look: files come by the hundred."""
_LOCKED_PAUSE, _LOCKED_TRIES = 0.5, 20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_Facts = tuple[int, int, int]
"""Inode, size and time of a file."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A file, as it was when it was read."""

    facts: _Facts
    steps: tuple[Step, ...] = ()
    problem: str = ""
    """Why it can't be taken, or what is wrong with it nevertheless."""


@dataclass(slots=True)
class _Look:
    """What one look at the folder found."""

    files: dict[str, _Known] = field(default_factory=dict)
    unsettled: bool = False
    """A file is still being written."""
    identity: tuple[int, int] = (0, 0)
    """Device and inode of the folder."""


class _Locked(Exception):
    """Somebody rewrites the folder now."""


class WorklistFolder:
    """Watches one folder.

    Args:
        source: Where it is.
        worklist: Gets what its files say.
        clock: POSIX seconds, as the file system counts them.
    """

    def __init__(
        self,
        source: WorklistSource,
        worklist: Worklist,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._worklist = worklist
        self._clock = clock
        self._files: dict[str, _Known] = {}
        self._identity: tuple[int, int] = (0, 0)
        self._locked = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        woken = asyncio.Event()
        name = f"the folder of worklist source {self._source.name}"
        while True:
            watched = await asyncio.to_thread(self._identify)
            async with events(self._source.path, woken, name=name, of_going=True):
                while True:
                    woken.clear()
                    pause = await self.look()
                    if self._identity != watched:
                        break  # another folder is there now than the one whose events come
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await woken.wait()
                    await asyncio.sleep(_BREATH)
            await asyncio.sleep(_BREATH)

    async def look(self) -> float:
        """Look at every file once; returns in how many seconds to look again."""
        source = self._source
        try:
            found = await asyncio.to_thread(self._read)
        except _Locked:
            self._locked += 1
            if self._locked < _LOCKED_TRIES:
                return _LOCKED_PAUSE
            await self._worklist.failed(source.name, "its lockfile is held by another program")
            return source.interval_seconds
        except OSError as error:
            self._identity = (0, 0)
            await self._worklist.failed(
                source.name, f"its folder can't be read: {reason_of(error)}"
            )
            return source.interval_seconds
        self._locked, self._files, self._identity = 0, found.files, found.identity
        steps = [(name, step) for name in sorted(found.files) for step in found.files[name].steps]
        problems = _problems(found.files, steps)
        await self._worklist.renew(source.name, [step for _, step in steps], problems)
        return min(_SETTLE, source.interval_seconds) if found.unsettled else source.interval_seconds

    def _identify(self) -> tuple[int, int]:
        try:
            status = self._source.path.stat()
        except OSError:
            return 0, 0
        return status.st_dev, status.st_ino

    def _read(self) -> _Look:
        """All files; those that did not change are not read again. Blocks."""
        folder = os.open(self._source.path, _FOLDER)
        try:
            status = os.fstat(folder)
            look = _Look(identity=(status.st_dev, status.st_ino))
            with _lock(folder):
                for name in _names(folder):
                    if len(look.files) >= MOST_STEPS:
                        look.files[name] = _Known((0, 0, 0), (), "there are too many files")
                        break
                    known = self._known(folder, name, look)
                    if known is not None:
                        look.files[name] = known
        finally:
            os.close(folder)
        return look

    def _known(self, folder: int, name: str, look: _Look) -> _Known | None:
        """What a file says; None if it is gone, or no file."""
        before = self._files.get(name)
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return None
            facts = (status.st_ino, status.st_size, status.st_mtime_ns)
            if before is None or before.facts != facts:
                return self._taken(folder, name, status, facts, look)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Not remembered as read: a right may be mended without a change of the file.
            return _Known((0, 0, 0), before.steps if before else (), reason_of(error))
        return before

    def _taken(
        self, folder: int, name: str, status: os.stat_result, facts: _Facts, look: _Look
    ) -> _Known:
        """What a file says that is new, or changed."""
        try:
            steps = tuple(steps_in_file(_content(folder, name)))
        except InvalidInstance as error:
            if 0 <= self._clock() - status.st_mtime < _SETTLE:
                look.unsettled = True
                before = self._files.get(name)
                return _Known((0, 0, 0), before.steps if before else ())
            return _Known(facts, (), str(error))
        flaws = "; ".join(dict.fromkeys(filter(None, map(flaws_of, steps))))
        return _Known(facts, steps, f"on the list, but {flaws}" if flaws else "")


def _problems(files: Mapping[str, _Known], steps: Sequence[tuple[str, Step]]) -> list[str]:
    """What is wrong with files, by name."""
    said = [(name, files[name].problem) for name in files if files[name].problem]
    for name, first in repeated(steps):
        same = "the Study Instance UID and the Scheduled Procedure Step ID"
        said.append((name, f"left out: it has {same} of {_shown(first)}"))
    return [f"{_shown(name)}: {what}" for name, what in sorted(said)]


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(_SUFFIX))


def _content(folder: int, name: str) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: It can't be read.
        InvalidInstance: It is longer than one may be.
    """
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InvalidInstance(f"it is longer than {_MOST_BYTES // 1024} KiB")
    return data


@contextlib.contextmanager
def _lock(folder: int) -> Iterator[None]:
    """Holds a shared lock of the ``lockfile``, if there is one.

    Raises:
        _Locked: Somebody holds an exclusive one.
    """
    try:
        lock = os.open(_LOCK, _FILE, dir_fd=folder)
    except OSError:
        yield  # none, or none that is ours to use
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _Locked from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(lock)


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
