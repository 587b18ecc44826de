"""Ports of loopback for servers that must know theirs before they start.

Promises a port below those that Linux gives to clients (32768 and up): one of those may be taken by
anybody's connection before the server has started, or while it is down for a restart. Never gives
the same port twice to one process, nor to two that run tests side by side (pytest-xdist).
"""

from __future__ import annotations

import os
import random
import socket

__all__ = ["free_port"]

_choice = random.SystemRandom()  # hypothesis seeds the common one, the same in every process
_given: set[int] = set()
_SIDE_BY_SIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_OURS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SIDE_BY_SIDE


def free_port() -> int:
    """A port that nobody listens on now."""
    for port in _choice.sample(range(10_000 + _OURS, 32_768, _SIDE_BY_SIDE), 1_000):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("none of 1000 ports of loopback is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
