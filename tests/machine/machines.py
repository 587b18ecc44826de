"""A machine in a folder: its files, and programs that write down how they were called."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from edge.machine.carrying import Carrier
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["Machine", "machine_in", "served"]

_PROGRAM = """#!/bin/sh
name=${{0##*/}}
echo "$name $*" >>"{root}/called"
if [ -e "{root}/broken-$name" ]; then echo "$name is broken" >&2; exit 3; fi
if [ -e "{root}/says-$name" ]; then /bin/cat "{root}/says-$name"; fi
exit 0
"""
_PROGRAMS = ("systemctl", "networkctl", "cryptsetup", "smartctl", "lsblk")


@dataclass(frozen=True)
class Machine:
    """It."""

    root: Path
    places: Places
    tools: Tools

    @property
    def called(self) -> list[str]:
        """How programs were called by now, in order."""
        path = self.root / "called"
        return path.read_text().splitlines() if path.exists() else []

    def breaks(self, name: str) -> None:
        """A program fails from now on."""
        (self.root / f"broken-{name}").touch()

    def says(self, name: str, text: str) -> None:
        """What a program prints from now on."""
        (self.root / f"says-{name}").write_text(text)

    def networks(self) -> dict[str, str]:
        """The files that systemd-networkd would read."""
        return {path.name: path.read_text() for path in self.places.networkd.iterdir()}


async def served(carrier: Carrier) -> None:
    """Root carries out what is wished, as soon as something is."""
    while not await asyncio.to_thread(carrier.carry_out):  # noqa: ASYNC110 - systemd sees files
        await asyncio.sleep(0.01)


def machine_in(root: Path) -> Machine:
    """One that has just started."""
    places = Places.under(root)
    for folder in (places.requests, places.answers, places.networkd):
        folder.mkdir(parents=True)
    programs = root / "programs"
    programs.mkdir()
    for name in _PROGRAMS:
        program = programs / name
        program.write_text(_PROGRAM.format(root=root))
        program.chmod(0o755)
    return Machine(root, places, Tools(str(programs), seconds=20))
