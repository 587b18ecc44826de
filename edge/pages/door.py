"""The web page's door: who looks at which page, in which language, and what they get.

Owns the routes of the table (`edge.pages.table`), of the files, and of the state in pieces, which a
script puts into the page as it changes. Promises that a page which somebody may not see is not made
for them, and that whoever is not logged in gets what says how one gets in, and no more. Lets in by
the same gate as the API, and never by a form: whatever a page does, it does by the API.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from edge.access.acts import Act, Service
from edge.access.gate import Gate
from edge.access.roles import Identity, needs
from edge.access.sessions import UNATTENDED, Session
from edge.errors import AccessDenied, EdgeError
from edge.pages.page import Group, Means, Page, Theme, Visit
from edge.pages.resources import Resources, resources
from edge.pages.state import told
from edge.pages.table import NOW, PAGES, WELCOME
from edge.pages.words import LANGUAGES, chosen

__all__ = ["Pages"]

log = logging.getLogger(__name__)

_HTML: Final = "text/html"
_PROBLEM: Final = "application/problem+json"
_FOREVER: Final = "public, max-age=31536000, immutable"
_LANGUAGE: Final = "edge-language"
_THEME: Final = "edge-theme"
_PARTS: Final = ("head", "now")
"""Pieces of the state: templates of their own."""
_FOR_PROGRAMS: Final = ("/api/", "/dicom-web", "/wado", "/changefeed", "/login", "/logout")
"""Their errors are documents for programs, whoever looks."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Who asks."""

    identity: Identity | None = None
    session: Session | None = None
    is_limited: bool = False

    @property
    def display_name(self) -> str:
        """What others know them by; empty if nothing says so."""
        return "" if self.session is None else self.session.display_name

    @property
    def who(self) -> str:
        """How far they are in."""
        if self.is_limited:
            return "limited"
        return "nobody" if self.identity is None else "somebody"


Refused = Callable[[web.Request, Identity | None, EdgeError], None]
"""Hears of a request, of who made it if that is known, and why it was turned away."""


class Pages:
    """All pages.

    Args:
        gate: Knows who asks.
        means: What pages may ask.
        policy: Name and value of the header that says what a page may do (`edge.dicomweb.safety`).
        refused: Writes down whose proof is wrong, or who may not.
        pages: The table.
    """

    def __init__(
        self,
        gate: Gate,
        means: Means,
        policy: tuple[str, str],
        refused: Refused,
        pages: Sequence[Page] = PAGES,
    ) -> None:
        self._gate = gate
        self._means = means
        self._policy = dict([policy])
        self._refused = refused
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """Every page, the files and the pieces."""
        found = [web.get(page.path, self._handler(page)) for page in self._pages]
        found.append(web.get("/page/static/{tree}/{name:.+}", self._file))
        found.append(web.get("/page/state", self._handler_of_state()))
        return found

    async def face(self, request: web.Request, template: str, values: Mapping[str, object]) -> str:
        """A page of another door, by its template, in the language of who looks."""
        made = await self._resources()
        session = await self._gate.session(request.headers)
        # Whoever came by a link, or was narrowed to images, is led to no page of ours.
        has_pages = session is None or session.scope.is_for(Service.ADMIN)
        until = session.emergency_until if session is not None and session.emergency else None
        values = {**values, "has_pages": has_pages, "emergency_until": until}
        return made.render(template, self._visit(request, _Known(), made).words, values)

    @web.middleware
    async def faces(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Outside of everything: an error that a person's browser went to becomes a page."""
        response = await handler(request)
        if (
            isinstance(response, web.Response)
            and not response.prepared
            and response.content_type == _PROBLEM
            and _is_navigation(request)
            and not request.path.startswith(_FOR_PROGRAMS)
        ):
            return await self._error(request, response)
        return response

    # Pages ----------------------------------------------------------------------------------------

    def _handler(self, page: Page) -> Handler:
        async def show(request: web.Request) -> web.StreamResponse:
            if page.act is None:
                known = await self._known(request)
                return await self._page(page, request, known)
            try:
                known = await self._let_in(request, page.act)
            except AccessDenied as error:
                if await self._is_to_log_in(request, error):
                    return _to_welcome(request)
                raise
            return await self._page(page, request, known)

        return show if page.act is None else needs(page.act)(show)

    def _handler_of_state(self) -> Handler:
        async def state(request: web.Request) -> web.StreamResponse:
            """The pieces that were asked for, as they are now."""
            known = await self._let_in(request, Act.READ)
            asked = [one for one in request.query.get("parts", "").split(",") if one in _PARTS]
            made = await self._resources()
            visit = self._visit(request, known, made)
            values = await self._values_of_state(visit)
            pieces = {
                one: made.render(f"parts/{one}.html", visit.words, values | {"visit": visit})
                for one in asked
            }
            return web.Response(
                body=msgspec.json.encode(pieces),
                content_type="application/json",
                headers={hdrs.CACHE_CONTROL: "no-store"},
            )

        return needs(Act.READ)(state)

    async def _page(
        self,
        page: Page,
        request: web.Request,
        known: _Known,
        values: dict[str, Any] | None = None,
        status: int = 200,
    ) -> web.Response:
        made = await self._resources()
        visit = self._visit(request, known, made)
        filled = dict(await page.fill(visit)) | (values or {})
        is_bare = page.is_bare or known.identity is None
        if not is_bare:
            filled |= await self._values_of_state(visit)
        text = made.render(
            f"{page.name}.html",
            visit.words,
            {
                "page": page,
                "visit": visit,
                "box": self._means.config.appliance.name,
                "is_lab": self._means.config.appliance.lab,
                "is_bare": is_bare,
                "who": known.who,
                "menu": [] if is_bare else self._menu(visit),
                "scripts": self._scripts(made, page, visit),
                "own_style": self._style(made, page),
                "languages": LANGUAGES,
            }
            | filled,
        )
        return web.Response(
            text=text,
            status=status,
            content_type=_HTML,
            headers=self._policy
            | {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_LANGUAGE: visit.words.language},
        )

    async def _values_of_state(self, visit: Visit) -> dict[str, Any]:
        status = await self._means.live.status()
        temperature = await asyncio.to_thread(self._means.temperature)
        return {"state": told(status, visit, temperature)}

    def _menu(self, visit: Visit) -> list[list[Page]]:
        """What they may see, in its groups."""
        groups = [group for group in Group if group]
        allowed = [page for page in self._pages if page.act is None or visit.may(page.act)]
        found = [[page for page in allowed if page.group is group] for group in groups]
        return [group for group in found if group]

    @staticmethod
    def _scripts(made: Resources, page: Page, visit: Visit) -> list[str]:
        """The page's own first, then what that wants to have soon."""
        own = f"js/{page.name}.js"
        names = made.tree.modules(own if own in made.tree.files else "js/layout.js")
        names.append(f"words/{visit.words.language}.js")
        return [made.tree.url(name) for name in names]

    @staticmethod
    def _style(made: Resources, page: Page) -> str:
        own = f"{page.name}.css"
        return made.tree.url(own) if own in made.tree.files else ""

    async def _error(self, request: web.Request, response: web.Response) -> web.Response:
        said: dict[str, Any] = msgspec.json.decode(bytes(response.body))  # type: ignore[arg-type]
        try:
            known = await self._known(request)
            page = Page(request.path, "error", said["title"], None, is_bare=known.identity is None)
            values = {"problem": {"detail": "", "hint": "", "request_id": ""} | said}
            shown = await self._page(page, request, known, values, response.status)
        except EdgeError as error:
            log.warning("an error could not be shown as a page: %s", error)
            return response
        for name in (hdrs.RETRY_AFTER, hdrs.WWW_AUTHENTICATE):
            for value in response.headers.getall(name, []):
                if not value.startswith("Basic"):
                    shown.headers.add(name, value)
        return shown

    # Who asks -------------------------------------------------------------------------------------

    async def _let_in(self, request: web.Request, act: Act) -> _Known:
        """Who asks for what is not for everybody; that somebody may not have it is recorded."""
        identity = await self._identity(request)
        try:
            _require(identity, act)
        except AccessDenied as error:
            self._refused(request, identity, error)
            raise
        return _Known(identity, await self._gate.session(request.headers))

    async def _known(self, request: web.Request) -> _Known:
        """Who asks, if that is anybody who may look at something; nobody is turned away."""
        session = await self._gate.session(request.headers)
        if session is not None and session.is_link:
            return _Known()
        try:
            identity = await self._identity(request)
            _require(identity, Act.READ)
        except AccessDenied:
            is_limited = session is not None and session.is_limited
            return _Known(session=None if is_limited else session, is_limited=is_limited)
        return _Known(identity, session)

    async def _identity(self, request: web.Request) -> Identity:
        """Whose proof it is; that one is wrong is recorded, whatever was asked for with it."""
        try:
            return await self._gate.authorise(request.headers, request.remote or "")
        except AccessDenied as error:
            # Whoever comes without anything is led to where one logs in, and is nobody yet.
            if hdrs.AUTHORIZATION in request.headers:
                self._refused(request, None, error)
            raise

    async def _is_to_log_in(self, request: web.Request, error: AccessDenied) -> bool:
        """Whether logging in, or proving more, would help."""
        if not error.known:
            return hdrs.AUTHORIZATION not in request.headers
        session = await self._gate.session(request.headers)
        return session is not None and session.is_limited

    # What it is made of ---------------------------------------------------------------------------

    async def _resources(self) -> Resources:
        return await asyncio.to_thread(resources)

    def _visit(self, request: web.Request, known: _Known, made: Resources) -> Visit:
        cookies = request.cookies
        language = chosen(
            cookies.get(_LANGUAGE, ""),
            request.headers.get(hdrs.ACCEPT_LANGUAGE, ""),
            self._means.config.page.language,
        )
        theme = cookies.get(_THEME, "")
        return Visit(
            request,
            self._means,
            made.words[language],
            Theme(theme) if theme in set(Theme) else Theme.AUTO,
            known.identity,
            known.display_name,
            known.session,
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        tree = (await self._resources()).tree
        file = tree.files.get(request.match_info["name"])
        if file is None or request.match_info["tree"] != tree.name:
            raise web.HTTPNotFound
        headers = {
            hdrs.CONTENT_TYPE: file.media_type,
            hdrs.CACHE_CONTROL: _FOREVER,
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
        }
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(
                body=file.gzipped, headers=headers | {hdrs.CONTENT_ENCODING: "gzip"}
            )
        return web.Response(body=file.body, headers=headers)


def _require(identity: Identity, act: Act) -> None:
    identity.enter(Service.ADMIN)
    identity.require(act)


def _to_welcome(request: web.Request) -> web.Response:
    """To where one logs in, and back from there."""
    place = WELCOME.path
    if request.path != NOW.path:
        place += f"?to={quote(request.path)}"
    return web.Response(status=303, headers={hdrs.LOCATION: place, hdrs.CACHE_CONTROL: "no-store"})


def _is_navigation(request: web.Request) -> bool:
    """Whether a person's browser goes there, rather than a script of a page or a program."""
    if UNATTENDED in request.headers or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        return False
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" or (mode is None and _HTML in request.headers.get(hdrs.ACCEPT, ""))
