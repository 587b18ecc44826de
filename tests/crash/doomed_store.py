"""The process of the store of a service that is to be killed: the real one, its steps counted.

But for its cage: who counts kills the service, too, which a process in a cage can't.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.cage import entry
from edge.store import worker
from tests.crash.steps import Steps, watch_files

if __name__ == "__main__":
    entry.enter = lambda _cage: ()
    path, fatal, *arguments = sys.argv[1:]
    watch_files(Steps(Path(path), int(fatal), is_service=False))
    worker.main(arguments)
