"""Runs a target: so many examples, by chance or the same each time."""

from __future__ import annotations

import resource
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisWarning

from tests.fuzz import findings
from tests.fuzz.administration import ADMINISTRATION
from tests.fuzz.archives import ARCHIVES
from tests.fuzz.bounds import bounded
from tests.fuzz.configurations import CONFIGURATIONS
from tests.fuzz.conversations import CONVERSATIONS
from tests.fuzz.folders import FOLDERS
from tests.fuzz.heads import HEADS
from tests.fuzz.identities import IDENTITIES
from tests.fuzz.instances import INSTANCES
from tests.fuzz.metadata import METADATA
from tests.fuzz.multipart import MULTIPART
from tests.fuzz.people import PEOPLE
from tests.fuzz.pictures import PICTURES
from tests.fuzz.queries import QUERIES
from tests.fuzz.searches import SEARCHES
from tests.fuzz.stores import STORES
from tests.fuzz.targets import READERS
from tests.fuzz.updates import UPDATES
from tests.fuzz.vouching import VOUCHING

FAMILIES = (
    READERS,
    CONVERSATIONS,
    INSTANCES,
    MULTIPART,
    METADATA,
    QUERIES,
    SEARCHES,
    STORES,
    HEADS,
    ADMINISTRATION,
    PICTURES,
    FOLDERS,
    ARCHIVES,
    PEOPLE,
    IDENTITIES,
    VOUCHING,
    CONFIGURATIONS,
    UPDATES,
)
TARGETS = {target.name: target for family in FAMILIES for target in family}
SPARE = 400 * 1024
"""Kilobytes that all examples together may take: leaks, and what a few bytes blow up to."""


def run(
    name: str,
    examples: int,
    *,
    number: int | None = None,
    spoilt: bool = False,
    keep: Path | None = None,
) -> int:
    """Try so many; how many were tried, those that a finding was made smaller by among them.

    Args:
        name: Of the target.
        examples: How many.
        number: Chooses others; without, they are the same each time.
        spoilt: Fail at all of them, to see that it is seen.
        keep: Where the smallest example of a finding is written.

    Raises:
        AssertionError: Something was not answered as it must be; so does what else was raised.
    """
    target = TARGETS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last: list[Any] = []
    tried = 0
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
            nonlocal tried
            last[:], tried = [example], tried + 1
            with bounded(target.seconds, target.megabytes):
                check(example)
            assert not spoilt, "no such thing"

        try:
            with warnings.catch_warnings():
                # It would rather have smaller corpora.
                warnings.simplefilter("ignore", HypothesisWarning)
                (attempt if number is None else seed(number)(attempt))()
        except BaseException as error:
            if keep is not None and last:
                path = findings.keep(keep, name, last[0])
                error.add_note(f"the example is in {path}")
            raise
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert more < SPARE, f"it took {more} kB more"
    return tried


def replay(name: str, *paths: Path) -> None:
    """Try the examples of files again.

    Raises:
        AssertionError: One of them is a finding; so does what else was raised.
    """
    target = TARGETS[name]
    with target.opened() as check:
        for path in paths:
            example = findings.read(path, target.kind)
            try:
                with bounded(target.seconds, target.megabytes):
                    check(example)
            except BaseException as error:
                error.add_note(f"the example is in {path}")
                raise
