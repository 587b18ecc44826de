"""Tells that something happened below a folder, as far as the file system tells."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from edge.dropfolder.wording import reason_of

__all__ = ["events"]

log = logging.getLogger(__name__)

# Not those of opening and reading: the sweep itself would cause them, and wake itself for ever.
_WAKING = [DirCreatedEvent, DirMovedEvent, FileClosedEvent, FileCreatedEvent, FileMovedEvent]
_GOING = [*_WAKING, FileDeletedEvent]


class _Waker(FileSystemEventHandler):
    """Called in the observer's thread."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any event will do
        self._wake()


@contextlib.asynccontextmanager
async def events(
    root: Path, woken: asyncio.Event, *, name: str = "the drop folder", of_going: bool = False
) -> AsyncIterator[None]:
    """Sets *woken* at every event below the root, as far as the file system tells.

    Args:
        root: The folder.
        woken: Is set.
        name: What the log calls the folder.
        of_going: When a file was deleted, too.
    """
    # It writes paths, in warnings and when asked for details, and complains of every orderly end.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"watchdog\.")
    loop = asyncio.get_running_loop()
    observer = Observer()
    waker = _Waker(lambda: loop.call_soon_threadsafe(woken.set))

    def start() -> None:
        kinds = list(_GOING if of_going else _WAKING)
        observer.schedule(waker, str(root), recursive=True, event_filter=kinds)
        observer.start()

    def stop() -> None:
        observer.stop()
        if observer.is_alive():
            observer.join()

    try:
        await asyncio.to_thread(start)
    except FileNotFoundError:
        pass  # the sweep says so
    except OSError as error:  # no more watches
        log.warning("%s is only looked at now and then: %s", name, reason_of(error))
    try:
        yield
    finally:
        await asyncio.to_thread(stop)
