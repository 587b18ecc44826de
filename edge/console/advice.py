"""What is said of what failed, to who stands before the screen of the box: there is no shell there.

Owns which advice is of use there. What names a command, or a file of a machine, is for somebody at
a terminal; in its place stands what can be done with a keyboard and a power button.
"""

from __future__ import annotations

import math
import re
from typing import Final

from edge.errors import EdgeError, TooManyAttempts
from edge.machine.asking import NoAnswer
from edge.machine.places import Places

__all__ = ["setup_refused", "words_of"]

_LONGEST: Final = 400
"""Characters of an answer that there is room for."""
_AT_A_TERMINAL: Final = re.compile(
    r"systemctl|journalctl|networkctl|\bedge [a-z]|\bas root\b|\blog\b"
    r"|README|\.(path|service|toml)\b|--\w"
)
_AT_THE_BOX: Final = "restart the box by r; if that does not help, call who looks after it"
_AT_ITS_BUTTON: Final = (
    "switch the box off by its button, and on again; if that does not help, call who looks after it"
)


def words_of(error: EdgeError | OSError) -> str:
    """What happened, and on a line of its own what to do; that is empty if nobody knows."""
    hint = error.hint if isinstance(error, EdgeError) else ""
    if isinstance(error, NoAnswer):
        hint = _AT_ITS_BUTTON
    elif isinstance(error, TooManyAttempts):
        hint = f"wait {_time(error.retry_after)}, then try again"
    elif _AT_A_TERMINAL.search(hint):
        hint = _AT_THE_BOX
    return f"{error}\n{hint}" if hint else str(error)


def setup_refused(places: Places) -> tuple[str, ...]:
    """Why the file on the boot partition, which nobody can look at, did not set it up. Blocks."""
    try:
        said = places.setup_answer.read_text("utf-8", "replace")
    except OSError:
        return ()
    words = " ".join(said.split())
    return (words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}...",)


def _time(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    return f"{whole} s" if whole < 120 else f"{math.ceil(whole / 60)} minutes"
