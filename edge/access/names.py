"""What users are called: the name that they type, and the one that people read.

Promises that neither can forge a line of a log, and that a name is spelt in one way only.
"""

from __future__ import annotations

import re

from edge.errors import UserRefused

__all__ = ["NAME", "checked_display_name", "checked_name", "plain_name"]

NAME = r"[a-z0-9][a-z0-9._@-]{0,63}"
"""In lower case: it stands in logs, and in commands."""
_NAME = re.compile(NAME)
_DISPLAY = 64


def plain_name(name: str) -> str:
    """A name as it is kept; empty if it can be nobody's."""
    plain = name.strip().lower()
    return plain if _NAME.fullmatch(plain) else ""


def checked_name(name: str) -> str:
    """A name as it is kept.

    Raises:
        UserRefused: It can be nobody's.
    """
    if plain := plain_name(name):
        return plain
    raise UserRefused(
        "that can't be a name to log in with",
        hint="a to z, digits and . _ @ -, no spaces, no accents; the first a letter or a digit,"
        " and 64 at most",
    )


def checked_display_name(text: str) -> str:
    """What people read, tidied.

    Raises:
        UserRefused: It is too long, or not printable.
    """
    shown = " ".join(text.split())
    if len(shown) > _DISPLAY or not shown.isprintable():
        raise UserRefused(f"a display name is at most {_DISPLAY} printable characters")
    return shown
