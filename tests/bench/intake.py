"""Intake: a CT study over one association, two studies over four at once.

The clock runs from the start of the senders to the end of the last: reading the files, negotiation
and the answer to every instance are in it. What a server has answered it must have, or the figure
is an error.
"""

from __future__ import annotations

from tests.bench.sender import send
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch

__all__ = ["PEAK", "measure"]

PEAK = 300.0
"""Megabytes that the edge may ever hold."""


def measure(stand: Stand) -> None:
    """Measure it."""
    for _ in range(stand.scale.rounds):
        for associations in (1, 4):
            for name in stand.servers:
                _measure_one(stand, name, associations)


def _measure_one(stand: Stand, name: str, associations: int) -> None:
    studies = [stand.workplace.study(number + 1) for number in range(2 if associations > 1 else 1)]
    parts = [part for study in studies for part in study.split(associations // len(studies))]
    size, count = sum(study.size for study in studies), sum(map(len, parts))
    section = f"intake, {associations} association{'s' if associations > 1 else ''}"
    section += f": {count} CT slices, {size / 1e6:.0f} MB"
    for study in studies:
        study.warm()
    with stand.server(name, associations=associations) as server:
        with Watch(server.pid) as watch:
            seconds = send(parts, server)
        check_complete(server, studies)
    stand.add(Line(section, "time", Unit.SECONDS, ahead=True), name, seconds)
    stand.add(Line(section, "throughput", Unit.THROUGHPUT), name, size / 1e6 / seconds)
    stand.add(Line(section, "processor time", Unit.SECONDS), name, watch.cpu_seconds)
    stand.add(Line(section, "peak memory", Unit.MEMORY, at_most=PEAK), name, watch.peak_bytes / 1e6)
