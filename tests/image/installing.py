"""The installer of the image, loaded as the program that it is, and what stands around it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.image.test_tree import IMAGE, program

__all__ = ["LISTED", "STICK", "Person", "Programs", "loaded"]

PARTS = ("devices", "medium", "programs", "screen", "traces", "writing")


def loaded() -> SimpleNamespace:
    """Its parts by their names, and the program itself as ``main``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the folder is the image's
        patch.syspath_prepend(IMAGE / "libexec")
        main = program(IMAGE / "libexec/install")
    parts = {name: sys.modules[f"installer.{name}"] for name in PARTS}
    return SimpleNamespace(main=main, **parts)


LISTED = json.dumps(
    {
        "blockdevices": [
            {"name": "sda", "size": 64e9, "type": "disk", "ro": False, "rm": True, "serial": "S"},
            {
                "name": "nvme0n1",
                "size": 512e9,
                "type": "disk",
                "ro": False,
                "rm": False,
                "model": "Fast ",
                "serial": "N1",
                "children": [
                    {"name": "nvme0n1p1", "partlabel": "edge-esp"},
                    {"name": "nvme0n1p2", "partlabel": "edge-root-1.2"},
                    {"name": "nvme0n1p6", "partlabel": "edge-data"},
                ],
            },
            {"name": "sdb", "size": 32e9, "type": "disk", "ro": False, "rm": False, "serial": "B"},
            {"name": "sdc", "size": 32e9, "type": "disk", "ro": True, "rm": False, "serial": "C"},
            {"name": "sdd", "size": 1e9, "type": "disk", "ro": False, "rm": False, "serial": "D"},
            {"name": "sde", "size": 9e10, "type": "disk", "ro": False, "rm": False, "serial": "E"},
            {"name": "zram0", "size": 9e10, "type": "disk", "ro": False, "rm": False},
        ]
    }
)


class Programs:
    """What the installer runs, of which nothing is run."""

    def __init__(self, *, mounted: str = "", broken: str = "") -> None:
        self.called: list[tuple[str, ...]] = []
        self.broken = broken
        part = {"name": "sdb1", "mountpoints": [mounted or None]}
        self.disk = {"name": "sdb", "mountpoints": [None], "children": [part]}

    def __call__(self, *words: str) -> str:
        self.called.append(words)
        if self.broken and self.broken == words[0]:
            raise sys.modules["installer.programs"].InstallError(f"{self.broken} is broken")
        return json.dumps({"blockdevices": [self.disk]})


STICK = Path("/sys/class/block/sde")


class Person:
    """Whoever stands before the screen."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.shown: list[tuple[str, int]] = []

    def say(self, text: str = "") -> None:
        self.said.append(text)

    def ask(self, text: str, stick: Path) -> str:
        assert stick == STICK
        self.said.append(text)
        return self.answers.pop(0)

    def typed(self, _seconds: float | None) -> str | None:
        return self.answers.pop(0) if self.answers else None

    def forget(self) -> None:
        pass

    def rises(self, what: str, percent: int) -> None:
        self.shown.append((what, percent))
