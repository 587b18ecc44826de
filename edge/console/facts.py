"""What the page on the screen says of the box below its sentence, laid out for the room there is.

Promises that on a text console of 80 by 24 an address, a set-up code and a fingerprint stand whole:
where a long name leaves no room for the code to be scanned beside them, that is left out, for it
says nothing that the address does not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from edge.console.forms import harmless
from edge.console.picture import drawn
from edge.console.times import at_place, told_at_place
from edge.console.view import View

__all__ = ["laid_out", "lines_of", "rows_of"]

_LABEL: Final = 13
_HEX_IN_LINE: Final = 8
"""Bytes of a fingerprint: a person compares a line at a time."""
_LEAST: Final = _LABEL + 3 * _HEX_IN_LINE - 1
_MOST: Final = 62
"""Characters of a line: beyond, what belongs together stands apart."""
_MARGINS: Final = 2
"""Blanks around a part of the page."""


def laid_out(view: View, columns: int, rows: int) -> tuple[list[str], tuple[str, ...]]:
    """The lines, and those of the code to be scanned beside them; none if it has no room.

    Args:
        view: Of the box.
        columns: Of the screen.
        rows: That are left of it.
    """
    picture = drawn(view.address)
    room = columns - _MARGINS - (len(picture[0]) + _MARGINS)
    if room >= _LEAST:
        lines = lines_of(view, min(room, _MOST))
        if max(len(lines), len(picture)) <= rows:
            return lines, picture
    return lines_of(view, max(_LEAST, min(columns - 2 * _MARGINS, _MOST))), ()


def rows_of(text: str, columns: int) -> int:
    """That a text takes which has the whole width."""
    return max(1, len(textwrap.wrap(text, max(1, columns - _MARGINS))))


def lines_of(view: View, width: int = _MOST) -> list[str]:
    """What stands beside the code that leads to the web page.

    Args:
        view: Of the box.
        width: Characters of a line.
    """
    lines = []
    for label, text in _said(view):
        room = width - _LABEL
        parts = textwrap.wrap(harmless(text), room) or [""]
        for at, part in enumerate(parts):
            lines.append(f"{'' if at else label:<{_LABEL}}{part}".rstrip())
    if view.troubles:
        lines.append("")
        for trouble in view.troubles:
            lines += textwrap.wrap(harmless(f"! {trouble}"), width, subsequent_indent="  ")
    return lines


def _said(view: View) -> Iterator[tuple[str, str]]:
    yield "Web page", view.address
    if any(one.name == view.page_by for one in view.page_ports):
        yield "", f"by port {view.page_by} alone"
    for at, one in enumerate(view.addresses or ("none",)):
        yield "" if at else "Address", one
    if not view.addresses:
        yield "", "Is the cable plugged in?"
    for one in view.sticks:
        yield "Stick", one
    if view.network.tried is not None:
        yield "Network", "other settings are tried"
    if view.update:
        yield "Update", view.update
    if view.move is not None:
        yield "Disk", view.move.words
    if view.code is not None:
        yield "", ""
        yield "Set-up code", view.code.text or "a stick's token, or from before; c makes another"
        yield "", f"until {told_at_place(view.code.until, view.zone)}"
    if view.fingerprint:
        yield "", ""
        yield from _in_lines("Fingerprint", view.fingerprint)
    if view.former is not None:
        yield "", ""
        until = at_place(view.former.until, view.zone)
        yield f"Until {until:%H:%M}", f"at {view.former.host}, and by address:"
        yield from _in_lines("", view.former.fingerprint)


def _in_lines(label: str, fingerprint: str) -> Iterator[tuple[str, str]]:
    pairs = fingerprint.split(":")
    for at in range(0, len(pairs), _HEX_IN_LINE):
        yield "" if at else label, ":".join(pairs[at : at + _HEX_IN_LINE])
