"""The process of the store of a service that is to be killed: the real one, its steps counted."""

from __future__ import annotations

import sys
from pathlib import Path

from edge.store import worker
from tests.crash.steps import Steps, watch_files

if __name__ == "__main__":
    path, fatal, *arguments = sys.argv[1:]
    watch_files(Steps(Path(path), int(fatal), is_service=False))
    worker.main(arguments)
