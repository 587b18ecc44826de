"""What the machine starts from: two kinds of loaders, and how each is told of a version on trial.

- **UEFI** (systemd-boot): ``EFI/Linux/edge_V+3.efi``. The loader takes the newest version that has
  tries left, and counts them down at each start; ``systemd-bless-boot`` takes the count away once
  ``boot-complete.target`` was reached. Of versions that have none left it takes the newest, if
  there is no other. A name that is not there is never started. So that an older version is tried,
  the newer one that runs gets a count of none: it comes behind until the older one has none
  either.
- **Raspberry Pi**: two boot partitions; ``autoboot.txt`` names the one that is started, and the one
  that is tried once ("tryboot"). A start that was not told to try goes to the former one. Beside
  it, ``edge_V.trial`` says that it was root who put a version on trial.

Promises that a version which runs stays startable until another one has proven itself; so nothing
is written while that which runs is on trial itself: the other one is what it goes back to.
Everything here blocks, and is for root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from edge.crypto.durable import sync_folder
from edge.errors import UpdateRefused
from edge.updates.bundle import Bundle
from edge.updates.journal import TRIES
from edge.updates.partitions import Disk
from edge.updates.versions import Version

__all__ = ["Loader", "NotNow", "Pi", "Uefi", "esp"]

_ENTRY: Final = re.compile(r"edge_(?P<version>[^+_]+)(\+\d+(-\d+)?)?\.efi")
"""With the count of tries that are left, and of those that were used (UAPI.1)."""
_PLACES: Final = (Path("/efi"), Path("/boot/efi"), Path("/boot"))
_BOOTED: Final = Path("/proc/device-tree/chosen/bootloader/partition")
_LINE: Final = re.compile(r"^\s*boot_partition\s*=\s*(\d+)\s*$")


class NotNow(UpdateRefused):
    """What runs has to prove itself first."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"version {version}, which runs, is on trial itself",
            hint="wait until it has proven itself: edge update show",
        )


class Loader(Protocol):
    """One of the two."""

    restart: tuple[str, ...]
    """Words behind ``systemctl reboot`` with which the version on trial is started."""

    def forget_others(self, running: str) -> None:
        """Have nothing start but the version that runs: the other slot is about to be written.

        Raises:
            NotNow: It is on trial; nothing was changed.
        """
        ...

    def put(self, disk: Disk, bundle: Bundle, running: str) -> None:
        """Have the version of a bundle start, on trial. This is the commit of an update.

        Raises:
            NotNow: As ``forget_others``.
        """
        ...

    def refuse_untried(self, version: str) -> None:
        """Do nothing if it was put on trial here, and that is not over.

        Raises:
            UpdateRefused: It was not.
        """
        ...

    def other_than(self, running: str) -> str:
        """The version that could be gone back to; empty if none is known."""
        ...

    def keep(self, version: str) -> None:
        """It has proven itself."""
        ...

    def leave(self, version: str, before: str) -> None:
        """It has not: have the version before start from now on.

        Raises:
            UpdateRefused: That is not there any more, or it is not on trial; nothing was changed.
        """
        ...


class Uefi:
    """systemd-boot.

    Args:
        path: Of the EFI system partition.
    """

    restart: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._folder = path / "EFI" / "Linux"

    def entries(self) -> dict[str, list[Path]]:
        """Version -> what starts it."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self._folder.glob("edge_*.efi")):
            if version := version_of(path.name):
                found.setdefault(version, []).append(path)
        return found

    def forget_others(self, running: str) -> None:
        """See ``Loader``."""
        entries = self.entries()
        if running not in entries:
            raise UpdateRefused(
                f"nothing in {self._folder} starts version {running}, which runs",
                hint="is the EFI system partition mounted?",
            )
        self._refuse_trial(running)
        # First: beside another one that fails, what has no tries left would not be gone back to.
        self._rename(running, f"edge_{running}.efi")
        for version, paths in entries.items():
            if version != running:
                self._unlink(paths)
        # What an update that was cut short has left would fill a small partition, one by one.
        if unfinished := sorted(self._folder.glob("edge_*.new")):
            self._unlink(unfinished)

    def put(self, disk: Disk, bundle: Bundle, running: str) -> None:  # noqa: ARG002 - see Loader
        """See ``Loader``. Crash order: another name -> fsync -> rename -> fsync the folder.

        Before one that is not newer gets its name, what runs comes behind: it starts all the same
        as long as nothing else is there, and is called good again then.
        """
        self._refuse_trial(running)
        version = bundle.manifest.version
        part = bundle.manifest.part("uki")
        unfinished = self._folder / f"edge_{version}.new"
        unfinished.unlink(missing_ok=True)
        _write(unfinished, bundle.content(part))
        try:
            self._unlink(self.entries().get(version, []))
            if Version(version) <= Version(running):
                self._rename(running, _behind(running))
            unfinished.replace(self._folder / f"edge_{version}+{TRIES}.efi")
            sync_folder(self._folder)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        os.sync()  # FAT: what the folder says may still be in memory

    def refuse_untried(self, version: str) -> None:
        """See ``Loader``: that stands in its name, which nobody but root writes."""
        if not self._on_trial(version):
            raise UpdateRefused(f"version {version} is not on trial any more")

    def other_than(self, running: str) -> str:
        """See ``Loader``."""
        others = [version for version in self.entries() if version != running]
        return max(others, key=Version, default="")

    def keep(self, version: str) -> None:
        """systemd-bless-boot does it."""

    def leave(self, version: str, before: str) -> None:
        """See ``Loader``."""
        if before not in self.entries():
            raise UpdateRefused(f"nothing starts version {before} any more")
        self.refuse_untried(version)
        self._rename(before, f"edge_{before}.efi")
        self._unlink(self._on_trial(version))

    def _refuse_trial(self, running: str) -> None:
        if len(self._on_trial(running)) == len(self.entries().get(running, [])):
            raise NotNow(running)

    def _on_trial(self, version: str) -> list[Path]:
        paths = self.entries().get(version, [])
        return [path for path in paths if "+" in path.name and path.name != _behind(version)]

    def _rename(self, version: str, name: str) -> None:
        """Have what starts a version under this name, and no other."""
        path, *more = self.entries()[version]
        if path.name != name:
            path.replace(path.with_name(name))
        self._unlink(one for one in more if one.name != name)
        os.sync()

    def _unlink(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        sync_folder(self._folder)


class Pi:
    """The firmware of the Raspberry Pi.

    Args:
        path: Where the partition with ``autoboot.txt`` is mounted.
        booted: The firmware says there from which partition it started, 4 bytes, big endian.
    """

    restart: tuple[str, ...] = ("--reboot-argument=0 tryboot",)

    def __init__(self, path: Path, booted: Path = _BOOTED) -> None:
        self._folder = path
        self._file = path / "autoboot.txt"
        self._booted = booted

    def numbers(self) -> tuple[int, int]:
        """The partition that is started, and the one that is tried.

        Raises:
            UpdateRefused: The file does not say it.
        """
        found: dict[str, int] = {}
        section = "all"
        try:
            lines = self._file.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UpdateRefused(f"{self._file} can't be read: {error}") from error
        for line in lines:
            if line.strip().startswith("["):
                section = line.strip(" []\t")
            elif match := _LINE.match(line):
                found[section] = int(match[1])
        if set(found) != {"all", "tryboot"}:
            raise UpdateRefused(f"{self._file} does not name two boot partitions")
        return found["all"], found["tryboot"]

    def forget_others(self, running: str) -> None:
        """See ``Loader``. Nothing starts the other one unless it is told to."""
        self._own(running)
        for path in self._folder.glob("edge_*.trial"):
            path.unlink(missing_ok=True)
        self._sync()

    def put(self, disk: Disk, bundle: Bundle, running: str) -> None:
        """See ``Loader``. The version is named last: nothing is tried that is not whole."""
        started = self._own(running)
        other = disk.other_boot(started)
        part = bundle.manifest.part("boot")
        disk.write(other, bundle.content(part), part.sha256)
        self._say(started, other.number)
        unfinished = self._folder / "edge_trial.new"
        unfinished.unlink(missing_ok=True)
        _write(unfinished, [])
        unfinished.replace(self._trial(bundle.manifest.version))
        self._sync()

    def refuse_untried(self, version: str) -> None:
        """See ``Loader``."""
        if not self._trial(version).exists():
            raise UpdateRefused(f"version {version} is not on trial any more")

    def other_than(self, running: str) -> str:  # noqa: ARG002 - see Loader
        """See ``Loader``. Its firmware counts nothing, and starts that by itself."""
        return ""

    def keep(self, version: str) -> None:
        """See ``Loader``: the two change their places, unless they did so already."""
        started, tried = self.numbers()
        if self._runs() == tried:
            self._say(tried, started)
        self._trial(version).unlink(missing_ok=True)
        self._sync()

    def leave(self, version: str, before: str) -> None:  # noqa: ARG002 - see Loader
        """See ``Loader``. The next start goes to the former one by itself."""
        self.refuse_untried(version)
        self._trial(version).unlink()
        self._sync()

    def _own(self, running: str) -> int:
        """The partition of what runs, and is started again whatever becomes of the other one."""
        started, tried = self.numbers()
        runs = self._runs()
        if runs == tried:
            raise NotNow(running)
        if runs != started:
            raise UpdateRefused(
                f"{self._file} has partition {started} started, and {runs} runs",
                hint="start the machine anew; if that does not help, flash it",
            )
        return started

    def _runs(self) -> int:
        try:
            return int.from_bytes(self._booted.read_bytes(), "big")
        except OSError as error:
            raise UpdateRefused(f"{self._booted} can't be read: {error.strerror}") from error

    def _trial(self, version: str) -> Path:
        return self._folder / f"edge_{version}.trial"

    def _sync(self) -> None:
        sync_folder(self._folder)
        os.sync()

    def _say(self, started: int, tried: int) -> None:
        text = (
            f"[all]\ntryboot_a_b=1\nboot_partition={started}\n[tryboot]\nboot_partition={tried}\n"
        )
        unfinished = self._file.with_name("autoboot.new")
        unfinished.unlink(missing_ok=True)
        _write(unfinished, [text.encode()])
        unfinished.replace(self._file)
        self._sync()


def esp() -> Path:
    """Where the EFI system partition, or that of ``autoboot.txt``, is mounted.

    Raises:
        UpdateRefused: Nowhere.
    """
    for path in _PLACES:
        if (path / "EFI" / "Linux").is_dir() or (path / "autoboot.txt").is_file():
            return path
    raise UpdateRefused(
        "what this machine starts from is mounted nowhere",
        hint="the disk image mounts it at /efi",
    )


def version_of(name: str) -> str:
    """Which version a file ``edge_V+3-0.efi`` starts; empty if it is none of ours."""
    match = _ENTRY.fullmatch(name)
    return match["version"] if match else ""


def _behind(version: str) -> str:
    """The name of what was set behind an older version; of a trial's last try, ``-3`` follows."""
    return f"edge_{version}+0.efi"


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UpdateRefused(f"{path} can't be written: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
