"""What this machine is: which version of the system runs, of which kind it is, which start this is.

Reads what the image wrote and the kernel says. Promises that a machine which was not made from the
disk image says so: it gets its updates by its own package manager.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge import __version__

__all__ = ["HERE", "Machine", "Place"]

_KINDS: Final = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What one is, at one moment."""

    version: str
    shown_version: str
    kind: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the machine says what it is; other places than those of Linux are for tests."""

    os_release: Path = Path("/usr/lib/os-release")
    boot_id_file: Path = Path("/proc/sys/kernel/random/boot_id")
    model_file: Path = Path("/proc/device-tree/model")
    architecture: str = ""
    counted_file: Path = Path(
        "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    )
    """Is there if the loader counts the tries of what it started (systemd-boot)."""

    @property
    def version(self) -> str:
        """That of the disk image; empty if the machine was not made from one."""
        said = self._said()
        return said.get("IMAGE_VERSION", "") if said.get("IMAGE_ID") == "edge" else ""

    def machine(self) -> Machine:
        """All that it says. Blocks, as whatever is asked of it."""
        return Machine(self.version, self.shown_version, self.kind)

    @property
    def shown_version(self) -> str:
        """That of the image, or else of the service."""
        return self.version or __version__

    @property
    def kind(self) -> str:
        """As manifests name it."""
        try:
            model = self.model_file.read_text("utf-8", "replace")
        except OSError:
            model = ""
        if model.startswith("Raspberry Pi"):
            return "rpi"
        named = self.architecture or platform.machine()
        return _KINDS.get(named.lower(), named)

    @property
    def boot_id(self) -> str:
        """Of this start of the machine."""
        try:
            return self.boot_id_file.read_text("ascii").strip()
        except OSError:
            return ""

    @property
    def is_counted(self) -> bool:
        """What runs is on trial, as whoever started it says: it is blessed once that is over."""
        return self.counted_file.exists()

    def _said(self) -> dict[str, str]:
        try:
            lines = self.os_release.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        pairs = (line.partition("=") for line in lines if "=" in line and line[0] != "#")
        return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


HERE: Final = Place()
