"""Keys that people keep on paper and type again: 32 bytes in nine groups of `edge.written`.

Owns which keys there are: a sheet may have more than one, and whoever types another than is asked
for is told which one it is.
"""

from __future__ import annotations

import contextlib
from enum import Enum
from typing import Final

from edge.errors import WrongKey
from edge.written import GROUP, WrittenError, from_groups, to_groups

__all__ = ["GROUP", "GROUPS", "Paper", "from_paper", "to_paper"]

GROUPS: Final = 9
"""Of a written key."""
_LENGTH: Final = 32
_COMPARE: Final = "compare with the paper, and type the key again"


class Paper(Enum):
    """What a key is for; one for another purpose is not read as this."""

    BACKUPS = "recovery key", b"edge recovery key 1"
    DISK = "recovery key of the disk", b"edge disk key 1"

    @property
    def title(self) -> str:
        """What messages, and the sheet, call it."""
        return self.value[0]

    @property
    def purpose(self) -> bytes:
        """What its checks are made of, besides the key."""
        return self.value[1]


def to_paper(key: bytes, paper: Paper) -> list[str]:
    """The groups of a key, which has 32 bytes."""
    return to_groups(key, GROUPS, paper.purpose)


def from_paper(text: str, paper: Paper) -> bytes:
    """A key as somebody typed it, 32 bytes.

    Raises:
        WrongKey: It is none; the message names the groups to look at, or which other one it is.
    """
    try:
        return _read(text, paper)
    except WrittenError as error:
        for other in Paper:
            with contextlib.suppress(WrittenError):
                _read(text, other)
                raise WrongKey(
                    f"this is the {other.title}; what is wanted is the {paper.title}",
                    hint=f"on the recovery sheet it stands below “{paper.title.capitalize()}”",
                ) from None
        raise WrongKey(str(error), hint=error.hint) from error


def _read(text: str, paper: Paper) -> bytes:
    return from_groups(text, _LENGTH, GROUPS, paper.purpose, name=paper.title, compare=_COMPARE)
