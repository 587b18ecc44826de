"""A code to be scanned, drawn with half blocks: light on dark, as a screen is."""

from __future__ import annotations

from itertools import zip_longest
from typing import Final

import segno

__all__ = ["drawn"]

_BORDER: Final = 2
"""Modules around it; the standard wants four, and scanners make do with two on a dark screen."""
_SHAPES: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""Two modules, one above the other; what is dark in the code is left dark."""


def drawn(text: str) -> tuple[str, ...]:
    """Its lines, all of one width; white on black they are the code."""
    code = segno.make(text, error="l", micro=False)
    rows = [tuple(row) for row in code.matrix_iter(border=_BORDER)]
    width = len(rows[0])
    lines = []
    for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=(1,) * width):
        lines.append("".join(_SHAPES[bool(a), bool(b)] for a, b in zip(upper, lower, strict=True)))
    return tuple(lines)
