"""When to try again: the arithmetic, and nothing but.

Owns jittered exponential backoff and the reading of Retry-After. Promises that a delay is bounded,
and that boxes which lost the same archive at the same moment don't come back at the same moment.
Never sleeps, and never decides whether to try again. (A loop that repeats a call, such as
stamina's, does not fit here: what is tried again is computed anew from the ledger each time.)
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from edge.cloud.dates import posix_time

__all__ = ["LONGEST_RETRY_AFTER", "Backoff", "parse_retry_after"]

LONGEST_RETRY_AFTER = 24 * 3600.0
"""Seconds; an archive that asks for more is asked again after this."""
_LEAST = 0.02
"""Seconds: whatever the configuration says, nothing is tried again without a breath."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from *shortest* to *longest*, both in seconds."""

    shortest: float = 2.0
    longest: float = 300.0
    random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def delay(self, failures: int) -> float:
        """How long to wait after so many failures in a row (1 is the first).

        Between half of the full delay and all of it: jitter enough to spread a fleet, without
        the near-zero waits of full jitter.
        """
        exponent = min(max(failures, 1) - 1, 40)
        full = max(min(self.shortest * 2.0**exponent, self.longest), _LEAST)
        return full * (0.5 + self.random.random() / 2)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Seconds to wait, from a Retry-After header in either form (RFC 9110 10.2.3).

    Args:
        value: The header's value; None if it was not sent.
        now: POSIX seconds. Best taken from the answer's Date header, so that a wrong clock on
            either side does no harm.

    Returns:
        None if there is nothing to understand.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), LONGEST_RETRY_AFTER)
    moment = posix_time(text)
    return None if moment is None else min(max(moment - now, 0.0), LONGEST_RETRY_AFTER)
