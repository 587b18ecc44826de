"""The page of a locked box: what it waits for, and where its passphrase is said.

Owns ``/``, its style sheet and ``/unlock``, and answers everything else with 503. Promises that a
guess costs its sender more and more time, that one is tried at a time, and that nothing but what
the box waits for is shown: no name of a patient, no version, no state. The page has no script. A
passphrase is chosen here only by who has the code that the console shows, lest a stranger in the
waiting room choose it.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from edge.access.codes import typed
from edge.access.throttle import Attempt, Limit, Throttle
from edge.admin.asking import form
from edge.admin.local_keys import Opening, Waiting
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
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,  # the other headers of safety are everybody's
    hdrs.CACHE_CONTROL: "no-store",
}
_STYLE: Final = """\
body { font: 18px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 12vh auto; padding: 0 1rem;
  color: #1b1b1b; background: #fafafa }
label { display: block; margin-top: 1rem }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem }
button { font: inherit; margin-top: 1rem; padding: .5rem 1.5rem }
.wrong { color: #a40000; font-weight: bold }
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/unlock.css">
{head}</head>
<body>
<h1>{title}</h1>
{body}</body>
</html>
"""
_ASK: Final = """\
<form method="post" action="/unlock" autocomplete="off">
<label>Passphrase
<input type="password" name="passphrase" required autofocus maxlength="1000"></label>
<button>Open</button>
</form>
"""
_CHOOSE: Final = """\
<p>Choose the passphrase that opens this box whenever it was switched off. Without it, and without
the recovery key, nothing in the box can ever be read.</p>
<form method="post" action="/unlock" autocomplete="off">
<label>Code, as the console of the box shows it
<input type="text" name="code" required autofocus maxlength="40"></label>
<label>New passphrase, of 16 characters or more
<input type="password" name="passphrase" required maxlength="1000"></label>
<label>The same again
<input type="password" name="again" required maxlength="1000"></label>
<button>Choose</button>
</form>
"""
_WORDS: Final = {
    Needs.NEW_PASSPHRASE: "Its passphrase is chosen on the machine itself: edge key unlock.",
    Needs.SERVER: "It opens by itself as soon as it reaches the server that keeps its key.",
    Needs.RECOVERY_KEY: "It is opened with its recovery key, on the machine itself.",
    Needs.ADMIN: "It is opened by its administrator, on the machine itself.",
}


class _Door:
    """The page, and what is sent from it."""

    def __init__(
        self,
        waiting: Callable[[], Waiting],
        opened: Callable[[Opening], Awaitable[None]],
        code: str,
        throttle: Throttle,
    ) -> None:
        self._waiting = waiting
        self._opened = opened
        self._code = typed(code)
        self._throttle = throttle
        self._turn = asyncio.Lock()
        self._queue = 0

    async def show(self, _: web.Request) -> web.Response:
        """The page."""
        return self._page("")

    async def style(self, _: web.Request) -> web.Response:
        """Its style sheet."""
        return web.Response(text=_STYLE, content_type="text/css", headers=_HEADERS)

    async def open(self, request: web.Request) -> web.Response:
        """Try what was sent."""
        if request.content_type != "application/x-www-form-urlencoded":
            return self._page("This is no form.", status=415)
        if (request.content_length or 0) > _MOST:
            return self._page("This is too long.", status=413)
        # Read before it takes a place: who sends nothing shall keep nobody from trying.
        said = await form(request, _MOST)
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
        now = self._waiting()
        raise KeyLocked(f"the box is locked: {now.why}", needs=now.needs or Needs.ADMIN)

    async def _try(self, remote: str, said: dict[str, str]) -> web.Response:
        needs = self._waiting().needs
        is_new = needs is Needs.NEW_PASSPHRASE and self._code != ""
        if not is_new and needs is not Needs.PASSPHRASE:
            return self._page("", status=409)
        try:
            attempt = self._throttle.log_in(_BOX, remote, ())
        except TooManyAttempts as error:
            words = f"Too many wrong tries. Wait {error.retry_after:.0f} seconds."
            return self._page(words, status=429, after=int(error.retry_after) + 1)
        code = typed(said.get("code", "")).encode()
        if is_new and not hmac.compare_digest(code, self._code.encode()):
            return _wrong(remote, self._page("The code is wrong.", status=403))
        if missing := _missing(said, is_new=is_new):
            attempt.take_back()
            return self._page(missing, status=400)
        return await self._opens(remote, said["passphrase"], attempt)

    async def _opens(self, remote: str, passphrase: str, attempt: Attempt) -> web.Response:
        try:
            await self._opened(Opening(passphrase=passphrase))
        except WrongKey:
            return _wrong(remote, self._page("The passphrase is wrong.", status=403))
        except EdgeError as error:
            attempt.take_back()
            return self._page(f"{error}. {error.hint}", status=400)
        attempt.succeeded()
        log.warning("opened over the web page, from %s", remote)
        return _answer("Opening", "<p>The box is being opened.</p>\n", again=_AGAIN_SECONDS)

    def _page(self, wrong: str, *, status: int = 200, after: int = 0) -> web.Response:
        now = self._waiting()
        body = f'<p class="wrong">{html.escape(wrong)}</p>\n' if wrong else ""
        if now.needs is Needs.PASSPHRASE:
            body += _ASK
        elif now.needs is Needs.NEW_PASSPHRASE and self._code:
            body += _CHOOSE
        elif now.needs is not None:
            body += f"<p>{_WORDS[now.needs]}</p>\n"
        return _answer("This box is locked", body, status=status, after=after)


def _answer(
    title: str, body: str, *, status: int = 200, after: int = 0, again: int = 0
) -> web.Response:
    head = f'<meta http-equiv="refresh" content="{again}; url=/">\n' if again else ""
    headers = dict(_HEADERS) | ({hdrs.RETRY_AFTER: str(after)} if after else {})
    text = _PAGE.format(title=title, head=head, body=body)
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


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
) -> list[web.RouteDef]:
    """``/``, ``/unlock`` and the rest.

    Args:
        waiting: What the box waits for.
        opened: Opens it.
        code: By which the passphrase may be chosen here; empty: it can't be.
        throttle: How fast one may guess.
    """
    door = _Door(waiting, opened, code, throttle or Throttle(_LIMITS))
    return [
        web.get("/", door.show),
        web.get("/unlock.css", door.style),
        web.post("/unlock", door.open),
        web.route("*", "/{rest:.*}", door.refuse),
    ]
