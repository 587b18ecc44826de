"""Reads codes that were made without a fault: what a telephone would find in a QR code.

Owns no more of ISO/IEC 18004 than version 4 at level M has, alphanumeric. It corrects nothing: a
code that was made here has no error.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from PIL import Image

__all__ = ["of_picture", "of_svg", "of_terminal", "read"]

Modules = list[list[bool]]
"""Rows, dark or not."""

_SIZE = 33
_BLOCKS, _EACH = 2, 32
"""Of data codewords: how many blocks, and of how many each."""
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_MASKS = (
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
)


def read(modules: Modules) -> str:
    """What it says."""
    modules = _without_border(modules)
    assert len(modules) == len(modules[0]) == _SIZE
    format_bits = [modules[8][c] for c in (0, 1, 2, 3, 4, 5, 7, 8)]
    unmasked = [bit != said for bit, said in zip(format_bits, (1, 0, 1, 0, 1), strict=False)]
    assert unmasked[:2] == [False, False]  # level M
    mask = _MASKS[4 * unmasked[2] + 2 * unmasked[3] + unmasked[4]]
    bits = [modules[r][c] != mask(r, c) for r, c in _path() if not _is_fixed(r, c)]
    words = [_number(bits[at : at + 8]) for at in range(0, _BLOCKS * _EACH * 8, 8)]
    data = [word for block in range(_BLOCKS) for word in words[block::_BLOCKS]]
    stream = [bool(word >> 7 - bit & 1) for word in data for bit in range(8)]
    assert _number(stream[:4]) == 2  # alphanumeric
    length, at, text = _number(stream[4:13]), 13, ""
    while len(text) + 2 <= length:
        first, second = divmod(_number(stream[at : at + 11]), 45)
        text, at = text + _ALPHABET[first] + _ALPHABET[second], at + 11
    if len(text) < length:
        text += _ALPHABET[_number(stream[at : at + 6])]
    return text


def of_terminal(text: str) -> Modules:
    """Of half blocks, light on dark."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in text.splitlines()]
    light = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    rows = []
    for line in lines:
        halves = [light[character] for character in line]
        rows += [[not half[which] for half in halves] for which in (0, 1)]
    # Lines have two rows each: of an odd number the last is the terminal's own.
    return rows[:-1] if all(rows[-1]) else rows


def of_picture(data: bytes, scale: int) -> Modules:
    """Of a PNG."""
    image = Image.open(io.BytesIO(data)).convert("L")
    width, height = image.size
    half = scale // 2
    return [
        [image.getpixel((x, y)) < 128 for x in range(half, width, scale)]
        for y in range(half, height, scale)
    ]


def of_svg(text: str) -> Modules:
    """Of a path of horizontal lines, as segno draws them."""
    size = int(re.search(r'(?:width="|viewBox="0 0 \d+ )(\d+)"', text)[1])
    scaled = re.search(r"scale\((\d+)\)", text)
    scale = int(scaled[1]) if scaled else 1
    rows = [[False] * (size // scale) for _ in range(size // scale)]
    x, y = 0.0, 0.0
    path = re.search(r' d="([^"]+)"', text)[1]
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(number) for number in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            for at in range(int(values[0])):
                rows[int(y)][int(x) + at] = True
            x += values[0]
    return rows


def _without_border(modules: Modules) -> Modules:
    rows = [number for number, row in enumerate(modules) if any(row)]
    columns = [c for c in range(len(modules[0])) if any(row[c] for row in modules)]
    return [row[columns[0] : columns[-1] + 1] for row in modules[rows[0] : rows[-1] + 1]]


def _is_fixed(row: int, column: int) -> bool:
    """Patterns, and what says how the rest is to be read."""
    end = _SIZE - 8
    finder = (row < 9 and (column < 9 or column >= end)) or (row >= end and column < 9)
    timing = 6 in (row, column)
    alignment = 24 <= row <= 28 and 24 <= column <= 28
    return finder or timing or alignment


def _path() -> list[tuple[int, int]]:
    """In which order modules are read: up and down, two columns at a time."""
    found = []
    up = True
    for right in (*range(_SIZE - 1, 6, -2), 5, 3, 1):
        rows = range(_SIZE - 1, -1, -1) if up else range(_SIZE)
        found += [(row, column) for row in rows for column in (right, right - 1)]
        up = not up
    return found


def _number(bits: Sequence[bool]) -> int:
    return int("".join("1" if bit else "0" for bit in bits), 2)
