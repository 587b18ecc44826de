"""The machine's own programs, run with nothing of ours in their environment. Calls block."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

from edge.errors import MachineRefused

__all__ = ["Tools"]

_USUAL: Final = "/usr/bin:/usr/sbin:/bin:/sbin"
_SAID: Final = 300
"""Characters of what a program said that are told on."""


class Tools:
    """Finds and runs them.

    Args:
        path: The folders that they are in.
        seconds: That one of them may take.
    """

    def __init__(self, path: str = _USUAL, *, seconds: float = 60.0) -> None:
        self._path = path
        self._seconds = seconds

    def has(self, name: str) -> bool:
        """Whether this machine has it."""
        return shutil.which(name, path=self._path) is not None

    def run(self, name: str, *words: str, fine: range = range(1), said: str = "") -> str:
        """Run one to its end; what it printed.

        Args:
            name: Its, or its path.
            words: Arguments.
            fine: Exit statuses that are no failure.
            said: What it reads on its standard input.

        Raises:
            MachineRefused: It is not there, failed, or took too long.
        """
        program = shutil.which(name, path=self._path)
        if program is None:
            raise MachineRefused(f"this machine has no {name}", hint=f"install what {name} is in")
        try:
            done = subprocess.run(  # noqa: S603 - the arguments are ours, or were checked
                [program, *words],
                env={"PATH": self._path, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
                input=said.encode(),
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MachineRefused(f"{name} did not end within {self._seconds:.0f} s") from error
        except OSError as error:
            raise MachineRefused(f"{name} can't be run: {error.strerror}") from error
        if done.returncode not in fine:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[-_SAID:]
            raise MachineRefused(f"{name} failed ({done.returncode}): {said or 'it said nothing'}")
        return done.stdout.decode("utf-8", "replace")
