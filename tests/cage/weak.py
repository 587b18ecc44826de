"""A pixel worker on a kernel with neither seccomp nor Landlock, taken over as ``hostile`` is."""

from __future__ import annotations

import errno
import os
import sys

from edge.cage import kernel
from edge.pixels import worker
from tests.cage import hostile


def refuse(*_):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def decode(self, request, body):
    if body[0]:
        hostile.decode(self, request, body)
    return self.decode(request, body)


if __name__ == "__main__":
    kernel.call = refuse
    worker._KINDS["decode"] = decode
    worker.main(sys.argv[1:])
