"""Keys that people keep on paper and type again: 32 bytes in nine groups of `edge.written`."""

from __future__ import annotations

from typing import Final

from edge.errors import WrongKey
from edge.written import GROUP, WrittenError, from_groups, to_groups

__all__ = ["GROUP", "GROUPS", "from_paper", "to_paper"]

GROUPS: Final = 9
"""Of a written key."""
_LENGTH: Final = 32


def to_paper(key: bytes, purpose: bytes) -> list[str]:
    """The groups of a key.

    Args:
        key: 32 bytes.
        purpose: What the key is for; one for another purpose is not read as this.
    """
    return to_groups(key, GROUPS, purpose)


def from_paper(text: str, purpose: bytes, name: str) -> bytes:
    """A key as somebody typed it, 32 bytes.

    Args:
        text: What was typed.
        purpose: As `to_paper`.
        name: What messages call it, behind "the".

    Raises:
        WrongKey: It is none; the message names the groups to look at.
    """
    compare = "compare with the paper, and type the key again"
    try:
        return from_groups(text, _LENGTH, GROUPS, purpose, name=name, compare=compare)
    except WrittenError as error:
        raise WrongKey(str(error), hint=error.hint) from error
