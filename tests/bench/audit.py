"""What the audit costs: the same intake and retrieval with it, and without it.

The goal is of processor time: that is what all other work lacks on a small box, and it is disturbed
less than the clock. Both run side by side, and are asked in turns.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.compare import Comparison, Done, Way
from tests.bench.edges import EDGE, UNRECORDED, Edge
from tests.bench.stand import Stand
from tests.bench.table import Unit
from tests.bench.works import Works, turns_of

__all__ = ["measure"]

_PROCESSOR = 105.0
"""Hundredths of what it takes without."""


def measure(stand: Stand) -> None:
    """Measure it."""
    comparison = Comparison("audit", "unrecorded", processor=_PROCESSOR, settles=True)
    for _ in range(stand.scale.rounds):
        with (
            stand.server(EDGE, folder_name="recorded") as recorded,
            stand.server(UNRECORDED, folder_name="unrecorded") as unrecorded,
        ):
            assert isinstance(recorded, Edge)
            assert isinstance(unrecorded, Edge)
            _round(stand, comparison, recorded, unrecorded)
    comparison.tell(stand)


def _round(stand: Stand, comparison: Comparison, recorded: Edge, unrecorded: Edge) -> None:
    long, short = turns_of(stand)
    of = {server.name: Works(stand, server) for server in (recorded, unrecorded)}

    def take(title: str, unit: Unit, do: Callable[[Works, Edge], Done]) -> None:
        comparison.take(
            title,
            unit,
            Way(comparison.without, unrecorded, lambda: do(of[UNRECORDED], unrecorded)),
            [Way("recorded", recorded, lambda: do(of[EDGE], recorded))],
        )

    for edge in (recorded, unrecorded):
        of[edge.name].warm_up(edge.web)
    for _ in range(long):
        take("C-STORE", Unit.THROUGHPUT, lambda works, _: works.store())
        take("STOW-RS", Unit.THROUGHPUT, lambda works, edge: works.stow(edge.web))
    for works in of.values():
        works.complete()
    for _ in range(short):
        take("WADO-RS, instances", Unit.FREQUENCY, lambda works, edge: works.instances(edge.web))
        take("WADO-RS, frames", Unit.FREQUENCY, lambda works, edge: works.frames(edge.web))
        take("QIDO-RS", Unit.FREQUENCY, lambda works, edge: works.search(edge.web))
        take("C-FIND", Unit.FREQUENCY, lambda works, _: works.find())
    for _ in range(long):
        take("C-GET", Unit.THROUGHPUT, lambda works, _: works.get())
