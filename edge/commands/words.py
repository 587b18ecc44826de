"""How commands write what they say.

Promises that nothing reaches a terminal but text: names and reasons come from strangers, and a
terminal obeys what is in them. `say` is the one way to print; the linter lets no command have
another.
"""

from __future__ import annotations

import logging
import sys
import time
import unicodedata
from typing import TextIO

from edge.logs import Nameless

__all__ = ["HarmlessFormatter", "counted", "moment", "say", "shown", "speed"]


def shown(text: str) -> str:
    r"""A text as it can be shown: what is no character of a line stands there as ``\x1b``."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    # Blanks of other widths, as in Japanese names, do nothing to anybody.
    if unicodedata.category(char) == "Zs":
        return " "
    return char.encode("unicode_escape").decode("ascii")


def say(*lines: str, file: TextIO | None = None, flush: bool = False) -> None:
    """Print lines, each of them harmless.

    Args:
        lines: One after the other; a line end in one of them is shown, and ends nothing.
        file: Standard output, if none is named.
        flush: At once.
    """
    to = sys.stdout if file is None else file
    encoding = to.encoding or "utf-8"
    for line in lines:
        known = shown(line).encode(encoding, "backslashreplace").decode(encoding)
        print(known, file=to, flush=flush)


class HarmlessFormatter(Nameless):
    """A line of the log, and harmless: errors of archives and devices are words of strangers."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: D102, N802 - its own name
        return shown(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: D102, N802 - its own name
        lines = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(map(shown, lines.split("\n")))


def counted(number: int, one: str, many: str) -> str:
    """A number, and of what."""
    return f"{number} {one if number == 1 else many}"


def moment(posix: float) -> str:
    """A moment, for people at this place."""
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(posix))


def speed(measured: float | None) -> str:
    """Bytes a second, as lines are sold."""
    if measured is None:
        return "not measured yet"
    kbps = measured / 125
    return f"{kbps / 1000:.1f} Mbit/s" if kbps >= 1000 else f"{kbps:.0f} kbit/s"
