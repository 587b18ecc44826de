"""The process of the store of a service that is to be killed: the real one, its steps counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.store import worker
from tests.crash.steps import Steps, watch_files

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Run as it does.

    Args:
        arguments: Where steps are counted, which is fatal, and its own.
    """
    path, fatal, *its_own = arguments
    watch_files(Steps(Path(path), int(fatal), is_service=False))
    worker.main(its_own)
