"""One figure of the disk image: what was measured, and the goal it has, if it has one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MB", "Figure"]

MB = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One row."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    is_detail: bool = False
    """Not worth being kept."""

    @property
    def is_missed(self) -> bool:
        """Whether there is a goal, and it is not met."""
        return self.goal is not None and self.value > self.goal

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"goal {self.goal:.0f}"
        missed = "  MISSED" if self.is_missed else ""
        return f"{self.what:<66}{self.value:>9.1f} {self.unit:<6}{goal}{missed}"
