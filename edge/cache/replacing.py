"""A box on its first day takes another one's place, and is as before if that does not start.

Owns ``replacing.json`` in ``data_dir``, which says how far that is, and the folder ``first-day``
there, with what the box was until then. Promises that after a cut at any moment the next start goes
on to one of two ends: all of the restored box, or all of the first day's, never some of each.

Crash order: all files of the restored box are durable in ``data_dir/restoring`` -> the step
``ready``, from which on it is decided -> [the service begins anew] what is there goes to
``first-day`` -> the step ``in`` -> the restored files get their places -> the step ``tried`` -> the
service runs with them -> it is in the audit -> ``replacing.json`` goes -> ``first-day`` goes. If it
does not start: the step ``back`` -> the restored files are removed -> the step ``returning`` ->
what is in ``first-day`` gets its places -> why stands in ``not-replaced.txt`` -> ``replacing.json``
goes. It listens before that is settled: with an image that it took in, nothing goes back. Calls
block; whoever makes one of the last steps holds the folder's lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.crypto.durable import destroy_file, lock_at_once, sync_folder, write_file
from edge.errors import SecretError
from edge.index.database import Database

__all__ = [
    "STAGE",
    "Replacing",
    "begin",
    "decide",
    "drop",
    "forget_why",
    "give_back",
    "has_begun",
    "has_images",
    "held",
    "is_anything",
    "is_first_day",
    "ran",
    "read",
    "settled",
    "why_not",
]

log = logging.getLogger(__name__)

STAGE: Final = "restoring"
_MARK: Final = "replacing.json"
_ASIDE: Final = "first-day"
_WHY: Final = "not-replaced.txt"
_STAY: Final = frozenset({"lock", "lost+found", STAGE, _MARK, f"{_MARK}.new", _ASIDE, _WHY})
"""What belongs to neither box."""
_OBJECTS: Final = "objects"
"""The folder of `edge.store.objects`."""
_SECRET: Final = "root.key"  # noqa: S105 - the name of its file
_STARTS: Final = 3
"""After as many that did not come to their end, the first day's box is back."""

_ANYTHING: Final = (
    "SELECT EXISTS (SELECT 1 FROM instances), EXISTS (SELECT 1 FROM users),"
    " EXISTS (SELECT 1 FROM tokens), EXISTS (SELECT 1 FROM trash)"
)

_Step = Literal["ready", "in", "tried", "back", "returning"]


class Replacing(msgspec.Struct, frozen=True):
    """How far it is."""

    box: str
    """What the restored box is called."""
    made: float
    """When its backup was made, in POSIX seconds."""
    by: str
    """Who has it done, for the audit."""
    lost: int = 0
    """Images that no archive was proven to have when the backup was made."""
    step: _Step = "ready"
    starts: int = 0
    """With the restored files, that did not come to their end."""
    why: str = ""
    """Why it goes back."""


def read(folder: Path) -> Replacing | None:
    """How far it is; None if nothing of the kind is under way.

    Raises:
        SecretError: That can't be read any more.
    """
    try:
        return msgspec.json.decode((folder / _MARK).read_bytes(), type=Replacing)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise SecretError(
            f"{folder / _MARK} is damaged: whose data is where can't be told",
            hint=f"the first day's box is in {folder / _ASIDE}, if that is there",
        ) from error


@contextlib.contextmanager
def held(folder: Path) -> Iterator[Path]:
    """An empty folder for the restored files, which no start takes for a leftover meanwhile.

    Until it is decided, or dropped.
    """
    stage = folder / STAGE
    if stage.exists():
        _remove(stage)
    stage.mkdir(mode=0o700)
    descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_at_once(descriptor)
        yield stage
    finally:
        os.close(descriptor)


def drop(folder: Path) -> None:
    """What was staged goes, unless it is decided."""
    if read(folder) is None and (folder / STAGE).exists():
        _remove(folder / STAGE)


def decide(folder: Path, what: Replacing) -> None:
    """From now on the restored box is the next one that starts."""
    forget_why(folder)
    sync_folder(folder / STAGE)
    _write(folder, what)


async def is_first_day(database: Database) -> bool:
    """Whether nobody is in a box, no image, and no program that may log in."""
    return not any((await database.read(_ANYTHING))[0])


def is_anything(folder: Path) -> bool:
    """Whether a start has something to do here."""
    return any((folder / name).exists() for name in (_MARK, _ASIDE, STAGE))


def has_begun(folder: Path) -> bool:
    """Whether something of the first day's box is aside."""
    return (folder / _ASIDE).exists()


def begin(folder: Path, *, is_first_day: bool = True) -> bool:
    """What a start does first; whether other files are in ``data_dir`` afterwards.

    Args:
        folder: ``data_dir``.
        is_first_day: Whether there is still nothing in the box whose place is taken.
    """
    what = read(folder)
    if what is None:
        _tidy(folder)
        return False
    if what.step == "ready" and not is_first_day:
        log.error("there is something in this box by now: no other takes its place")
        _remove(folder / STAGE)
        write_file(folder / _WHY, b"there was something in this box by then")
        _forget(folder)
        return False
    if what.step == "ready":
        log.warning("this box becomes %s, of which a backup was restored", what.box)
        _move(folder, folder / _ASIDE)
        what = _write(folder, what, step="in")
    if what.step == "in":
        _move(folder / STAGE, folder)
        what = _write(folder, what, step="tried")
    if what.step == "tried" and what.starts >= _STARTS and not has_images(folder):
        why = f"{_STARTS} starts with it did not come to their end"
        what = _write(folder, what, step="back", why=why)
    if what.step == "tried":
        _write(folder, what, starts=what.starts + 1)
        return True
    return _back(folder, what)


def give_back(folder: Path, why: str) -> bool:
    """The restored box does not start: the next start has the first day's; False if it is not so.

    Args:
        folder: ``data_dir``.
        why: For people.
    """
    what = read(folder)
    if what is None or what.step != "tried":
        return False
    if has_images(folder):
        log.error("the restored box does not start, and has images by now: it stays: %s", why)
        return False
    log.error("the restored box does not start, and this one is as before: %s", why)
    _write(folder, what, step="back", why=why)
    return True


def ran(folder: Path) -> None:
    """The restored box runs, and that is not in the audit yet: its starts are counted anew."""
    what = read(folder)
    if what is not None and what.step == "tried":
        _write(folder, what, starts=0)


def settled(folder: Path) -> None:
    """The restored box runs, and it is in the audit: it holds for good."""
    _forget(folder)
    _tidy(folder)


def why_not(folder: Path) -> str:
    """Why the last one that was decided did not start; empty if it did, or there was none."""
    try:
        return (folder / _WHY).read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def forget_why(folder: Path) -> None:
    """It was told."""
    (folder / _WHY).unlink(missing_ok=True)


def has_images(folder: Path) -> bool:
    """Whether the restored box took any in: a backup has none."""
    return any(path.is_file() for path in (folder / _OBJECTS).rglob("*"))


def _back(folder: Path, what: Replacing) -> bool:
    if what.step == "back":
        destroy_file(folder / _SECRET)  # of a box whose images somebody may have
        for path in _entries(folder):
            _remove(path)
        sync_folder(folder)
        what = _write(folder, what, step="returning")
    if (folder / _ASIDE).exists():
        _move(folder / _ASIDE, folder)
    write_file(folder / _WHY, what.why.encode())
    _forget(folder)
    return True


def _tidy(folder: Path) -> None:
    """Leftovers: of a box whose place was taken, and of one that was not decided."""
    if (folder / _ASIDE).exists():
        _remove(folder / _ASIDE)
    stage = folder / STAGE
    if not stage.exists() or not (folder / "index.db").exists():
        return  # of `edge restore`, which begins with it once more
    descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if lock_at_once(descriptor):  # else somebody is at it
            _remove(stage)
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name not in _STAY)


def _move(source: Path, target: Path) -> None:
    """All that belongs to a box; what of it was moved before a cut is there, and no more here."""
    target.mkdir(mode=0o700, exist_ok=True)
    if source.exists():
        for path in _entries(source):
            path.rename(target / path.name)
        sync_folder(target)
        sync_folder(source)
    if source.name in (STAGE, _ASIDE) and source.exists():
        _remove(source)  # with what a backup says is called as something that stays
    sync_folder(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        destroy_file(path / _SECRET)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(folder: Path, what: Replacing, **changes: object) -> Replacing:
    what = msgspec.structs.replace(what, **changes)
    write_file(folder / _MARK, msgspec.json.encode(what))
    return what


def _forget(folder: Path) -> None:
    (folder / _MARK).unlink(missing_ok=True)
    sync_folder(folder)
