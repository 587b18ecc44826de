"""Memory that objects share while they arrive, or are read: few may hold much each, a crowd little.

Owns one number, how many there are, and answers one question, how much of its content each may hold
at a time. So a thousand slow senders or readers cost what a few fast ones do. It counts heads and
not bytes: nobody can hoard a share, it shrinks under whoever holds it.
"""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """``with allowance:`` counts one more.

    Args:
        total: Bytes for all, as long as `least` is kept.
        most: Bytes that one may hold when there are few; more makes nothing faster.
        least: Bytes that one may always hold; less makes no whole chunk.
    """

    def __init__(self, total: int, *, most: int, least: int) -> None:
        self._total, self._most, self._least = total, most, least
        self.count = 0
        """How many there are."""

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1

    @property
    def each(self) -> int:
        """Bytes that each may hold now."""
        return max(self._least, min(self._most, self._total // max(1, self.count)))
