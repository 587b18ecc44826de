"""What commands on this machine and the service say to each other about the root secret.

It goes over ``service.sock`` (`local`), which only the service's own user and root can open. They
could read the secret out of the service's memory as well; so a command that needs the keys gets it
here, and nobody types a passphrase for ``edge status``. A locked service gives nothing, and is
opened here.

Promises that no secret is in an address, an argument or a line of the log. Only the service's side
loads a web server: a command would be over before.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec

from edge.admin.local import no_tls, socket_path
from edge.config import Keys
from edge.errors import DecisionRefused, EdgeError, KeyLocked, Needs, SecretError, WrongKey

if TYPE_CHECKING:
    from aiohttp import web

__all__ = [
    "ChangeAsked",
    "LockAsked",
    "LockedNow",
    "Opening",
    "Waiting",
    "change_service",
    "lock_service",
    "open_service",
    "root_of_service",
    "state_of_service",
    "when_locked",
    "when_open",
]

_T = TypeVar("_T")
_PATIENCE = 5.0
_STRETCHING = 60.0
"""Seconds: a passphrase takes its time, and others may be tried before it."""
_REFUSED, _WRONG, _LOCKED = 409, 403, 423


class Waiting(msgspec.Struct, frozen=True):
    """What a locked service waits for; empty: it is open."""

    needs: Needs | None = None
    why: str = ""
    certificate: str = ""
    """SHA-256 of what its page is shown with meanwhile; empty over plain HTTP."""


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody has to open it."""

    passphrase: str = ""
    """Or the new one, where one is chosen."""
    recovery_key: str = ""
    by: str = ""
    """Who does it, on this machine, for the audit."""
    address: str = ""
    """From where, if that is not this machine."""

    def __repr__(self) -> str:
        return type(self).__name__


class LockAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That it shall be locked."""

    by: str
    force: bool = False


class LockedNow(msgspec.Struct, frozen=True):
    """It is locked."""

    left: str = ""
    """What could not be destroyed, and why; each start tries again."""


class ChangeAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That the root secret shall be another, kept as this configuration says."""

    by: str
    keys: dict[str, Any]
    passphrase: str = ""
    """The new one, if a passphrase shall keep it."""

    def __repr__(self) -> str:
        return type(self).__name__

    @classmethod
    def of(cls, by: str, keys: Keys, passphrase: str) -> ChangeAsked:
        """With the settings in a form that JSON has."""
        return cls(by, msgspec.to_builtins(keys, enc_hook=str), passphrase)

    def settings(self) -> Keys:
        """Those of ``[keys]``.

        Raises:
            SecretError: They are none.
        """
        try:
            return msgspec.convert(self.keys, Keys, dec_hook=lambda kind, text: kind(text))
        except msgspec.ValidationError as error:
            raise SecretError(f"[keys] can't be understood: {error}") from error


class _Refusal(msgspec.Struct):
    message: str
    hint: str = ""
    needs: Needs | None = None


# The service's side -------------------------------------------------------------------------------


def when_open(
    root: Callable[[], bytes],
    lock: Callable[[LockAsked], Awaitable[str]],
    change: Callable[[ChangeAsked], Awaitable[None]],
) -> list[web.RouteDef]:
    """What an open service answers.

    Args:
        root: Gives the root secret.
        lock: Locks the box, and says what could not be destroyed.
        change: Changes the root secret.
    """
    from aiohttp import web

    async def get_state(_: web.Request) -> web.Response:
        return _json(Waiting())

    async def post_change(request: web.Request) -> web.Response:
        return await _answered(change, request, ChangeAsked)

    async def get_root(_: web.Request) -> web.Response:
        return web.Response(body=root(), content_type="application/octet-stream")

    async def post_lock(request: web.Request) -> web.Response:
        return await _answered(lock, request, LockAsked)

    return [
        web.get("/keys", get_state),
        web.get("/keys/root", get_root),
        web.post("/keys/lock", post_lock),
        web.post("/keys/change", post_change),
    ]


def when_locked(
    waiting: Callable[[], Waiting],
    opened: Callable[[Opening], Awaitable[None]],
    lock: Callable[[LockAsked], Awaitable[str]],
) -> list[web.RouteDef]:
    """What a locked service answers.

    Args:
        waiting: What for.
        opened: Opens it.
        lock: Locks it for good, and says what could not be destroyed.
    """
    from aiohttp import web

    async def get_state(_: web.Request) -> web.Response:
        return _json(waiting())

    async def get_root(_: web.Request) -> web.Response:
        now = waiting()
        return _json(_Refusal(f"the box is locked: {now.why}", needs=now.needs), _LOCKED)

    async def post_open(request: web.Request) -> web.Response:
        return await _answered(opened, request, Opening)

    async def post_lock(request: web.Request) -> web.Response:
        return await _answered(lock, request, LockAsked)

    return [
        web.get("/keys", get_state),
        web.get("/keys/root", get_root),
        web.post("/keys/open", post_open),
        web.post("/keys/lock", post_lock),
    ]


async def _answered(
    act: Callable[[_T], Awaitable[str | None]], request: web.Request, kind: type[_T]
) -> web.Response:
    from aiohttp import web

    try:
        left = await act(msgspec.json.decode(await request.read(), type=kind))
    except msgspec.DecodeError:
        return _json(_Refusal("it can't be understood"), 400)
    except KeyLocked as error:
        return _json(_Refusal(str(error), error.hint, error.needs), _LOCKED)
    except EdgeError as error:
        wrong = isinstance(error, WrongKey)
        return _json(_Refusal(str(error), error.hint), _WRONG if wrong else _REFUSED)
    return web.Response(status=204) if left is None else _json(LockedNow(left))


def _json(what: object, status: int = 200) -> web.Response:
    from aiohttp import web

    return web.Response(
        body=msgspec.json.encode(what), status=status, content_type="application/json"
    )


# A command's side; calls block --------------------------------------------------------------------


def state_of_service(folder: Path) -> Waiting | None:
    """What the service that works on *folder* waits for; None if there is none."""
    answer = _asked(folder, "GET", "/keys", None, Waiting)
    return answer if isinstance(answer, Waiting) else None


def root_of_service(folder: Path) -> bytes | None:
    """The root secret, from the service that works on *folder*; None if there is none.

    Raises:
        KeyLocked: It is locked.
    """
    try:
        with _client(folder, _PATIENCE) as client:
            answer = client.get("http://edge/keys/root")
    except (httpx.HTTPError, FileNotFoundError):
        return None
    if answer.status_code == _LOCKED:
        raise _error(answer)
    return answer.content if answer.is_success else None


def open_service(folder: Path, by: Opening) -> bool:
    """Open the service that works on *folder*; False if there is none.

    Raises:
        EdgeError: It does not open so.
    """
    return _asked(folder, "POST", "/keys/open", by, None) is not None


def lock_service(folder: Path, asked: LockAsked) -> LockedNow | None:
    """Lock the service that works on *folder*; None if there is none.

    Raises:
        EdgeError: It can't be locked.
    """
    answer = _asked(folder, "POST", "/keys/lock", asked, LockedNow)
    return answer if isinstance(answer, LockedNow) else None


def change_service(folder: Path, asked: ChangeAsked) -> bool:
    """Have the service that works on *folder* change its root secret; False if there is none.

    Raises:
        EdgeError: It can't be changed; all is as before.
    """
    return _asked(folder, "POST", "/keys/change", asked, None) is not None


def _asked(folder: Path, method: str, path: str, what: object, kind: Any) -> object | None:
    content = None if what is None else msgspec.json.encode(what)
    try:
        with _client(folder, _PATIENCE if what is None else _STRETCHING) as client:
            answer = client.request(method, f"http://edge{path}", content=content)
    except (httpx.ConnectError, FileNotFoundError):
        return None
    except httpx.HTTPError as error:
        raise SecretError(
            "the service does not answer", hint="look at its log, and try again"
        ) from error
    if not answer.is_success:
        raise _error(answer)
    try:
        return True if kind is None else msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError as error:
        raise SecretError(
            "the service does not answer as it should", hint="look at its log"
        ) from error


@contextmanager
def _client(folder: Path, patience: float) -> Iterator[httpx.Client]:
    with socket_path(folder) as path:
        transport = httpx.HTTPTransport(uds=path, verify=no_tls())
        with httpx.Client(transport=transport, timeout=patience) as client:
            yield client


def _error(answer: httpx.Response) -> EdgeError:
    try:
        refusal = msgspec.json.decode(answer.content, type=_Refusal)
    except msgspec.DecodeError:
        refusal = _Refusal(f"the service answered with {answer.status_code}")
    if refusal.needs is not None:
        return KeyLocked(refusal.message, needs=refusal.needs, hint=refusal.hint)
    kind = {_WRONG: WrongKey, _REFUSED: DecisionRefused}.get(answer.status_code, SecretError)
    return kind(refusal.message, hint=refusal.hint)
