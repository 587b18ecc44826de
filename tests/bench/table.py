"""The table: what was measured, how it compares, and whether the product's goals are met.

Owns the meaning of a figure (which of several counts, what is better) and both of its shapes, text
for people and JSON for programs. Never measures anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.bench.servers import EDGE, ORTHANC

__all__ = ["Goal", "Line", "Table", "Unit"]


_WIDTH = 80
"""Columns of a terminal, for sentences."""


class Unit(StrEnum):
    """What a figure is counted in."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    THROUGHPUT = "MB/s"
    FREQUENCY = "/s"
    MEMORY = "MB"
    SHARE = "%"

    @property
    def less_is_better(self) -> bool:
        """Of two figures, which is ahead."""
        return self in (Unit.SECONDS, Unit.MILLISECONDS, Unit.MEMORY, Unit.SHARE)

    def of_several(self, figures: Sequence[float]) -> float:
        """The one that counts: of times and rates the best, since others are disturbed ones.

        Of memory it is the worst: a peak is a peak.
        """
        is_time = self in (Unit.SECONDS, Unit.MILLISECONDS)
        return min(figures) if is_time else max(figures)


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of the table is about."""

    section: str
    title: str
    unit: Unit
    ahead: bool = False
    """It is a goal that the edge be ahead of Orthanc."""
    first: bool = False
    """It is a goal that the edge be no slower than any other."""
    at_most: float | None = None
    """It is a goal that the edge stay at or below."""
    at_least: float | None = None
    """It is a goal that the edge reach it."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal, and whether it was met."""

    text: str
    met: bool


class Table:
    """Collects figures.

    Args:
        servers: The names above the columns.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = tuple(servers)
        self._figures: dict[Line, dict[str, list[float]]] = {}
        self._notes: list[str] = []

    def add(self, line: Line, server: str, figure: float) -> None:
        """Add a figure to those of this line and server; lines stand in the order they came in."""
        self._figures.setdefault(line, {}).setdefault(server, []).append(figure)

    def note(self, text: str) -> None:
        """Say something below the table that its figures can't; once, however often it is said."""
        if text not in self._notes:
            self._notes.append(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was said so."""
        return tuple(self._notes)

    def figure(self, line: Line, server: str) -> float | None:
        """The one that counts; None if there is none."""
        figures = self._figures.get(line, {}).get(server)
        return line.unit.of_several(figures) if figures else None

    def ratio(self, line: Line) -> float | None:
        """How many times the edge is ahead of Orthanc; below 1 it is behind."""
        edge, orthanc = self.figure(line, EDGE), self.figure(line, ORTHANC)
        if not edge or not orthanc:
            return None
        return orthanc / edge if line.unit.less_is_better else edge / orthanc

    def goals(self) -> list[Goal]:
        """The goals that could be checked with what was measured."""
        found = []
        for line in self._figures:
            name, edge = f"{line.section}: {line.title}", self.figure(line, EDGE)
            if edge is None:
                continue
            is_at = f"{name}: the edge is at {edge:.1f} {line.unit}"
            if line.at_most is not None:
                text = f"{is_at}, {line.at_most:.0f} {line.unit} at the most"
                found.append(Goal(text, edge <= line.at_most))
            if line.at_least is not None:
                text = f"{is_at}, {line.at_least:.0f} {line.unit} at the least"
                found.append(Goal(text, edge >= line.at_least))
            if line.ahead and (ratio := self.ratio(line)) is not None:
                text = f"{name}: the edge is ahead of Orthanc ({ratio:.2f} : 1)"
                found.append(Goal(text, ratio > 1))
            if line.first:
                others = [self.figure(line, name) for name in self._figures[line] if name != EDGE]
                measured = [other for other in others if other is not None]
                best = line.unit.of_several(measured or [edge])
                ratio = best / edge if line.unit.less_is_better else edge / best
                text = f"{name}: the edge is as fast as the best of the others ({ratio:.2f} : 1)"
                found.append(Goal(text, ratio >= 1))
        return found

    def as_json(self) -> list[dict[str, Any]]:
        """Every line, with all its figures and the one that counts."""
        return [
            {
                "section": line.section,
                "title": line.title,
                "unit": line.unit.value,
                "figures": {name: self.figure(line, name) for name in by_server},
                "all": by_server,
                "ratio": self.ratio(line),
            }
            for line, by_server in self._figures.items()
        ]

    def as_text(self) -> str:
        """For a terminal, 80 columns wide."""
        headings = [*self._servers, f"{EDGE} : {ORTHANC}"]
        rows, section = [_row("", "", headings)], ""
        for line in self._figures:
            if line.section != section:
                section = line.section
                rows.append(section)
            ratio = self.ratio(line)
            cells = [_number(self.figure(line, name)) for name in self._servers]
            cells.append("" if ratio is None else f"{ratio:.2f}")
            rows.append(_row(f"  {line.title}", line.unit.value, cells))
        if self._notes:
            rows += ["", *(line for note in self._notes for line in textwrap.wrap(note, _WIDTH))]
        return "\n".join(row.rstrip() for row in rows)


def _row(title: str, unit: str, cells: Sequence[str]) -> str:
    return (
        f"{title:<36} {unit:>4}"
        + "".join(f" {cell:>9}" for cell in cells[:-1])
        + (f"  {cells[-1]:>14}")
    )


def _number(value: float | None) -> str:
    """Three figures that mean something."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.3f}" if value < 1 else f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
