"""The page of a locked box: what it waits for, and where its passphrase is said.

Owns ``/``, its style sheet and mark, and ``/unlock``, and answers all else with 503. Promises that
a guess costs its sender more and more time, that one is tried at a time, and that nothing but what
the box waits for is shown: no name of a patient, no version, no state. The page has no script
(`unlocking_page`). A passphrase is chosen here only by who has the code that the console shows,
lest a stranger in the waiting room choose it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from edge.access.codes import typed
from edge.access.throttle import Attempt, Limit, Throttle
from edge.admin.asking import STRANGERS_SECONDS, form
from edge.admin.local_keys import Opening, Waiting
from edge.admin.unlocking_page import MARK, STYLE, ask, choose, opening, waits
from edge.errors import EdgeError, KeyLocked, Needs, TooManyAttempts, WrongKey

__all__ = ["unlocking_routes"]

log = logging.getLogger(__name__)

_MOST: Final = 8 * 1024
"""Bytes of a form."""
_MOST_WAITING: Final = 4
_RETRY_AFTER: Final = 30
_AGAIN_SECONDS: Final = 5
_BOX: Final = "box"
_LIMITS: Final = {
    # All together can't be made to wait for long, or a stranger could keep the page from everybody.
    "name": Limit(free=20, most_seconds=10.0),
    "address": Limit(free=3),
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,  # the other headers of safety are everybody's
    hdrs.CACHE_CONTROL: "no-store",
}


class _Door:
    """The page, and what is sent from it."""

    def __init__(
        self,
        waiting: Callable[[], Waiting],
        opened: Callable[[Opening], Awaitable[None]],
        code: str,
        throttle: Throttle,
        wrong: Callable[[str], None],
    ) -> None:
        self._waiting = waiting
        self._opened = opened
        self._code = typed(code)
        self._throttle = throttle
        self._wrong = wrong
        self._turn = asyncio.Lock()
        self._queue = 0

    async def show(self, _: web.Request) -> web.Response:
        """The page."""
        return self._page("")

    async def style(self, _: web.Request) -> web.Response:
        """Its style sheet."""
        return web.Response(text=STYLE, content_type="text/css", headers=_HEADERS)

    async def mark(self, _: web.Request) -> web.Response:
        """What a browser shows beside its title."""
        return web.Response(text=MARK, content_type="image/svg+xml", headers=_HEADERS)

    async def open(self, request: web.Request) -> web.Response:
        """Try what was sent."""
        if request.content_type != "application/x-www-form-urlencoded":
            return self._page("This is no form.", status=415)
        if (request.content_length or 0) > _MOST:
            return self._page("This is too long.", status=413)
        # Read before it takes a place: who sends nothing shall keep nobody from trying.
        said = await form(request, _MOST, seconds=STRANGERS_SECONDS)
        if self._queue >= _MOST_WAITING:
            return self._page("Others are trying. Wait a little.", status=429, after=_AGAIN_SECONDS)
        self._queue += 1
        try:
            async with self._turn:
                return await self._try(request.remote or "", said)
        finally:
            self._queue -= 1

    async def refuse(self, request: web.Request) -> web.Response:
        """Whatever else is asked for."""
        del request
        needs = self._waiting().needs or Needs.ADMIN
        # Why would name whoever locked it, or the servers that it asks.
        waits = "somebody must open it" if needs is Needs.ADMIN else f"it waits for its {needs}"
        raise KeyLocked(f"the box is locked: {waits}", needs=needs)

    async def _try(self, remote: str, said: dict[str, str]) -> web.Response:
        needs = self._waiting().needs
        is_new = needs is Needs.NEW_PASSPHRASE and self._code != ""
        if not is_new and needs is not Needs.PASSPHRASE:
            return self._page("", status=409)
        try:
            attempt = self._throttle.log_in(_BOX, remote, ())
        except TooManyAttempts as error:
            seconds = max(1, math.ceil(error.retry_after))
            words = f"Too many wrong tries. Wait {seconds} second{'s' if seconds > 1 else ''}."
            return self._page(words, status=429, after=seconds)
        code = typed(said.get("code", "")).encode()
        if is_new and not hmac.compare_digest(code, self._code.encode()):
            self._wrong(remote)
            return _wrong(remote, self._page("The code is wrong.", status=403))
        if missing := _missing(said, is_new=is_new):
            attempt.take_back()
            return self._page(missing, status=400)
        return await self._opens(remote, said["passphrase"], attempt)

    async def _opens(self, remote: str, passphrase: str, attempt: Attempt) -> web.Response:
        try:
            await self._opened(Opening(passphrase=passphrase, address=remote))
        except WrongKey:
            return _wrong(remote, self._page("The passphrase is wrong.", status=403))
        except EdgeError as error:
            attempt.take_back()
            return self._page(f"{error}. {error.hint}", status=400)
        attempt.succeeded()
        log.warning("opened over the web page, from %s", remote)
        return _answer(opening())

    def _page(self, told: str, *, status: int = 200, after: int = 0) -> web.Response:
        now = self._waiting()
        if now.needs is Needs.PASSPHRASE:
            page = ask(told)
        elif now.needs is Needs.NEW_PASSPHRASE and self._code:
            page = choose(told)
        else:
            page = waits(now.needs, told)
        return _answer(page, status=status, after=after)


def _answer(page: str, *, status: int = 200, after: int = 0) -> web.Response:
    headers = dict(_HEADERS) | ({hdrs.RETRY_AFTER: str(after)} if after else {})
    return web.Response(text=page, content_type="text/html", status=status, headers=headers)


def _wrong(remote: str, answer: web.Response) -> web.Response:
    log.warning("a wrong try to open the box, from %s", remote)
    return answer


def _missing(form: dict[str, str], *, is_new: bool) -> str:
    """What a form lacks; empty if nothing."""
    if is_new and form.get("passphrase") != form.get("again"):
        return "The two passphrases are not the same."
    return "" if form.get("passphrase") else "There is no passphrase in it."


def unlocking_routes(
    waiting: Callable[[], Waiting],
    opened: Callable[[Opening], Awaitable[None]],
    *,
    code: str,
    throttle: Throttle | None = None,
    wrong: Callable[[str], None] = lambda _: None,
) -> list[web.RouteDef]:
    """``/``, ``/unlock`` and the rest.

    Args:
        waiting: What the box waits for.
        opened: Opens it.
        code: By which the passphrase may be chosen here; empty: it can't be.
        throttle: How fast one may guess.
        wrong: Hears from where a wrong code came; of a wrong passphrase ``opened`` knows.
    """
    door = _Door(waiting, opened, code, throttle or Throttle(_LIMITS), wrong)
    return [
        web.get("/", door.show),
        web.get("/unlock.css", door.style),
        web.get("/unlock.svg", door.mark),
        web.post("/unlock", door.open),
        web.route("*", "/{rest:.*}", door.refuse),
    ]
