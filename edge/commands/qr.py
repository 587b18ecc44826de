"""A code to be scanned: in the terminal, if it fits, and as a file.

Never in a terminal that would break its lines or lose its beginning, and never where the output
goes to a program: half a code is of no use, and one that nobody wanted lies in a log.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import TextIO

from edge.errors import EdgeError

__all__ = ["show_code", "write_code"]

_KINDS = (".svg", ".png")
_LIGHT_ON_DARK, _AS_BEFORE = "\x1b[97;40m", "\x1b[0m"
"""Said, because on a terminal with a light background the code would be a negative."""
_MARGIN = 4
"""Lines of the terminal that are left for what stands around it."""
_SCALE = 8
"""Dots for each module in a picture."""


def show_code(text: str, out: TextIO | None = None) -> bool:
    """Print a code, if this is a terminal and it fits; whether it was."""
    import segno

    out = sys.stdout if out is None else out
    if not out.isatty():
        return False
    room = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(room, compact=True)
    lines = room.getvalue().splitlines()
    columns, rows = shutil.get_terminal_size()
    if columns < max(map(len, lines)) or rows < len(lines) + _MARGIN:
        return False
    try:
        room.getvalue().encode(out.encoding)
    except UnicodeEncodeError:
        return False
    out.write("\n" + "".join(f"{_LIGHT_ON_DARK}{line}{_AS_BEFORE}\n" for line in lines))
    return True


def write_code(text: str, path: Path) -> None:
    """A code as a picture that its owner alone may read. Blocks.

    Raises:
        EdgeError: It is no name of a picture, something is there, or it can't be written.
    """
    import segno

    from edge.crypto.durable import write_file

    kind = path.suffix.lower()
    if kind not in _KINDS:
        raise EdgeError(f"{path} is no name for a code", hint="it ends in .svg or .png")
    if path.exists():
        raise EdgeError(f"{path} is there already", hint="name another file, or remove it")
    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind=kind[1:], scale=_SCALE)
    try:
        write_file(path, picture.getvalue())
    except OSError as error:
        raise EdgeError(f"{path} can't be written: {error.strerror}") from error
