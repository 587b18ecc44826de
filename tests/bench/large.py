"""One large object: what a server holds while a multi-frame object of gigabytes comes in.

Servers that take an object into memory need several times its size; where the machine has not that
much free, only the edge is measured.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.bench.intake import PEAK
from tests.bench.sender import send
from tests.bench.servers import EDGE
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch

__all__ = ["measure"]

_APPETITE = 4
"""Orthanc was seen to hold three times the object."""


def measure(stand: Stand) -> None:
    """Measure it, once: a peak of memory needs no repetition."""
    sample = stand.workplace.large_object()
    section = f"intake of one multi-frame object, {sample.size / 1e6:.0f} MB"
    for name in stand.servers:
        if name != EDGE and _free_memory() < _APPETITE * sample.size:
            print(f"bench: {name} is left out: too little memory is free", file=sys.stderr)
            continue
        sample.warm()
        with stand.server(name) as server:
            with Watch(server.pid) as watch:
                seconds = send([sample.paths], server)
            check_complete(server, [sample])
        stand.add(Line(section, "time", Unit.SECONDS), name, seconds)
        stand.add(Line(section, "processor time", Unit.SECONDS), name, watch.cpu_seconds)
        stand.add(
            Line(section, "peak memory", Unit.MEMORY, at_most=PEAK), name, watch.peak_bytes / 1e6
        )


def _free_memory() -> int:
    """Bytes that programs can have without swapping; 0 if the kernel does not say."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
