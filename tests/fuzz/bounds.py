"""What one example may take: seconds of the processor, and memory at its peak.

Counted for this process, all of its threads together. A hang is ended by a signal where Python
runs, so that it is a finding with an example; where only C runs, it is noted afterwards.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["bounded"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK_OF_NOW = "5"
"""Makes the kernel forget the peak (proc_pid_clear_refs(5))."""


class TooMuch(AssertionError):
    """An example took more than it may."""


@contextmanager
def bounded(seconds: float, megabytes: float) -> Iterator[None]:
    """Raises `TooMuch` if the block takes more processor time or memory than that."""

    def end(_number: int, _frame: object) -> None:
        raise TooMuch(f"it did not end within {seconds} s")

    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        before = signal.signal(signal.SIGPROF, end)
        signal.setitimer(signal.ITIMER_PROF, seconds)
    with suppress(OSError):
        _RESET.write_text(_PEAK_OF_NOW, encoding="ascii")
    held, began = _kilobytes("VmRSS"), time.process_time()
    try:
        yield
    finally:
        if is_main:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
    took, more = time.process_time() - began, (_kilobytes("VmHWM") - held) / 1024
    if took > seconds:
        raise TooMuch(f"it took {took:.1f} s")
    if more > megabytes:
        raise TooMuch(f"it took {more:.0f} MB")


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", _STATUS.read_text(encoding="ascii"))
    return int(found[1]) if found else 0
