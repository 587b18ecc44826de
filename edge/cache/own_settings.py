"""The box's own settings: read for people, tried, and written, as `edge.changing` describes it.

Owns ``data_dir/settings.toml`` and ``settings.toml.former``. Promises that what it writes can be
loaded, and that the former file is there until `prove` says that the service runs with the new one;
until then `take_back` brings it back. What is taken back to has run; what was taken back is kept
aside, and comes back (`put_back`) if the former fails as it did: then it was not at fault. Whoever
changes something sees what others, the page and commands, changed before. Calls block, but for the
class's coroutines.

Crash order: the former file is durable -> the new one replaces it -> the service begins anew ->
``prove`` removes the former one. Whoever starts in between, and can't, takes it back: the new one
is kept aside, why is written, the former one replaces the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.authorities import in_short
from edge.changing import accepted, all_settings, setting_of, shown_of, value_of
from edge.config import Config
from edge.crypto.durable import one_at_a_time, sync_folder, write_file
from edge.errors import ConfigError, NotYet, StorageFull
from edge.loading import OWN, data_dir, layered
from edge.overlay import put, take, to_toml

__all__ = [
    "DAMAGED",
    "DAMAGED_WHY",
    "FORMER",
    "REFUSED",
    "REFUSED_WHY",
    "Change",
    "Known",
    "OwnSettings",
    "Source",
    "Written",
    "in_force",
    "prove",
    "put_back",
    "recover",
    "refused_why",
    "said_in",
    "setback",
    "take_back",
    "told",
    "written_in",
]

FORMER: Final = f"{OWN}.former"
REFUSED: Final = f"{OWN}.refused"
"""What was taken back last."""
REFUSED_WHY: Final = f"{REFUSED}.why"
SETBACK: Final = f"{OWN}.setback"
"""Why, until the service runs and has told it."""
DAMAGED: Final = f"{OWN}.damaged"
DAMAGED_WHY: Final = f"{DAMAGED}.why"
"""See `edge.cache.damaged_settings`."""
_NEXT: Final = 1.0
"""Seconds, after which the last change is mostly in force."""
_DATA_DIR: Final = "EDGE_APPLIANCE__DATA_DIR"

Source = str
"""``default``, ``box``, or ``fixed``."""


@dataclass(frozen=True, slots=True)
class Known:
    """A setting as it is."""

    key: str
    kind: str
    value: Any
    """Without secrets: one that is set is true."""
    default: Any
    choices: tuple[str, ...]
    source: Source
    where: str
    """Of what is fixed: the file and line, or the variable."""
    is_remote: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one setting."""

    key: str
    before: Any
    after: Any
    """Both without secrets."""


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the file, by which a change can be undone that nobody was told of."""

    text: str
    is_proven: bool
    """The service ran with it, as far as the files tell."""


class OwnSettings:
    """Of one box.

    Args:
        file: The configuration of the machine; None if there is none.
        folder: ``data_dir``.
        seal: Seals a secret for this box.
        environ: Where the variables are looked up.
    """

    def __init__(
        self,
        file: Path | None,
        folder: Path,
        seal: Callable[[str], str],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._file = file
        self._folder = folder
        self._seal = seal
        self._environ = environ
        if file is None:  # what made the box may have said where it is
            self._environ = {_DATA_DIR: str(folder), **environ}

    async def known(self) -> list[Known]:
        """All of them, as they would hold if the service began now.

        Raises:
            ConfigError: They could not: somebody changed a file.
        """
        return await asyncio.to_thread(self._known)

    async def check(
        self, changes: Mapping[str, Any], *, is_remote: bool = True
    ) -> tuple[list[Change], Config]:
        """What would become of these changes, and the configuration that would hold.

        Args:
            changes: Names of settings -> what they shall be; None: as by default.
            is_remote: They came over the network.

        Raises:
            ConfigError: It could not be so.
        """
        _, done, config = await asyncio.to_thread(self._tried, changes, is_remote=is_remote)
        return done, config

    async def change(
        self,
        changes: Mapping[str, Any],
        *,
        is_remote: bool = True,
        about_to: Callable[[Written, Written], None] | None = None,
    ) -> list[Change]:
        """Write them; they hold once the service begins anew.

        Args:
            changes: As of `check`.
            is_remote: As of `check`.
            about_to: Hears, in a thread, what stands in the file and what is going to, while
                nobody else changes it; if it raises, nothing is changed.

        Raises:
            ConfigError: It could not be so; nothing was changed.
            NotYet: The last change has not been proven yet.
            StorageFull: They could not be written; nothing was changed.
        """

        def change() -> list[Change]:
            with one_at_a_time(self._folder):
                return self._change(changes, is_remote, about_to)

        return await asyncio.to_thread(change)

    async def written(self) -> Written:
        """What stands in the file now."""
        return await asyncio.to_thread(written_in, self._folder)

    async def remove(self, keys: Sequence[str]) -> list[str]:
        """Take these out of a file that does not load, whatever they are; those that were there.

        Raises:
            ConfigError: What is left does not load, either; nothing was changed.
            StorageFull: It could not be written; nothing was changed.
        """

        def remove() -> list[str]:
            with one_at_a_time(self._folder):
                return self._remove(keys)

        return await asyncio.to_thread(remove)

    def _change(
        self,
        changes: Mapping[str, Any],
        is_remote: bool,
        about_to: Callable[[Written, Written], None] | None,
    ) -> list[Change]:
        text, done, _ = self._tried(changes, is_remote=is_remote)
        if not done:
            return []
        former = self._folder / FORMER
        if is_remote and former.exists():
            raise NotYet(
                "the settings that were changed last are not in force yet",
                retry_after=_NEXT,
                hint="wait a moment",
            )
        if about_to is not None:
            about_to(written_in(self._folder), Written(text, is_proven=False))
        self._write(text)
        return done

    def _remove(self, keys: Sequence[str]) -> list[str]:
        try:
            before: Mapping[str, Any] = tomllib.loads(self._text())
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{self._folder / OWN} is not TOML: {error}", hint="mend the file by hand"
            ) from error
        tree, removed = before, list[str]()
        for key in keys:
            if take(tree, key.split(".")) is not None:
                tree = put(tree, key.split("."), None)
                removed.append(key)
        if removed:
            text = to_toml(tree)
            layered(self._file, self._environ, own=text)
            self._write(text)
        return removed

    def _write(self, text: str) -> None:
        own, former = self._folder / OWN, self._folder / FORMER
        before, is_first = self._text(), not former.exists()
        try:
            if is_first:
                write_file(former, before.encode())
            write_file(own, text.encode())
            (self._folder / DAMAGED_WHY).unlink(missing_ok=True)  # somebody saw to it
        except OSError as error:
            if self._text() != before:  # only that it is durable is not known
                raise
            if is_first:  # or the next change would wait for this one to be in force
                former.unlink(missing_ok=True)
            raise StorageFull(
                f"the settings could not be written: {error.strerror}",
                hint="nothing was changed: look at the disk of data_dir",
            ) from error

    def _tried(
        self, changes: Mapping[str, Any], *, is_remote: bool
    ) -> tuple[str, list[Change], Config]:
        settings, config = layered(self._file, self._environ)
        tree: Mapping[str, Any] = tomllib.loads(self._text())
        for key, value in changes.items():
            setting = setting_of(key)
            if settings.is_fixed(setting.keys):
                error = ConfigError(
                    f"{key} is fixed by {settings.place(setting.keys)}",
                    hint="that wins over the box's own settings: change it there",
                )
                error.key = key
                raise error
            said = None
            if value is not None:
                before = value_of(config, setting)
                said = accepted(setting, value, before, seal=self._seal, is_remote=is_remote)
            tree = put(tree, setting.keys, said)
        text = to_toml(tree)
        _, new = layered(self._file, self._environ, own=text)
        if new.appliance.data_dir != self._folder:
            raise ConfigError(
                "appliance.data_dir was changed in the file of the machine",
                hint="that holds after: systemctl restart edge",
            )
        done = []
        for key in changes:
            setting = setting_of(key)
            old, now = value_of(config, setting), value_of(new, setting)
            if old != now or take(tomllib.loads(self._text()), setting.keys) != take(
                tree, setting.keys
            ):
                done.append(Change(key, shown_of(config, setting), shown_of(new, setting)))
        return text, done, new

    def _known(self) -> list[Known]:
        settings, config = layered(self._file, self._environ)
        found = []
        for setting in all_settings().values():
            is_fixed = settings.is_fixed(setting.keys)
            is_own = settings.is_own(setting.keys)
            found.append(
                Known(
                    setting.key,
                    setting.kind,
                    shown_of(config, setting),
                    setting.default,
                    setting.choices,
                    "fixed" if is_fixed else "box" if is_own else "default",
                    settings.place(setting.keys) if is_fixed else "",
                    setting.is_remote,
                )
            )
        return found

    def _text(self) -> str:
        return _text(self._folder)


def written_in(folder: Path) -> Written:
    """What `OwnSettings.written` says. Blocks."""
    return Written(_text(folder), not (folder / FORMER).exists())


def _text(folder: Path) -> str:
    try:
        return (folder / OWN).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def told(changes: list[Change]) -> dict[str, str]:
    """Changes as the audit has them: of certificates, whose they are."""
    return {
        f"{one.key} {when}": json.dumps(_in_short(value), ensure_ascii=False)
        for one in changes
        for when, value in (("before", one.before), ("after", one.after))
    }


def _in_short(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_short(one) for one in value]
    if isinstance(value, dict) and isinstance(pem := value.get("authority"), str):
        return value | {"authority": in_short(pem)}
    return value


def prove(folder: Path, ran: bytes) -> bool:
    """The service runs with settings; whether the box's own file still says so. Blocks.

    If it does not, somebody changed it meanwhile: what ran is what that may be taken back to.

    Args:
        folder: ``data_dir``.
        ran: What the file said when it was loaded (`edge.settings.Settings.own_text`).
    """
    with one_at_a_time(folder):
        try:
            holds = (folder / OWN).read_bytes() == ran
        except FileNotFoundError:
            holds = not ran
        (folder / SETBACK).unlink(missing_ok=True)
        if holds:
            with contextlib.suppress(FileNotFoundError):
                (folder / FORMER).unlink()
                sync_folder(folder)
        else:
            write_file(folder / FORMER, ran)
    return holds


def in_force(folder: Path) -> bool:
    """Whether the service runs with what the box's own file says, as far as files tell. Blocks.

    Args:
        folder: ``data_dir``.
    """
    return not (folder / FORMER).exists()


def said_in(folder: Path) -> bytes:
    """The box's own file, to the letter; empty if there is none. Blocks."""
    try:
        return (folder / OWN).read_bytes()
    except FileNotFoundError:
        return b""


def recover(file: Path | None, environ: Mapping[str, str] = os.environ, *, why: str = "") -> bool:
    """Have the former settings again if the new ones can't be loaded, and the former can. Blocks.

    Args:
        file: The configuration of the machine; None if there is none.
        environ: Where the variables are looked up.
        why: See `take_back`.
    """
    try:
        folder = data_dir(file, environ)
        layered(file, environ, own=(folder / FORMER).read_text(encoding="utf-8"))
        return take_back(folder, why)
    except (ConfigError, OSError, ValueError):
        return False


def take_back(folder: Path, why: str = "") -> bool:
    """Have the former settings again, if the new ones were not proven; whether there were some.

    Blocks.

    Args:
        folder: ``data_dir``.
        why: Told once the service runs, however often it has to be started until then.
    """
    own, former = folder / OWN, folder / FORMER
    if not former.is_file():
        return False
    with one_at_a_time(folder):
        with contextlib.suppress(OSError):  # what can't be read is not to be had back
            write_file(folder / REFUSED, own.read_bytes())
        with contextlib.suppress(OSError):  # a full disk: it is told in the log
            write_file(folder / REFUSED_WHY, why.encode())
            write_file(folder / SETBACK, why.encode())
        if own.is_dir():
            own.rename(folder / f"{DAMAGED}.{os.getpid()}")
        former.replace(own)
        sync_folder(folder)
    return True


def put_back(folder: Path) -> bool:
    """Have the new settings again that were taken back last; whether there were some. Blocks.

    The ones that hold are the former ones again.
    """
    own, refused = folder / OWN, folder / REFUSED
    with one_at_a_time(folder):
        if (folder / FORMER).exists() or not refused.is_file():
            return False
        write_file(folder / FORMER, own.read_bytes() if own.exists() else b"")
        refused.replace(own)
        (folder / REFUSED_WHY).unlink(missing_ok=True)
        (folder / SETBACK).unlink(missing_ok=True)
        sync_folder(folder)
    return True


def refused_why(folder: Path) -> str:
    """Why the settings that were taken back last were; empty if nothing says so. Blocks."""
    return _said(folder / REFUSED_WHY)


def setback(folder: Path) -> str:
    """Why settings were taken back, of which nobody was told yet; empty if none were. Blocks."""
    return _said(folder / SETBACK)


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
