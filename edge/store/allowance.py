"""Memory that objects share while they arrive: a few may hold much each, a crowd little.

Owns one number, how many are arriving, and answers one question, how much of its content each may
hold before it must be on the disk. So a thousand slow senders cost what a few fast ones do. It
counts heads and not bytes: nobody can hoard a share, it shrinks under whoever holds it.
"""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """``with allowance:`` counts one more that arrives.

    Args:
        total: Bytes for all, as long as `least` is kept.
        most: Bytes that one may hold when there are few; more makes nothing faster.
        least: Bytes that one may always hold; less makes no whole chunk.
    """

    def __init__(self, total: int, *, most: int, least: int) -> None:
        self._total, self._most, self._least = total, most, least
        self._arriving = 0

    def __enter__(self) -> None:
        self._arriving += 1

    def __exit__(self, *_: object) -> None:
        self._arriving -= 1

    @property
    def each(self) -> int:
        """Bytes that each may hold now."""
        return max(self._least, min(self._most, self._total // max(1, self._arriving)))
