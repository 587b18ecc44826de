"""Starts the store's processes by forking one that has everything loaded: milliseconds each.

The code that runs in them is the product's own (``edge.store.worker``); only the interpreter is not
started anew, which for a thousand simulated boxes would take longer than all that they do.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from unittest import mock

from edge.store import process, worker

__all__ = ["nursery"]


class Child:
    """As much of ``subprocess.Popen`` as the store's process needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self) -> None:
        if self._descriptor >= 0:
            select.select([self._descriptor], [], [])
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.contextmanager
def nursery() -> Iterator[None]:
    """As long as this lasts, stores start their processes so."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        ours.close()
        _bear(theirs)
    theirs.close()

    asking = threading.Lock()

    def spawn(_module: Sequence[str], arguments: Sequence[str], *, descriptors) -> Child:
        folders = [word for word in arguments if not word.isdecimal()]
        with asking:  # one that was begun for a box that crashed may still be under way
            socket.send_fds(ours, [json.dumps(folders).encode()], list(descriptors))
            return Child(int(ours.recv(32)))

    try:
        with mock.patch.object(process, "spawn", spawn):
            yield
    finally:
        ours.close()
        os.waitpid(pid, 0)


def _bear(asked: socket.socket) -> None:
    """Fork a child for each message, until whoever asks is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody's zombies
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, 4096, 8)
        if not message:
            os._exit(0)
        pid = os.fork()
        if not pid:
            asked.close()
            try:
                os.setpgid(0, 0)
                worker.main([*json.loads(message), *map(str, descriptors)])
            finally:
                sys.stderr.flush()
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(pid).encode())
