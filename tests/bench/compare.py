"""The edge beside itself: the same work with something and without it, in turns.

Owns how a difference of a few hundredths is told from noise: both are asked one after the other
within seconds, so that what else the machine does hits both; the one without comes first and last,
and what lies between those two runs of the same is the noise, and is shown. Of all turns the median
counts. Processor time is compared, too: it is disturbed less than the clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from tests.bench.servers import EDGE, Server
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch, wait_until_idle

__all__ = ["Comparison", "Done", "Way", "rounds_of"]

_FEWEST = 5
"""Rounds: a difference is worth less than what it is of."""


@dataclass(frozen=True, slots=True)
class Done:
    """Some work that was done."""

    rate: float
    amount: float
    """In anything that processor time may be divided by."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to have the same done."""

    name: str
    server: Server
    work: Callable[[], Done]


@dataclass(slots=True)
class _Found:
    """Of all turns; in hundredths of what the way without it takes."""

    rates: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


class Comparison:
    """Collects what several ways to do the same take, turn by turn.

    Args:
        section: Of the table.
        without: What the way is called that all others are compared with.
        kept: Hundredths of the speed that are a goal.
        processor: Hundredths of the processor time that it is a goal not to exceed.
        settles: What an edge does behind its last answer counts in its processor time.
    """

    def __init__(
        self,
        section: str,
        without: str,
        *,
        kept: float | None = None,
        processor: float | None = None,
        settles: bool = False,
    ) -> None:
        self.without = without
        self._section = section
        self._kept = kept
        self._processor = processor
        self._settles = settles
        self._found: dict[tuple[str, Unit], dict[str, _Found]] = {}

    def take(self, title: str, unit: Unit, without: Way, ways: Sequence[Way]) -> None:
        """Have it done by every way, and twice without; every other turn in the opposite order."""
        turns = len(self._found.get((title, unit), {}).get(without.name, _Found()).kept)
        order = [without, *(ways if turns % 2 == 0 else reversed(ways)), without]
        taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for way in order:
            taken[way.name].append(self._run(way))
        found = self._found.setdefault((title, unit), defaultdict(_Found))
        (first, first_cpu), (last, last_cpu) = taken[without.name]
        found[without.name].rates += (first, last)
        found[without.name].kept.append(last / first * 100)
        found[without.name].processor.append(last_cpu / first_cpu * 100)
        for way in ways:
            ((rate, cpu),) = taken[way.name]
            found[way.name].rates.append(rate)
            found[way.name].kept.append(rate / fmean((first, last)) * 100)
            found[way.name].processor.append(cpu / fmean((first_cpu, last_cpu)) * 100)

    def tell(self, stand: Stand) -> None:
        """Put it into the table, and below it what varied."""
        for (title, unit), ways in self._found.items():
            section, varied = f"{self._section}: {title}", []
            for number, (name, found) in enumerate(ways.items()):
                kept, processor = (self._kept, self._processor) if number else (None, None)
                words = name if number else f"{name}, again"
                stand.add(Line(section, name, unit), EDGE, median(found.rates))
                line = Line(section, f"{words}: speed kept", Unit.SHARE, at_least=kept)
                stand.add(line, EDGE, median(found.kept))
                line = Line(section, f"{words}: processor time", Unit.SHARE, at_most=processor)
                stand.add(line, EDGE, median(found.processor))
                varied.append(f"{words} {_span(found.kept)}, {_span(found.processor)}")
            stand.note(f"{title}, middle half of all turns: {'; '.join(varied)}.")

    def _run(self, way: Way) -> tuple[float, float]:
        """Its rate, and its processor time for the same amount."""
        with Watch(way.server.pid) as watch:
            done = way.work()
            if self._settles:
                wait_until_idle(way.server.pid)
        return done.rate, max(watch.cpu_seconds, 0.01) / done.amount


def _span(shares: Sequence[float]) -> str:
    """The middle half."""
    ranks = sorted(shares)
    quarter = len(ranks) // 4
    return f"{ranks[quarter]:.0f} to {ranks[-1 - quarter]:.0f} %"


def rounds_of(stand: Stand) -> int:
    """How often edges that are new are compared; in a quick run once."""
    return 1 if stand.scale.rounds == 1 else max(_FEWEST, stand.scale.rounds)
