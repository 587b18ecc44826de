"""Watches what a process and its children take: memory at its peak, and CPU time.

Reads ``/proc`` and nothing else; never stops or slows what it watches (one look takes well below a
millisecond, twenty times a second).
"""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Watch", "processor_seconds", "wait_until_idle"]

_INTERVAL = 0.05
_QUIET = 0.5
_IDLE = 0.05
"""A share of one processor that is nothing."""
_LONGEST = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


class Watch:
    """Watches from entering to leaving.

    Args:
        pid: Of the process; its children, and theirs, count too.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._begun = 0.0
        self.peak_bytes = 0
        """Most that was resident at a time: the sum of the peaks (VmHWM) of those that lived then.

        Exact for one process, since its start; of several that share pages, it is an upper bound.
        """
        self.cpu_seconds = 0.0
        """User and system time since entering, of children too."""

    def __enter__(self) -> Self:
        self._begun = _cpu_of(*_family(self._pid))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        family = _family(self._pid)
        self.peak_bytes = max(self.peak_bytes, sum(map(_peak_of, family)))
        self.cpu_seconds = max(self.cpu_seconds, _cpu_of(*family) - self._begun)


def wait_until_idle(pid: int) -> None:
    """Wait until a process and its children have nothing left to do, such as their start."""
    used, deadline = _cpu_of(*_family(pid)), time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        time.sleep(_QUIET)
        before, used = used, _cpu_of(*_family(pid))
        if used - before < _QUIET * _IDLE:
            return


def processor_seconds(pid: int) -> float:
    """What a process and all below it have used, exactly; those that ended are left out."""
    total = 0.0
    for member in _family(pid):
        try:
            # The clock of another process (clock_getcpuclockid(3)): of all of its threads.
            total += time.clock_gettime((~member << 3) | 2)
        except OSError:
            continue  # it has just ended
    return total


def _cpu_of(*family: int) -> float:
    """Seconds of all of them, and of those below them that ended and were waited for."""
    total = 0
    for member in family:
        try:
            text = Path(f"/proc/{member}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has just ended
        # Fields from the third on: the second is a name, which may hold blanks and brackets.
        total += sum(map(int, text.rpartition(")")[2].split()[11:15]))
    return total / _TICKS


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for member in found:
        try:
            threads = os.listdir(f"/proc/{member}/task")  # noqa: PTH208 - many times a second
        except OSError:
            continue  # it has just ended
        for thread in threads:
            try:
                with open(f"/proc/{member}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                    found += map(int, file.read().split())
            except OSError:
                continue  # that thread has just ended
    return found


def _peak_of(pid: int) -> int:
    """Bytes; 0 of a process that has just ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    match = _PEAK.search(text)
    return int(match[1]) * 1024 if match else 0
