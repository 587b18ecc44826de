"""``edge``, as ``python -m edge`` runs it, forked from a process that has it loaded."""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests import nursery

__all__ = ["run"]

_STACK = ExitStack()
atexit.register(_STACK.close)
_LONGEST = 120.0


@cache
def _nursery() -> nursery.Nursery:
    return _STACK.enter_context(nursery.started(nursery.COMMANDS))


def run(
    *words: object, said: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        words: It, and its options.
        said: Its standard input.
        environment: What there is beside ours.
    """
    new = tempfile.TemporaryFile
    with new() as given, new() as out, new() as err:
        given.write(said)
        given.seek(0)
        child = _nursery().bear(
            "edge.__main__",
            [str(word) for word in words],
            {number: file.fileno() for number, file in enumerate((given, out, err))},
            {**os.environ, **(environment or {})},
            Path.cwd(),
        )
        try:
            status = child.wait(_LONGEST)
        finally:
            child.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            [*words], status, out.read().decode(), err.read().decode()
        )
