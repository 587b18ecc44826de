"""A pixel worker that somebody else has taken over: what is sent as a frame is tried.

A module to be run in place of `edge.pixels.worker`; everything else in it is the real one.
"""

from __future__ import annotations

import sys

from edge.errors import EdgeError
from edge.pixels import worker
from tests.cage.attempts import attempt


def decode(_worker, _request, body):
    name = body.rstrip(b"\0").decode()
    raise EdgeError(f"{name}: {attempt(name)}")


if __name__ == "__main__":
    worker._KINDS["decode"] = decode
    worker.main(sys.argv[1:])
