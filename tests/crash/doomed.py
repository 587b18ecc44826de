"""A real service in a process of its own that is killed at a step of its writing.

A step is every open, write, fsync, rename, unlink, commit and every write to a socket, in the
service and in its store's process, from the moment when the first byte of an instance has arrived,
or the first upload, deletion or act on the trash begins.
"""

from __future__ import annotations

import asyncio
from asyncio import selector_events
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from edge import config
from edge.app import Appliance
from edge.cache.admission import Admission
from edge.cache.deletion import Deletion
from edge.cache.trash import Trash
from edge.cloud.dicomweb import DicomwebArchive
from edge.crypto.keys import KeyRing
from edge.dicom.instance import InstanceRef
from edge.index import connection
from edge.store import process as store_process
from tests import nursery
from tests.crash.forkserver import CONTEXT
from tests.crash.steps import Steps, watch_files

__all__ = ["doomed"]


def _instrument(steps: Steps) -> None:
    watch_files(steps)
    steps.before(KeyRing, "new_study_key")
    steps.before(selector_events._SelectorSocketTransport, "write")

    class Committing(connection.sqlcipher.Connection):
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
        (Trash, "put"),
        (Trash, "restore"),
        (Trash, "empty"),
    ):
        _arm_at(steps, owner, name)


def _arm_at(steps: Steps, owner: Any, name: str) -> None:
    original = getattr(owner, name)

    async def armed(*arguments: Any, **named: Any) -> Any:
        steps.arm()
        return await original(*arguments, **named)

    setattr(owner, name, armed)


def _live(settings: config.Config, fatal: int, parent: Connection) -> None:
    # Forked before anything is instrumented, or has a thread.
    with nursery.forked() as nurse, nursery.in_use(nurse.spawn):
        _serve(settings, fatal, parent)


def _serve(settings: config.Config, fatal: int, parent: Connection) -> None:
    path = settings.appliance.data_dir.with_suffix(".steps")
    steps = Steps(path, fatal, is_service=True)
    store_process._WORKER = ("-m", "tests.crash.doomed_store", str(path), str(fatal))
    _instrument(steps)

    async def serve() -> None:
        async with Appliance(settings) as box:
            parent.send((box.dimse_port, box.http_port))
            while (said := await asyncio.to_thread(parent.recv)) != "stop":
                await box.cache.trash.put([said], archive="cloud", reason="gone")
                parent.send("done")
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
        self._process.join(0.1)  # its connections end a moment before it does
        return bool(self._process.is_alive())

    def trash(self, ref: InstanceRef) -> bool:
        """Say that the archive deleted an instance; whether that was done."""
        try:
            self._pipe.send(ref)
            return bool(self._pipe.recv() == "done")
        except (BrokenPipeError, EOFError, ConnectionResetError):
            return False

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
    pipe, other = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_live, args=(settings, fatal, other))
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
