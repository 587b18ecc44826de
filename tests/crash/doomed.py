"""A real service in a process of its own that is killed at a step of its writing.

A step is every open, write, fsync, rename, unlink, commit and every write to a socket, counted in
all threads together from the moment when the first byte of an instance has arrived, or the first
upload or deletion begins. Before the chosen one the process sends itself SIGKILL, so nothing is
flushed, closed or cleaned up.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pathlib
import signal
import threading
from asyncio import selector_events
from collections.abc import Callable
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from edge import config
from edge.app import Appliance
from edge.cache.admission import Admission
from edge.cache.deletion import Deletion
from edge.cloud.dicomweb import DicomwebArchive
from edge.crypto.keys import KeyRing
from edge.index import connection

__all__ = ["doomed"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.doomed"])


class Steps:
    """Counts, and kills."""

    def __init__(self, fatal: int) -> None:
        self._fatal = fatal
        self._lock = threading.Lock()
        self._armed = False
        self.names: list[str] = []

    def arm(self) -> None:
        self._armed = True

    def reach(self, name: str) -> None:
        if not self._armed:
            return
        with self._lock:
            self.names.append(name)
            if len(self.names) == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(self, owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def stepped(*arguments: Any, **named: Any) -> Any:
            self.reach(name)
            return original(*arguments, **named)

        setattr(owner, name, stepped)


def _instrument(steps: Steps) -> None:
    for call in ("open", "write", "writev", "pwrite", "fsync", "unlink"):
        steps.before(os, call)
    for call in ("rename", "replace", "unlink"):
        steps.before(pathlib.Path, call)
    steps.before(KeyRing, "new_study_key")
    steps.before(selector_events._SelectorSocketTransport, "write")

    class Committing(connection.sqlcipher.Connection):  # type: ignore[misc]
        def execute(self, sql: str, *parameters: Any) -> Any:
            if sql in {"BEGIN IMMEDIATE", "COMMIT"}:
                steps.reach(sql)
            return super().execute(sql, *parameters)

    connect = connection.sqlcipher.connect
    connection.sqlcipher.connect = lambda *a, **n: connect(*a, factory=Committing, **n)

    for owner, name in (
        (Admission, "store_instance"),
        (DicomwebArchive, "store_instances"),
        (Deletion, "delete"),
    ):
        _arm_at(steps, owner, name)


def _arm_at(steps: Steps, owner: Any, name: str) -> None:
    original = getattr(owner, name)

    async def armed(*arguments: Any, **named: Any) -> Any:
        steps.arm()
        return await original(*arguments, **named)

    setattr(owner, name, armed)


def _live(settings: config.Config, fatal: int, parent: Connection) -> None:
    steps = Steps(fatal)
    _instrument(steps)

    async def serve() -> None:
        async with Appliance(settings) as box:
            parent.send((box.dimse_port, box.http_port))
            await asyncio.to_thread(parent.recv)
            parent.send(steps.names)

    asyncio.run(serve())


class Doomed:
    """The process, from outside."""

    def __init__(self, process: Any, pipe: Connection, ports: tuple[int, int]) -> None:
        self._process = process
        self._pipe = pipe
        self.dimse_port, self.http_port = ports
        self.steps: list[str] = []

    @property
    def alive(self) -> bool:
        self._process.join(0.3)  # its connections end a moment before it does
        return bool(self._process.is_alive())

    def stop(self) -> None:
        """End it in order, if it still lives."""
        try:
            self._pipe.send("stop")
            self.steps = self._pipe.recv()
        except (BrokenPipeError, EOFError, ConnectionResetError):
            pass
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def doomed(settings: config.Config, fatal: int):
    """A running service that is killed before its step number *fatal*."""
    pipe, other = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_live, args=(settings, fatal, other))
    process.start()
    other.close()
    if not pipe.poll(30):
        process.kill()
        raise TimeoutError("the service did not start")
    service = Doomed(process, pipe, pipe.recv())
    try:
        yield service
    finally:
        service.stop()
        pipe.close()
