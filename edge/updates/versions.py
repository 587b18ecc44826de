"""Which of two versions is the newer one, as systemd compares them (UAPI.10, Version Format).

Pure. Promises the order in which the boot loader sorts its entries: were it another one, the
machine would start from a slot that nobody meant.
"""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Final

from edge.errors import UpdateRefused

__all__ = ["LONGEST", "Version", "check_version"]

LONGEST: Final = 23
"""Characters: the label of a partition has 36, and ``edge-verity-`` stands before it. No ``+``:
behind one the boot loader counts tries."""
_FORM: Final = re.compile(rf"[0-9][0-9A-Za-z.~^-]{{0,{LONGEST - 1}}}")
_TOKEN: Final = re.compile(r"~|\^|-|\.|\d+|[A-Za-z]+")
_RANKS: Final = {"~": -4, "": -3, "-": -2, "^": -1, ".": 0}
"""What comes before what; letters and digits come behind all of them."""


def check_version(text: str) -> str:
    """The same, if it is a version.

    Raises:
        UpdateRefused: It is none.
    """
    if not _FORM.fullmatch(text):
        raise UpdateRefused(
            f'"{text[:40]}" is not a version',
            hint=f"at most {LONGEST} characters of 0-9 A-Z a-z . ~ ^ -, a digit first",
        )
    return text


@total_ordering
class Version:
    """A version that can be compared.

    Args:
        text: ``1.4.0``, ``2026.11.30``, ``1.5~rc1``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._key = _key(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.text


def _key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Its tokens, each as rank, number and letters; the end of a version is a token, too."""
    found = [_ranked(token) for token in _TOKEN.findall(text)]
    return (*found, (_RANKS[""], 0, ""))


def _ranked(token: str) -> tuple[int, int, str]:
    if token.isdecimal():
        return 2, int(token), ""
    if token.isalpha():
        return 1, 0, token
    return _RANKS[token], 0, ""
