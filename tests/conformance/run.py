"""Loading the material into a service, and running all checks against it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.conformance import matching, paging, thumbnails  # noqa: F401  (they add checks)
from tests.conformance.frames import frames
from tests.conformance.general import general
from tests.conformance.material import Material, build
from tests.conformance.metadata import metadata
from tests.conformance.rendered import rendered
from tests.conformance.retrieve import retrieve
from tests.conformance.search import search
from tests.conformance.service import Service
from tests.conformance.store import store
from tests.conformance.suite import Chapter, Check, Result
from tests.conformance.uri import uri

__all__ = ["CHAPTERS", "checks", "load", "run"]

CHAPTERS: Sequence[Chapter] = (
    general,
    search,
    retrieve,
    metadata,
    frames,
    rendered,
    store,
    uri,
)


def checks() -> list[Check]:
    """All of them, in the order of the table."""
    return [check for chapter in CHAPTERS for check in chapter.checks]


def load(service: Service) -> Material:
    """Store the material by STOW-RS, each instance by a request of its own.

    One that the service refuses is told on standard error; the checks that look for it say so, too.

    Raises:
        ConnectionError: The service can't be reached, or stores nothing at all.
    """
    material, refusals = build(), 0
    samples = material.all()
    for sample in samples:
        answer = service.store_instances([sample.data])
        if answer.status_code != 200:
            refusals += 1
            what = f"{sample.dataset.PatientID} in {sample.transfer_syntax}"
            said = answer.text[:200].replace("\n", " ")
            print(
                f"conformance: {what} was not stored: {answer.status_code} {said}", file=sys.stderr
            )
    if refusals == len(samples):
        raise ConnectionError("the service stored nothing, so nothing can be checked")
    return material


def run(
    service: Service,
    *,
    only: Callable[[Check], bool] = lambda _check: True,
) -> dict[str, Result]:
    """Load the material and run the checks; results by number."""
    material = load(service)
    return {check.number: check.find_out(service, material) for check in checks() if only(check)}
