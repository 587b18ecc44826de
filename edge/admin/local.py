"""The door for commands on this machine: whether the service runs, and how its parts are.

Owns ``service.sock`` in ``data_dir``, a Unix socket that only the service's own user and root can
open, so that it needs neither TLS nor a token. It answers what ``/readyz`` answers, from before the
index is opened to the end of the last part, and how well its processes are caged; and it lets
itself be woken by a command that changed something in the index. Never gives or takes anything
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
from aiohttp import web

from edge.admin.api import health_routes
from edge.cache.status import Cages, Parts

__all__ = ["cages_of_service", "local_door", "parts_of_service", "wake_service"]

log = logging.getLogger(__name__)

_NAME = "service.sock"
_PATIENCE = 5.0
"""Seconds for the answer of a service that is busy."""


@contextlib.asynccontextmanager
async def local_door(
    folder: Path,
    parts: Callable[[], Parts],
    wake: Callable[[], None] = lambda: None,
    cages: Callable[[], Cages] = dict,
) -> AsyncIterator[None]:
    """Answer commands until the block ends. A folder that takes no socket stops nothing else.

    Args:
        folder: Locked by this process; what an earlier one left there is replaced.
        parts: Tells the state of every part.
        wake: Has every part look at the index.
        cages: Tells what those of its processes lack.
    """

    async def woken(_: web.Request) -> web.Response:
        wake()
        return web.Response(status=204)

    async def caged(_: web.Request) -> web.Response:
        return web.json_response(dict(cages()))

    application = web.Application()
    application.add_routes(
        [*health_routes(parts), web.post("/wake", woken), web.get("/cages", caged)]
    )
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.SockSite(runner, await asyncio.to_thread(_listen, folder)).start()
        except OSError as error:
            log.warning("edge status can't see this service: %s/%s: %s", folder, _NAME, error)
        yield
    finally:
        await runner.cleanup()
        with contextlib.suppress(OSError):
            await asyncio.to_thread((folder / _NAME).unlink)


async def parts_of_service(folder: Path) -> Parts | None:
    """The parts of the service that works on *folder*, and their states; None if there is none."""
    with _socket_path(folder) as path:
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, timeout=_PATIENCE) as client:
            try:
                answer = await client.get("http://edge/readyz")
            except httpx.ConnectError:
                return None
            except httpx.HTTPError:
                return {"service": "does not answer"}
    parts: Parts = answer.json()["parts"]
    return parts


async def cages_of_service(folder: Path) -> Cages:
    """What the cages of its processes lack; nothing is known if there is none."""
    with _socket_path(folder) as path:
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, timeout=_PATIENCE) as client:
            try:
                answer = await client.get("http://edge/cages")
            except httpx.HTTPError:
                return {}
    if not answer.is_success:
        return {}  # a service of before this was told
    cages: Cages = answer.json()
    return cages


async def wake_service(folder: Path) -> bool:
    """Have the service that works on *folder* look at the index; whether one runs and heard it."""
    with _socket_path(folder) as path:
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, timeout=_PATIENCE) as client:
            try:
                answer = await client.post("http://edge/wake")
            except httpx.HTTPError:
                return False
    return answer.is_success


def _listen(folder: Path) -> socket.socket:
    (folder / _NAME).unlink(missing_ok=True)
    with contextlib.ExitStack() as unless_returned:
        door = socket.socket(socket.AF_UNIX)
        unless_returned.callback(door.close)
        os.fchmod(door.fileno(), 0o600)  # Linux gives this mode to the file that bind makes.
        with _socket_path(folder) as path:
            door.bind(path)
        unless_returned.pop_all()
    return door


@contextlib.contextmanager
def _socket_path(folder: Path) -> Iterator[str]:
    """A short name of the socket: the kernel takes 107 bytes, and the folder's may be longer."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{_NAME}"
    finally:
        os.close(handle)
