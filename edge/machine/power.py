"""Whether the mains are there, as the battery beside the box says (UPS, by NUT's upsmon).

Owns ``power.json`` in ``/run/edge-machine``: root writes it, everybody reads it. While the battery
is low, the box takes nothing new: what it is told then could be lost in the middle.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from edge.errors import DecisionRefused
from edge.machine.networks import write_open
from edge.machine.places import Places

__all__ = ["IntakeStop", "PowerState", "closed_by", "note_power", "read_power"]

_WHY: Final = {
    "low": "the mains failed, and the battery is nearly empty: the box powers off",
    "ending": "the box powers off",
}

Mains = Literal["", "line", "battery", "low", "ending"]


class PowerState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of it."""

    state: Mains = ""
    """Empty: nothing is known, as without an UPS. ``low``: the battery is nearly empty.
    ``ending``: the machine powers off."""
    since: float = 0.0
    """POSIX seconds."""
    replace: bool = False
    """The battery has to be replaced."""
    lost: bool = False
    """The UPS does not answer."""


def read_power(places: Places) -> PowerState:
    """What is known. Blocks."""
    try:
        return msgspec.json.decode(places.power.read_bytes(), type=PowerState)
    except (OSError, msgspec.DecodeError):
        return PowerState()


def note_power(places: Places, event: str, clock: Callable[[], float] = time.time) -> PowerState:
    """What the UPS said, or that the machine ends; as root. Blocks.

    Args:
        places: Of this machine.
        event: One of `edge.machine.wishes.Power`, ``ending``, or ``stays``: it can't end.
        clock: POSIX seconds.
    """
    before = read_power(places)
    changed: dict[str, object] = {}
    match event:
        # What is said at the same moment may come in any order; and who ends does not come back.
        case "battery" if before.state in {"low", "ending"}:
            pass
        case "line" | "low" if before.state == "ending":
            pass
        case "line" | "battery" | "low" | "ending" if event != before.state:
            changed = {"state": event, "since": clock()}
        case "stays" if before.state == "ending":
            changed = {"state": "", "since": clock()}  # the UPS says anew how it is
        case "replace":
            changed = {"replace": True}
        case "lost" | "found":
            changed = {"lost": event == "lost"}
    after = msgspec.structs.replace(before, **changed)
    write_open(places.power, msgspec.json.encode(after))
    return after


def closed_by(mains: str) -> str:
    """Why nothing may come in while the mains are so; empty if anything may."""
    return _WHY.get(mains, "")


class IntakeStop:
    """Tells intake why nothing may come in just now.

    Whoever watches the machine says so by ``power``; an update, by ``restart``, for the minutes
    before the machine starts anew; and who acts on the box, by what it asks: each close has an
    owner, who alone opens it, and is forgotten with this run of the service.
    """

    def __init__(self) -> None:
        self.power = PowerState()
        self._run = secrets.token_hex(16)
        self._told, self._owner, self._until = "", "", math.inf
        self.is_quiet: Callable[[], bool] = lambda: True
        """Whether nothing is under way that came in before."""
        self.restart = ""
        """Why, in the minutes before the machine starts anew with an update."""

    async def asked(self, wish: Mapping[str, Any]) -> Mapping[str, Any]:
        """For a command on this machine, see `edge.admin.local`: whether all is quiet.

        Args:
            wish: ``owner``: who asks. ``closed``: why nothing may come in; empty: it may, if it is
                they who closed it. ``seconds``: after which it may again, should who asked be gone
                by then; none: nobody but them opens it. ``held``: only if it is closed by them.

        Returns:
            ``is_quiet``; ``holds``: nothing comes in, by who asks, since they closed it; ``run``:
            which run of the service this is.

        Raises:
            DecisionRefused: It is closed by somebody else; or not by them, as they wish.
        """
        owner = str(wish.get("owner", ""))
        if "closed" in wish:
            why, seconds = str(wish["closed"]), wish.get("seconds")
            if why:
                self._refuse_other(owner, must_hold=bool(wish.get("held")))
                until = math.inf if seconds is None else time.monotonic() + float(seconds)
                self.close(why, owner, until)
            elif self._owner == owner:
                self._told, self._owner = "", ""
        return {"is_quiet": self.is_quiet(), "holds": self._holds(owner), "run": self._run}

    def close(self, why: str, owner: str, until: float) -> None:
        """Let nothing in.

        Args:
            why: For who is refused.
            owner: Who alone opens it.
            until: When it may again, by the monotonic clock.
        """
        self._told, self._owner, self._until = why, owner, until

    def _holds(self, owner: str) -> bool:
        return bool(self._stopped()) and self._owner == owner

    def _refuse_other(self, owner: str, *, must_hold: bool) -> None:
        if self._stopped() and self._owner != owner:
            raise DecisionRefused("somebody else has closed intake", hint="wait for their end")
        if must_hold and not self._holds(owner):
            raise DecisionRefused(
                "things could come in meanwhile", hint="ask again, and all is counted again"
            )

    def _stopped(self) -> str:
        return self._told if time.monotonic() < self._until else ""

    def why(self) -> str:
        """Empty if anything may."""
        return self._stopped() or closed_by(self.power.state) or self.restart
