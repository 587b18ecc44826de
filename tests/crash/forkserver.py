"""What is to be killed is forked from one process that has all of it loaded.

There is one such server, with one list of what it loads, whoever says it: said in two places, the
last word would hold, and the others' processes would load the service anew at each of their steps.
"""

from __future__ import annotations

import multiprocessing

from tests import nursery

__all__ = ["CONTEXT"]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.crash.doomed",
        "tests.crash.doomed_index",
        "tests.crash.doomed_ring",
        "tests.crash.doomed_store",
        "tests.crash.doomed_updater",
        *nursery.LOADED,
    ]
)
