"""Processes of our own beside the service: a module of ours, started as a program.

Owns what each of them is given: no environment but what it needs, no terminal, no word to say, a
process group of its own. What they are asked, and how they end, is known to those who start them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import edge

__all__ = ["spawn"]


def spawn(
    module: Sequence[str],
    arguments: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    descriptors: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process; blocks for some milliseconds.

    Args:
        module: As the interpreter is told: ``-m`` and its name, and words before all others.
        arguments: Of the program.
        stdin: A descriptor that becomes its standard input.
        descriptors: Others that it inherits, under the same numbers.
        environment: What it needs beside the paths of our modules.

    Raises:
        OSError: It can't be started now.
    """
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, *module, *arguments],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(Path(edge.__file__).parents[1]),
            # Compiled modules are where ours are.
            "PYTHONPYCACHEPREFIX": sys.pycache_prefix or "",
            "PYTHONDONTWRITEBYTECODE": "1" if sys.dont_write_bytecode else "",
            **(environment or {}),
        },
        pass_fds=descriptors,
        process_group=0,  # Ctrl-C is for the service, which ends its children itself
    )
