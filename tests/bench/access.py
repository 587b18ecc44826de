"""What the checks of access cost: the same intake and retrieval with all of them, and with none.

With them, DICOM peers are named and come from their address, and whoever asks over HTTP shows a
token, the cookie of a session, or user and password with each request. Without them, whoever comes
is let in and may do anything (`unchecked`). Both run side by side, and are asked in turns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench.compare import Comparison, Done, Way
from tests.bench.dimse import DESTINATION, destination
from tests.bench.edges import GUARDED, UNCHECKED, Edge, Guarded
from tests.bench.program import Web
from tests.bench.stand import Stand
from tests.bench.table import Unit
from tests.bench.works import Works, turns_of

__all__ = ["measure"]

_KEPT = 90.0
"""Hundredths of the speed."""


def measure(stand: Stand) -> None:
    """Measure it."""
    comparison = Comparison("access", "unchecked", kept=_KEPT)
    with destination() as port:
        running = partial(stand.server, destinations={DESTINATION: port})
        for _ in range(stand.scale.rounds):
            with (
                running(GUARDED, folder_name="guarded") as guarded,
                running(UNCHECKED, folder_name="unchecked") as unchecked,
            ):
                assert isinstance(guarded, Guarded)
                assert isinstance(unchecked, Edge)
                _round(stand, comparison, guarded, unchecked)
    comparison.tell(stand)


def _round(stand: Stand, comparison: Comparison, guarded: Guarded, unchecked: Edge) -> None:
    checked, free = Works(stand, guarded), Works(stand, unchecked)
    proofs = guarded.proofs()
    long, short = turns_of(stand)

    def by_dicom(title: str, unit: Unit, do: Callable[[Works], Done]) -> None:
        comparison.take(
            title,
            unit,
            Way(comparison.without, unchecked, lambda: do(free)),
            [Way("peer by name", guarded, lambda: do(checked))],
        )

    def by_http(title: str, unit: Unit, do: Callable[[Works, Web], Done]) -> None:
        comparison.take(
            title,
            unit,
            Way(comparison.without, unchecked, lambda: do(free, unchecked.web)),
            [Way(name, guarded, _by(do, checked, web)) for name, web in proofs.items()],
        )

    checked.warm_up(*proofs.values())
    free.warm_up(unchecked.web)
    for _ in range(long):
        by_dicom("C-STORE", Unit.THROUGHPUT, Works.store)
        by_http("STOW-RS", Unit.THROUGHPUT, Works.stow)
    for works in (checked, free):
        works.complete()
    for _ in range(short):
        by_http("WADO-RS, instances", Unit.FREQUENCY, Works.instances)
        by_http("WADO-RS, frames", Unit.FREQUENCY, Works.frames)
        by_http("QIDO-RS", Unit.FREQUENCY, Works.search)
        by_dicom("C-FIND", Unit.FREQUENCY, Works.find)
    for _ in range(long):
        by_dicom("C-GET", Unit.THROUGHPUT, Works.get)
        by_dicom("C-MOVE", Unit.THROUGHPUT, Works.move)


def _by(do: Callable[[Works, Web], Done], works: Works, web: Web) -> Callable[[], Done]:
    return lambda: do(works, web)
