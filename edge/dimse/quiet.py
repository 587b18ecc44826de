"""What a log line may cost and may say: few lines about a stranger, nothing about a patient.

Owns the count of such lines, by host or whatever they are about. The first of a minute are written,
then one that says that more are left out, so that a port scan or a modality in a loop costs neither
the disk nor the lines about others. It holds a bounded number of hosts, and nothing of what the
lines said.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

__all__ = ["QuietLog", "kind_and_place"]

LINES = 20
"""About one host, in one span."""
SPAN = 60.0
"""Seconds."""
HOSTS = 256
"""So many are told apart; the one that was silent for longest is forgotten first."""


class QuietLog:
    """Writes to a logger what there is room for.

    Args:
        logger: Where lines go.
        clock: Seconds.
    """

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        # Host -> when its span began, and its lines since, those left out too.
        self._hosts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def log(self, host: str, level: int, message: str, *values: object) -> None:
        """Write a line about *host*, unless there were too many lately."""
        if not self._logger.isEnabledFor(level):
            return
        now = self._clock()
        began, lines = self._hosts.get(host, (now, 0))
        if now - began >= SPAN:
            if lines > LINES:
                self._logger.warning("%s: %d lines about it were left out", host, lines - LINES)
            began, lines = now, 0
        self._hosts[host] = began, lines + 1
        self._hosts.move_to_end(host)
        if len(self._hosts) > HOSTS:
            self._hosts.popitem(last=False)
        if lines < LINES:
            self._logger.log(level, message, *values)
        elif lines == LINES:
            self._logger.warning("%s: further lines about it are left out for a while", host)


def kind_and_place(error: Exception) -> str:
    """Kind and place of an error nobody foresaw; its text might name a patient."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
