"""Disks that age, and heat: root looks, and what it saw is for everybody.

Owns what of a disk is a trouble. Root runs smartctl (smartmontools) and reads the kernel's files,
and writes ``health.json``; whoever shows the state of the box reads that. A disk that tells
nothing, as most sticks and memory cards, is passed over: nothing is said of it. One that hangs
while it is asked is said so, and keeps no other from being heard. Calls block.

Sources: ATA attributes 5, 197, 198 (ACS-4 calls them vendor specific; every vendor has them so);
NVMe base specification 2.0, 5.16.1.3 (critical warning, percentage used); eMMC 5.1 (JESD84-B51)
7.4 (PRE_EOL_INFO, DEVICE_LIFE_TIME_EST).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.authorities import Authority
from edge.errors import MachineRefused
from edge.machine.firewall import read_doors
from edge.machine.networks import write_open
from edge.machine.places import Places
from edge.machine.power import PowerState, read_power
from edge.machine.tools import Tools
from edge.machine.trust import trusted

__all__ = ["HOT", "DiskHealth", "Looked", "MachineState", "look", "read_machine"]

HOT: Final = 80.0
"""Degrees Celsius of a processor from which on it is said."""
_HOT_DISK: Final = 65.0
_WORN: Final = 90
"""Percent of a disk's writes that its maker promised."""
_REALLOCATED: Final = 50
"""Sectors of a disk that were replaced by others."""
_PASSED_OVER: Final = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
_OLD: Final = 3600.0
"""Seconds after which what root saw is not said any more: the timer does not run."""
_ANY_STATUS: Final = range(256)
"""smartctl's exit status is a set of bits, of which most are findings."""
_PATIENCE: Final = 45.0
"""Seconds for all disks to say how they are."""

_MAINS: Final = {
    "line": "there",
    "battery": "away, the box runs on battery",
    "low": "away, the battery is nearly empty",
    "ending": "the box powers off",
}


@dataclass(frozen=True, slots=True)
class DiskHealth:
    """A disk that tells how it is."""

    name: str
    """As the kernel calls it."""
    model: str = ""
    temperature: float | None = None
    """Degrees Celsius."""
    worn: int | None = None
    """Percent of the writes that its maker promised."""
    problem: str = ""
    """What is wrong with it; empty if nothing is."""
    is_failing: bool = False
    """It may fail any day; else the problem is one to know of."""


class Looked(msgspec.Struct, frozen=True):
    """What root saw."""

    at: float
    """POSIX seconds."""
    disks: tuple[DiskHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineState:
    """How the machine under the box is, as far as it tells."""

    temperature: float | None = None
    """Of its hottest place, in degrees Celsius."""
    disks: tuple[DiskHealth, ...] = ()
    mains: str = ""
    """``line``, ``battery``, ``low`` or ``ending``; empty if no UPS tells."""
    mains_since: float = 0.0
    """POSIX seconds."""
    replace_battery: bool = False
    lost_ups: bool = False
    doors: str = ""
    """What the firewall can't do of what the settings ask (`edge.machine.firewall`)."""
    authorities: tuple[Authority, ...] = ()
    """The clinic's own that it trusts (`edge.machine.trust`)."""

    @property
    def is_grave(self) -> bool:
        """Somebody must do something at once."""
        return self.mains in {"low", "ending"} or any(one.is_failing for one in self.disks)

    @property
    def is_hot(self) -> bool:
        """It needs air."""
        return self.temperature is not None and self.temperature >= HOT

    @property
    def is_fine(self) -> bool:
        """Nothing is wrong with it."""
        return not next(self.troubles(), "")

    def lines(self) -> Iterator[str]:
        """All of it, a line each."""
        if self.temperature is not None:
            yield f"temperature {self.temperature:.0f} °C"
        for disk in self.disks:
            told = [disk.problem or "is sound"]
            if disk.temperature is not None:
                told.append(f"{disk.temperature:.0f} °C")
            if disk.worn is not None:
                told.append(f"worn {disk.worn} %")
            yield f"disk {disk.name}: {', '.join(told)}"
        if self.mains:
            yield f"mains: {_MAINS[self.mains]}"
        for one in self.authorities:
            yield f"trusts {one.subject}, until {one.day}"

    def troubles(self) -> Iterator[str]:
        """What is wrong, the gravest first; no full stop at the end."""
        if self.mains == "low":
            yield "The mains failed and the battery is nearly empty: the box powers off"
        if self.mains == "ending":
            yield "The box powers off"
        for disk in self.disks:
            if disk.is_failing:
                yield f"Disk {disk.name} may fail: {disk.problem}"
        if self.mains == "battery":
            yield "The mains failed: the box runs on battery"
        if self.is_hot:
            yield f"The box is too hot: {self.temperature:.0f} °C"
        for disk in self.disks:
            if disk.problem and not disk.is_failing:
                yield f"Disk {disk.name}: {disk.problem}"
        if self.replace_battery:
            yield "The battery of the UPS must be replaced"
        if self.lost_ups:
            yield "The UPS does not answer"
        if self.doors:
            yield self.doors


def read_machine(
    places: Places, temperature: float | None, clock: Callable[[], float] = time.time
) -> MachineState:
    """How it is.

    Args:
        places: Of this machine.
        temperature: Of its hottest place; None if nothing tells.
        clock: POSIX seconds.
    """
    disks: tuple[DiskHealth, ...] = ()
    with contextlib.suppress(OSError, msgspec.DecodeError):
        looked = msgspec.json.decode(places.health.read_bytes(), type=Looked)
        disks = looked.disks if abs(clock() - looked.at) < _OLD else ()
    power: PowerState = read_power(places)
    return MachineState(
        temperature,
        disks,
        power.state,
        power.since,
        power.replace,
        power.lost,
        read_doors(places),
        trusted(places),
    )


def look(
    places: Places,
    tools: Tools,
    clock: Callable[[], float] = time.time,
    *,
    patience: float = _PATIENCE,
) -> Looked:
    """Look at every disk, and write down what is seen; as root.

    Args:
        places: Of this machine.
        tools: Its programs.
        clock: POSIX seconds.
        patience: Seconds for all disks together.
    """
    found = Looked(clock(), tuple(_disks(places, tools, patience)))
    write_open(places.health, msgspec.json.encode(found))
    return found


def _disks(places: Places, tools: Tools, patience: float) -> Iterator[DiskHealth]:
    try:
        names = sorted(one.name for one in places.blocks.iterdir())
    except OSError:
        return
    told: dict[str, DiskHealth | None] = {}

    def ask(name: str) -> None:
        block = places.blocks / name
        told[name] = _card(block) if name.startswith("mmcblk") else _smart(name, places, tools)

    # All at once. The kernel may hold whoever asks a disk that fails, past any signal: that thread
    # is left behind.
    asked = {
        name: threading.Thread(target=ask, args=(name,), daemon=True)
        for name in names
        if not name.startswith(_PASSED_OVER)
        and "boot" not in name
        and (places.blocks / name).is_dir()
    }
    for one in asked.values():
        one.start()
    until = time.monotonic() + patience
    for name, one in asked.items():
        one.join(max(0.0, until - time.monotonic()))
        if one.is_alive():
            yield DiskHealth(name, problem=f"it did not say within {patience:.0f} s how it is")
        elif (found := told.get(name)) is not None:
            yield found


def _card(block: Path) -> DiskHealth | None:
    """An eMMC, by the registers that the kernel reads; cards have none."""
    try:
        ages = [int(one, 16) for one in _text(block / "device/life_time").split()]
        end = int(_text(block / "device/pre_eol_info"), 16)
    except (OSError, ValueError):
        return None
    # 1 means up to 10 %, 11 more than its maker promised.
    worn = max(ages, default=0) * 10
    problem = ""
    if end >= 3:
        problem = "its spare blocks are nearly used up"
    elif end == 2 or worn >= _WORN:
        problem = f"it is worn: {min(worn, 100)} %"
    with contextlib.suppress(OSError):
        return DiskHealth(
            block.name, _text(block / "device/name"), None, worn, problem, is_failing=end >= 3
        )
    return DiskHealth(block.name, "", None, worn, problem, is_failing=end >= 3)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace").strip()


def _smart(name: str, places: Places, tools: Tools) -> DiskHealth | None:
    device = places.devices / name
    words = ("--json", "--info", "--health", "--attributes", "--nocheck=standby", str(device))
    try:
        said = msgspec.json.decode(tools.run("smartctl", *words, fine=_ANY_STATUS))
    except (MachineRefused, msgspec.DecodeError):
        return None
    if not isinstance(said, dict) or _at(said, "smart_status") is None:
        return None
    temperature, worn = _at(said, "temperature", "current"), _worn(said)
    failing, problem = _failing(said), ""
    if not failing:
        problem = _ageing(said, worn, temperature)
    return DiskHealth(
        name,
        str(_at(said, "model_name") or "")[:80],
        float(temperature) if isinstance(temperature, int | float) else None,
        worn,
        failing or problem,
        is_failing=bool(failing),
    )


def _failing(said: dict[str, Any]) -> str:
    if _at(said, "smart_status", "passed") is False:
        return "it says itself that it fails"
    warning = _at(said, "nvme_smart_health_information_log", "critical_warning")
    if isinstance(warning, int) and warning & ~0b10:  # but for its temperature
        return f"it warns of itself (NVMe {warning:#04x})"
    for number, what in ((197, "sectors can't be read"), (198, "sectors are lost")):
        if count := _attribute(said, number):
            return f"{count} {what}"
    return ""


def _ageing(said: dict[str, Any], worn: int | None, temperature: object) -> str:
    if worn is not None and worn >= _WORN:
        return f"it is worn: {worn} %"
    if (count := _attribute(said, 5)) >= _REALLOCATED:
        return f"{count} sectors were replaced"
    if isinstance(temperature, int | float) and temperature >= _HOT_DISK:
        return f"it is too hot: {temperature:.0f} °C"
    return ""


def _worn(said: dict[str, Any]) -> int | None:
    used = _at(said, "nvme_smart_health_information_log", "percentage_used")
    if used is None:
        used = _at(said, "endurance_used", "current_percent")
    return used if isinstance(used, int) else None


def _attribute(said: dict[str, Any], number: int) -> int:
    table = _at(said, "ata_smart_attributes", "table")
    for one in table if isinstance(table, list) else ():
        if isinstance(one, dict) and one.get("id") == number:
            value = _at(one, "raw", "value")
            # Some keep more than the count in its 48 bits.
            return value & 0xFFFF if isinstance(value, int) else 0
    return 0


def _at(said: dict[str, Any], *keys: str) -> Any:
    found: Any = said
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found
