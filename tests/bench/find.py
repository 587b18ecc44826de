"""C-FIND in the indexes that `search` fills: how soon one workstation has all answers.

Every search asks for another study, and is measured from its request to its last answer; the
listing is of everything, in answers a second. Who holds less than the others is asked for what it
holds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import date, timedelta

from tests.bench.crowd import Outcome
from tests.bench.filling import Made
from tests.bench.finder import Finder, identifier
from tests.bench.servers import Server
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.workplace import BenchError, Catalogue

__all__ = ["measure_in"]

_ASKED = 500
"""Searches of which one after the other is asked, again and again."""
_GOAL_STUDIES = 100_000
"""In an index of so many studies it is a goal to be ahead."""
_LISTINGS = 3
"""At the most, of everything."""


def measure_in(stand: Stand, name: str, server: Server, catalogue: Catalogue, filled: int) -> None:
    """Measure it in a running server that holds so many studies."""
    is_goal = catalogue.studies >= _GOAL_STUDIES
    section = f"C-FIND: {catalogue.instances:,} instances of {catalogue.studies:,} studies"
    for _ in range(stand.scale.rounds):
        with Finder(server) as finder:
            for title, make in _SEARCHES.items():
                chosen = random.Random(1).choices(range(filled), k=_ASKED)
                asked = [make(number) for number in chosen]
                outcome = _ask(finder, asked, stand.scale.seconds, name)
                for share in (50, 99):
                    line = Line(section, f"{title}, p{share}", Unit.MILLISECONDS, ahead=is_goal)
                    stand.add(line, name, outcome.percentile(share))
            line = Line(section, "answers of a listing", Unit.FREQUENCY, ahead=is_goal)
            stand.add(line, name, _list(finder, stand.scale.seconds, filled, name))


def _ask(finder: Finder, asked: list[bytes], seconds: float, name: str) -> Outcome:
    finder.find(asked[0])
    waits, begun = list[float](), time.perf_counter()
    while not waits or time.perf_counter() - begun < seconds:
        count, wait = finder.find(asked[len(waits) % len(asked)])
        if not count:
            raise BenchError(f"{name} does not find what it holds")
        waits.append(wait)
    return Outcome(time.perf_counter() - begun, tuple(sorted(waits)), 0)


def _list(finder: Finder, seconds: float, filled: int, name: str) -> float:
    """Answers a second of the best of a few listings."""
    best, begun = 0.0, time.perf_counter()
    for _ in range(_LISTINGS):
        count, wait = finder.find(identifier())
        if count < filled:
            raise BenchError(f"{name} lists {count} of {filled} studies")
        best = max(best, count / wait)
        if time.perf_counter() - begun > seconds:
            break
    return best


def _by_patient(number: int) -> bytes:
    return identifier(t00100020=Made(number).patient_id)


def _by_day(number: int) -> bytes:
    return identifier(t00080020=Made(number).study_date)


def _by_week(number: int) -> bytes:
    first = Made(number).study_date
    last = date(int(first[:4]), int(first[4:6]), int(first[6:])) + timedelta(6)
    return identifier(t00080020=f"{first}-{last:%Y%m%d}")


def _by_name(number: int) -> bytes:
    """By the beginning of a name: ten patients have it."""
    return identifier(t00100010=Made(number).patient_name[:-1].upper() + "*")


_SEARCHES: dict[str, Callable[[int], bytes]] = {
    "by patient": _by_patient,
    "by date": _by_day,
    "by a week": _by_week,
    "by beginning of a name": _by_name,
}
