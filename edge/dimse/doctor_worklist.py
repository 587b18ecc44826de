"""Why a scanner's worklist is empty, in words: which of the keys that it sent left nothing.

Pure, as `doctor`. Values are named of station, modality and date only: they are no patient's.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.cache.associations import Change, Finding, Side
from edge.cache.worklist import Obstacle
from edge.dimse.doctor import plain, some

__all__ = ["found_nothing", "why_nothing"]

_LONGEST = 64
"""Characters of a value that is named."""


def why_nothing(obstacles: Sequence[Obstacle]) -> str:
    """Which keys left nothing of the worklist."""
    if all(one.alone for one in obstacles):
        return "; ".join(map(_alone, obstacles))
    return f"no step has all that it asked for: {', '.join(map(_asked, obstacles))}"


def found_nothing(obstacles: Sequence[Obstacle]) -> Finding:
    """A peer got an empty worklist although there is something on it."""
    what = f"its worklist query found nothing, though steps are scheduled: {why_nothing(obstacles)}"
    names = ", ".join(one.name for one in obstacles)
    changes = (
        Change(
            Side.DEVICE,
            f"if it should see some, correct or leave out what it asks for: {names}",
        ),
        Change(Side.BOX, "compare edge worklist list; what is wrong there is mended at its source"),
    )
    return Finding("worklist", what, changes, names, is_harmless=True)


def _alone(obstacle: Obstacle) -> str:
    if not obstacle.asked:
        return f"no step has the {obstacle.name} that it asked for"
    listed = [plain(value)[:_LONGEST] for value in obstacle.listed]
    there = f"the list has {some(listed)}" if listed else "no step has one"
    return f"it asked for {_asked(obstacle)}; {there}"


def _asked(obstacle: Obstacle) -> str:
    if not obstacle.asked:
        return obstacle.name
    return f'{obstacle.name} "{plain(obstacle.asked)[:_LONGEST]}"'
