"""What is kept and told of a move of the data to another disk, see `edge.machine.moving`.

Two files: root keeps what was done on the data partition, for who goes on with it; how far it is
lies in ``/run``, for everybody to read. Calls block.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.machine.chosen import Chosen
from edge.machine.places import Places

__all__ = [
    "OVER",
    "Left",
    "Move",
    "MoveState",
    "State",
    "kept_move",
    "left_by",
    "read_move",
]

OVER: Final = ("failed", "ended")
"""States in which nothing moves."""

State = Literal["wished", "made", "ready", "failed", "ended"]


class Left(msgspec.Struct, frozen=True):
    """A disk that the data moves to no more, and that may have a copy."""

    disk: str
    """As people know it."""
    table: str
    """UUID of its partition table."""
    is_made: bool
    """It has one, if that table is there."""


class Move(msgspec.Struct, frozen=True):
    """What was done of a move, for who goes on with it."""

    disk: str
    """The new one, as people know it."""
    state: State = "wished"
    table: str = ""
    """UUID of its partition table, from the moment that it has ours."""
    why: str = ""
    """It failed: why."""
    chosen: Chosen | None = None
    """What it was when it was chosen. None: an earlier version did not write that down."""
    is_made: bool = False
    """Its data partition can be opened, whatever became of the move."""
    left: tuple[Left, ...] = ()
    """What is destroyed as soon as it is there: of moves that failed, or were ended."""
    former: str = ""
    """UUID of the partition table that the new disk had as it was chosen; empty if it had none."""


class MoveState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a move is, for everybody to read."""

    state: State
    disk: str
    percent: int = 0
    why: str = ""
    left: tuple[str, ...] = ()
    """Disks that have a copy that nobody wants."""

    @property
    def is_over(self) -> bool:
        """Nothing moves."""
        return self.state in OVER

    @property
    def words(self) -> str:
        """In a line."""
        copies = "".join(
            f"; {disk} still has a copy: put it in and restart the box, which destroys it"
            for disk in self.left
        )
        return self._words + copies

    @property
    def _words(self) -> str:
        match self.state:
            case "ready":
                return f"the data is copied to {self.disk}; restart the box, and it moves there"
            case "failed":
                return f"the data does not move to {self.disk}: {self.why}"
            case "ended":
                return "the data stays where it is"
            case _:
                return f"the data is being copied to {self.disk}: {self.percent} %"


def read_move(places: Places) -> MoveState | None:
    """How far it is; None: nothing moves."""
    try:
        return msgspec.json.decode(places.move.read_bytes(), type=MoveState)
    except (OSError, msgspec.DecodeError):
        return None


def kept_move(path: Path) -> Move | None:
    """What is kept of a move, in that file; None: nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Move)
    except (OSError, msgspec.DecodeError):
        return None


def left_by(move: Move | None) -> tuple[Left, ...]:
    """What has a copy, or may have one, once that move is over."""
    if move is None:
        return ()
    own = Left(move.disk, move.table, move.is_made or move.state in ("made", "ready"))
    return (*move.left, own) if move.table and move.state != "ended" else move.left
