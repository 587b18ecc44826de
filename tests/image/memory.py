"""What a machine's memory is taken by, as one sees it from within: process by process.

Run inside by the machine's own Python (``seen``), and so knows the standard library alone. What is
*taken* is what no other program could have: all there is, less what the kernel calls available
(free, and caches of files that it would give up). Each process is counted by its proportional share
(PSS): a page that two have is half a page of each. Who measures is left out.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.image.hands import Hands

__all__ = ["Memory", "seen"]

_NAMES = (
    *("MemTotal", "MemFree", "MemAvailable", "Cached", "Buffers", "Shmem", "AnonPages", "Mapped"),
    *("Slab", "SUnreclaim", "KernelStack", "PageTables", "Percpu", "VmallocUsed"),
)
_KERNEL = ("SUnreclaim", "KernelStack", "PageTables", "Percpu", "VmallocUsed")


@dataclass(frozen=True)
class Memory:
    """What was seen, in bytes."""

    taken: int
    kernel: int
    """Its own structures, which it can't give up."""
    files: int
    """In memory alone (tmpfs)."""
    processes: tuple[tuple[str, str, int, int], ...]
    """Unit, program with its words, its share of all that it maps, and of what is no file."""

    @classmethod
    def of(cls, said: str) -> Memory:
        """What was printed inside."""
        found = json.loads(said)
        sizes = found["sizes"]
        return cls(
            found["taken"],
            sum(sizes[name] for name in _KERNEL),
            sizes["Shmem"],
            tuple(sorted((tuple(one) for one in found["processes"]), key=lambda one: -one[3])),
        )


def seen(hands: Hands) -> Memory:
    """Measure the machine in which they are, once it has come to rest."""
    return Memory.of(hands.must("/usr/bin/python3", "-I", "-B", "-c", Path(__file__).read_text()))


def _sizes(path: Path) -> dict[str, int]:
    """Name -> bytes, of a file of /proc in kibibytes."""
    lines = (line.split() for line in path.read_text().splitlines() if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[-2]) * 1024 for words in lines}


def _settled(seconds: float = 180, quiet: float = 15) -> dict[str, int]:
    """/proc/meminfo, once what is available has moved by less than a mebibyte for a while."""
    deadline = time.monotonic() + seconds
    known, since = _sizes(Path("/proc/meminfo")), time.monotonic()
    while time.monotonic() < min(since + quiet, deadline):
        time.sleep(1)
        now = _sizes(Path("/proc/meminfo"))
        if abs(now["MemAvailable"] - known["MemAvailable"]) > 1024**2:
            known, since = now, time.monotonic()
    return _sizes(Path("/proc/meminfo"))


def _measured() -> dict[str, object]:
    sizes = _settled()
    own = _unit(Path("/proc/self"))
    alone = 0
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            unit = _unit(folder)
            shares = _sizes(folder / "smaps_rollup")
        except OSError:
            continue  # it ended
        if unit == own:
            alone += shares["Pss_Anon"]
        elif shares.get("Pss"):  # else it is the kernel's
            name = " ".join(word.rpartition("/")[2] for word in words if word)
            processes.append([unit, name[:80], shares["Pss"], shares["Pss_Anon"]])
    return {
        "taken": sizes["MemTotal"] - sizes["MemAvailable"] - alone,
        "sizes": {name: sizes[name] for name in _NAMES},
        "processes": processes,
    }


def _unit(folder: Path) -> str:
    return (folder / "cgroup").read_text().strip().rpartition("/")[2]


if __name__ == "__main__":
    print(json.dumps(_measured()))
