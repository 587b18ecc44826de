"""The door for commands on this machine: whether the service runs, and how its parts are.

Owns ``service.sock`` in ``data_dir``, a Unix socket that only the service's own user and root can
open, so that it needs neither TLS nor a token. It tells how every part is, with the reason that
``/readyz`` keeps from strangers, from before the index is opened to the end of the last part, and
how well its processes are caged; it lets itself be woken by a command that changed something in the
index; it does what a command must leave to the process that owns the keys; and it has what concerns
the root secret (`local_keys`). Never gives or takes anything else.

Commands ask here, too, and are over before a web server would be loaded: only the door loads it.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from edge.errors import DecisionRefused, EdgeError, KeyLocked, SecretError

if TYPE_CHECKING:
    from aiohttp import web

    from edge.cache.status import Cages, Parts

__all__ = [
    "Act",
    "ServiceSilent",
    "ask_service",
    "cages_of_service",
    "local_door",
    "no_tls",
    "parts_of_service",
    "refuse_if_locked",
    "socket_path",
    "wake_service",
]

log = logging.getLogger(__name__)

_NAME = "service.sock"
_PATIENCE = 5.0
"""Seconds for the answer of a service that is busy."""
_LONG = 600.0
"""Seconds for an act to be done."""

_SILENT: Parts = {"service": "does not answer"}

Act = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""What the service does for a command: takes what JSON can hold, and gives such."""


@contextlib.asynccontextmanager
async def local_door(
    folder: Path,
    parts: Callable[[], Parts],
    wake: Callable[[], None] = lambda: None,
    cages: Callable[[], Cages] = dict,
    acts: Mapping[str, Act] | None = None,
    more: Sequence[web.RouteDef] = (),
) -> AsyncIterator[None]:
    """Answer commands until the block ends. A folder that takes no socket stops nothing else.

    Args:
        folder: Locked by this process; what an earlier one left there is replaced.
        parts: Tells the state of every part.
        wake: Has every part look at the index.
        cages: Tells what those of its processes lack, and what its start found damaged.
        acts: What it does for commands, by name. One that raises an EdgeError is refused with it.
        more: What it answers beside that.
    """
    from aiohttp import web

    async def woken(_: web.Request) -> web.Response:
        wake()
        return web.Response(status=204)

    async def asked(request: web.Request) -> web.Response:
        act = (acts or {}).get(request.match_info["act"])
        if act is None:
            raise web.HTTPNotFound
        try:
            return web.json_response(await act(await request.json()))
        except EdgeError as error:
            return web.json_response({"message": str(error), "hint": error.hint}, status=409)

    async def told(_: web.Request) -> web.Response:
        return web.json_response(dict(parts()))

    async def caged(_: web.Request) -> web.Response:
        return web.json_response(dict(cages()))

    application = web.Application()
    application.add_routes(
        [
            web.get("/parts", told),
            web.get("/cages", caged),
            web.post("/wake", woken),
            web.post("/acts/{act}", asked),
            *more,
        ]
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
    with socket_path(folder) as path:
        async with _client(path, _PATIENCE) as client:
            try:
                answer = await client.get("http://edge/parts")
            except httpx.ConnectError:
                return None
            except httpx.HTTPError:
                return _SILENT
    parts: Parts | None = _document(answer)
    return _SILENT if parts is None else parts


async def cages_of_service(folder: Path) -> Cages:
    """What its cages lack, and its start found damaged; nothing is known if there is none."""
    with socket_path(folder) as path:
        async with _client(path, _PATIENCE) as client:
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
    with socket_path(folder) as path:
        async with _client(path, _PATIENCE) as client:
            try:
                answer = await client.post("http://edge/wake")
            except httpx.HTTPError:
                return False
    return answer.is_success


async def ask_service(
    folder: Path,
    act: str,
    wish: Mapping[str, Any] | None = None,
    *,
    seconds: float = _LONG,
) -> dict[str, Any] | None:
    """Have the service that works on *folder* do something; None if there is none.

    Args:
        folder: Its data folder.
        act: By its name.
        wish: What the act takes.
        seconds: That it has for it; for what a person waits, few.

    Raises:
        KeyLocked: It is locked, and does nothing of the kind until it is open.
        DecisionRefused: It refuses.
        ServiceSilent: It does not answer.
        EdgeError: Or not as it should.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _ask_service(folder, act, wish)
    except TimeoutError as error:
        raise _no_answer() from error


async def _ask_service(
    folder: Path, act: str, wish: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    await asyncio.to_thread(refuse_if_locked, folder)
    try:
        with socket_path(folder) as path:
            async with _client(path, _LONG) as client:
                answer = await client.post(f"http://edge/acts/{act}", json=dict(wish or {}))
    except (FileNotFoundError, httpx.ConnectError):
        return None
    except httpx.HTTPError as error:
        raise _no_answer() from error
    said = _document(answer)
    if answer.status_code == httpx.codes.CONFLICT and said is not None and "message" in said:
        raise DecisionRefused(str(said["message"]), hint=str(said.get("hint", "")))
    if answer.is_error:
        raise EdgeError(
            f"the service could not do it ({answer.status_code})",
            hint="ask again when it has started; if it has, look at its log",
        )
    if said is None:
        raise EdgeError("the service does not answer as it should", hint="look at its log")
    return said


def _document(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


class ServiceSilent(EdgeError):
    """There was no answer, or not within the time for it: it may be busy."""


def _no_answer() -> ServiceSilent:
    return ServiceSilent("the service does not answer", hint="look at its log, and ask again")


def refuse_if_locked(folder: Path) -> None:
    """Nothing, unless the service that works on *folder* is locked. Blocks.

    Raises:
        KeyLocked: It is; the message says what it waits for.
    """
    from edge.admin.local_keys import state_of_service

    try:
        waiting = state_of_service(folder)
    except SecretError:  # it does not answer, or knows no such question yet
        return
    if waiting is not None and waiting.needs is not None:
        raise KeyLocked(
            f"the box is locked: {waiting.why}",
            needs=waiting.needs,
            hint="nothing was changed; edge key unlock opens it, on this machine",
        )


def no_tls() -> ssl.SSLContext:
    """For who asks through the socket: to read whom the system trusts takes longer than to ask."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _client(path: str, seconds: float) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=path, verify=no_tls())
    return httpx.AsyncClient(transport=transport, timeout=seconds)


def _listen(folder: Path) -> socket.socket:
    (folder / _NAME).unlink(missing_ok=True)
    with contextlib.ExitStack() as unless_returned:
        door = socket.socket(socket.AF_UNIX)
        unless_returned.callback(door.close)
        os.fchmod(door.fileno(), 0o600)  # Linux gives this mode to the file that bind makes.
        with socket_path(folder) as path:
            door.bind(path)
        unless_returned.pop_all()
    return door


@contextlib.contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """A short name of the socket: the kernel takes 107 bytes, and the folder's may be longer."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{_NAME}"
    finally:
        os.close(handle)
