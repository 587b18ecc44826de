"""The edge beside itself: the same work with something and without it, in turns.

Owns how a difference of a few hundredths is told from noise: both are asked one after the other
within seconds, so that what else the machine does hits both, and of all turns the best counts, as
others are disturbed ones. The one without comes first and last in each turn; what lies between the
best of the first and the best of the last is the noise, and is shown. Processor time is compared,
too: it is disturbed less than the clock.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from tests.bench.servers import EDGE, Server
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.watch import processor_seconds, wait_until_idle

__all__ = ["Comparison", "Done", "Way"]


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
    """Of all turns."""

    rates: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Seconds for a unit of the amount."""


_Ways = dict[str, _Found]


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
        self._found: dict[tuple[str, Unit], _Ways] = {}

    def take(self, title: str, unit: Unit, without: Way, ways: Sequence[Way]) -> None:
        """Have it done by every way, and twice without; every other turn in the opposite order."""
        found = self._found.setdefault((title, unit), defaultdict(_Found))
        again = replace(without, name=f"{without.name}, again")
        turn = ways if len(found[without.name].rates) % 2 == 0 else ways[::-1]
        said = []
        for way in (without, *turn, again):
            rate, processor = self._run(way)
            found[way.name].rates.append(rate)
            found[way.name].processor.append(processor)
            said.append(f"{way.name} {rate:.1f}")
        print(f"bench: {self._section}: {title}, {unit}: {'; '.join(said)}", file=sys.stderr)

    def tell(self, stand: Stand) -> None:
        """Put it into the table."""
        for (title, unit), ways in self._found.items():
            section = f"{self._section}: {title}"
            first, again = (ways.pop(name) for name in (self.without, f"{self.without}, again"))
            rate = fmean((max(first.rates), max(again.rates)))
            processor = fmean((min(first.processor), min(again.processor)))
            stand.add(Line(section, self.without, unit), EDGE, rate)
            noise = abs(max(again.rates) - max(first.rates)) / rate * 100
            stand.add(Line(section, "two of that differ by", Unit.SHARE), EDGE, noise)
            noise = abs(min(again.processor) - min(first.processor)) / processor * 100
            stand.add(Line(section, "… in processor time by", Unit.SHARE), EDGE, noise)
            for name, found in ways.items():
                stand.add(Line(section, name, unit), EDGE, max(found.rates))
                line = Line(section, f"{name}: speed kept", Unit.SHARE, at_least=self._kept)
                stand.add(line, EDGE, max(found.rates) / rate * 100)
                line = Line(section, f"{name}: processor time", Unit.SHARE, at_most=self._processor)
                stand.add(line, EDGE, min(found.processor) / processor * 100)

    def _run(self, way: Way) -> tuple[float, float]:
        """Its rate, and its processor time for a unit of the amount."""
        begun = processor_seconds(way.server.pid)
        done = way.work()
        if self._settles:
            wait_until_idle(way.server.pid)
        return done.rate, (processor_seconds(way.server.pid) - begun) / done.amount
