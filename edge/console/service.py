"""What the service says of itself to the screen of the box, and what stands there of it.

Promises that whatever a service says, something can be shown: what is no answer is trouble.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from edge.access.tls import Shown
from edge.cache.condition import Level
from edge.console.view import Code, FormerShown
from edge.errors import Needs

__all__ = ["ODD", "ServiceState", "fingerprint_of", "former_of", "headline", "moment", "state_of"]

log = logging.getLogger(__name__)

ODD: Final = "The service does not answer as it should. If that stays so: r restarts the box."
_LONGEST: Final = 400
"""Characters of its sentence that there is room for."""
_MOST_WORRIES: Final = 3
_LONGEST_WORRY: Final = 120
"""Characters: two lines."""
_LATEST: Final = 253_402_300_800.0
"""The end of the year 9999, in POSIX seconds."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the service says of itself."""

    sentence: str
    level: Level = Level.ALARM
    cut_off: str = ""
    """The sentence while the box is on no network; empty: it is the same."""
    has_people: bool = True
    """Somebody can log in; as long as that is not known, somebody can."""
    code_until: float | None = None
    """When the set-up code ends; None: there is none."""
    code_is_shown: bool = False
    """It was made for the screen: nobody was given it in another way."""
    needs: Needs | None = None
    certificate: str = ""
    """Fingerprint of what a locked box shows its page with: its own certificate is sealed."""
    worries: tuple[str, ...] = ()
    """What is not as it should be; what is wrong with the machine is seen without the service."""


def headline(
    state: ServiceState, code: Code | None, *, is_cut_off: bool = False
) -> tuple[str, Level]:
    """What stands at the top: of a new box what to do, unless it has to be mended first.

    Args:
        state: What the service says.
        code: Of a new box.
        is_cut_off: The box is on no network, which the service does not know.
    """
    if is_cut_off and state.cut_off:
        return state.cut_off, Level.ALARM
    if state.has_people or code is None or state.level is Level.ALARM:
        return state.sentence, state.level
    which = "the set-up code" if code.text else "the code you were given"
    level = Level.WARNING if state.level is Level.WARNING else Level.BUSY
    return f"This box is new: open its web page in a browser here; type {which}.", level


def state_of(told: dict[str, Any]) -> ServiceState:
    """What a service said, if that is something that one says."""
    sentence, until, worries = (told.get(one) for one in ("sentence", "code_until", "worries"))
    cut_off = told.get("cut_off", "")
    if (
        not isinstance(sentence, str)
        or not isinstance(cut_off, str)
        or not isinstance(worries, list)
        or not all(isinstance(one, str) for one in worries)
        or told.get("level") not in list(Level)
        or not isinstance(told.get("has_people"), bool)
        or (until is not None and moment(until) is None)
    ):
        log.warning("the service says how it is in words that are not known here")
        return ServiceState(ODD)
    return ServiceState(
        sentence[:_LONGEST],
        Level(told["level"]),
        cut_off[:_LONGEST],
        bool(told["has_people"]),
        moment(until),
        told.get("code_is_shown") is True,
        worries=_few(worries),
    )


def _few(worries: list[str]) -> tuple[str, ...]:
    """As many of them as there is room for, and how many more there are."""
    if len(worries) > _MOST_WORRIES:
        more = len(worries) - _MOST_WORRIES + 1
        worries = [*worries[: _MOST_WORRIES - 1], f"and {more} more: see the web page"]
    return tuple(one[:_LONGEST_WORRY] for one in worries)


def moment(said: object) -> float | None:
    """POSIX seconds; None if it is no moment that a calendar has."""
    if not isinstance(said, int | float) or isinstance(said, bool) or not 0 <= said < _LATEST:
        return None
    return float(said)


def fingerprint_of(shown: Shown | None) -> str:
    """What a browser's question is compared with."""
    return "" if shown is None else shown.fingerprints.authority or shown.fingerprints.server


def former_of(shown: Shown | None) -> FormerShown | None:
    """The oldest: it is shown by address, too."""
    if shown is None:
        return None
    for one in shown.former:
        found = one.authority or one.server
        hosts = [name for name in one.names if name not in shown.names and name.endswith(".local")]
        if hosts and found != fingerprint_of(shown):
            return FormerShown(found, hosts[0], one.until)
    return None
