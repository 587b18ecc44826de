"""Runs a target: so many examples, by chance or the same each time."""

from __future__ import annotations

import resource

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.conversations import CONVERSATIONS
from tests.fuzz.targets import READERS

TARGETS = {target.name: target for target in (*READERS, *CONVERSATIONS)}
SPARE = 400 * 1024
"""Kilobytes that all examples together may take: leaks, and what a few bytes blow up to."""


def run(name: str, examples: int, *, number: int | None = None, spoilt: bool = False) -> None:
    """Try so many.

    Args:
        name: Of the target.
        examples: How many.
        number: Chooses others; without, they are the same each time.
        spoilt: Fail at all of them, to see that it is seen.

    Raises:
        AssertionError: Something was not answered as it must be; so does what else was raised.
    """
    target = TARGETS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with target.opened() as check:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=number is None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(target.examples)
        def attempt(example: object) -> None:
            check(example)
            assert not spoilt, "no such thing"

        (attempt if number is None else seed(number)(attempt))()
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more < SPARE, f"it took {more} kB more"
