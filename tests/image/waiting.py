"""Waiting for what a machine in QEMU will do, which may take minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["PATIENCE", "until"]

PATIENCE = 600.0
"""Seconds."""
_Found = TypeVar("_Found")


def until(
    what: Callable[[], _Found], wanted: Callable[[_Found], object], seconds: float = PATIENCE
) -> _Found:
    """Ask until the answer is as wanted; it. The machine's line may be gone meanwhile.

    Raises:
        AssertionError: It never was.
    """
    deadline = time.monotonic() + seconds
    while True:
        said: object
        try:
            found = said = what()
            if wanted(found):
                return found
        except ConnectionError as error:
            said = error
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
