"""What every request passes: a name for it, who asks, and how errors become statuses.

Owns the one table from the ``EdgeError`` tree to HTTP. Promises that no request reaches a handler
without an identity that may do it, that every answer names its request, and that an answer which
fails in the middle is torn off, so that nobody takes a part for the whole. Logs never hold a query
string, the text of an unforeseen error or a UID: any of them may lead to a patient. A caller who
hangs up is no error.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from edge.access.acts import Act, Service
from edge.access.roles import Identity, act_of
from edge.dicom.uids import hide_uids
from edge.dicomweb.responses import NOTE, REQUEST_ID, SERVER, Refused, problem
from edge.dicomweb.sight import Sees, check_sight
from edge.errors import (
    AccessDenied,
    CloudError,
    CloudUnreachable,
    DecisionRefused,
    DeletionRefused,
    EdgeError,
    InstanceDeleted,
    InstanceNotFound,
    InvalidInstance,
    IssuerError,
    IssuerUnreachable,
    KeyUnavailable,
    NotYet,
    PixelError,
    PixelWorkersBusy,
    QueryError,
    StorageFull,
    TooManyAttempts,
    TooManyListeners,
    UpdateRefused,
    UserRefused,
)
from edge.pixels.turns import ASKER

__all__ = [
    "IDENTITY",
    "Authorise",
    "Witness",
    "access",
    "act_for",
    "errors",
    "finish_headers",
    "guarded_by",
    "where",
]

logger = logging.getLogger(__name__)

Authorise = Callable[[Mapping[str, str], str], Awaitable[Identity]]
"""Who sends these request headers, from which address; raises ``AccessDenied`` if nobody known."""

IDENTITY: Final = web.RequestKey("identity", Identity)
_GUARDED: Final = "_guarded_service"
_BEGUN: Final = web.RequestKey("begun", web.StreamResponse)

_ID_HEADER: Final = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_HUNG_UP: Final = 499
"""No status of HTTP's own; in logs it is what others write, too."""
_GONE: Final = "the client hung up"
_BEARER: Final = 'Bearer realm="edge"'
_BASIC: Final = 'Basic realm="edge", charset="UTF-8"'
_RETRY_AFTER_SECONDS: Final = 30
_PIXELS_AFTER_SECONDS: Final = 2
_AS_STORED: Final = 'as it is stored, it can be had with transfer-syntax="*" in Accept'
_ACTS: Final = {
    hdrs.METH_GET: Act.READ,
    hdrs.METH_HEAD: Act.READ,
    hdrs.METH_OPTIONS: Act.READ,
    hdrs.METH_POST: Act.STORE,
    hdrs.METH_DELETE: Act.DELETE,
}

_STATUS: Final[tuple[tuple[type[EdgeError], int], ...]] = (
    (QueryError, 400),
    (InvalidInstance, 400),
    (InstanceDeleted, 410),
    (InstanceNotFound, 404),
    (DecisionRefused, 409),
    (DeletionRefused, 409),
    (UserRefused, 409),
    (UpdateRefused, 409),
    (PixelWorkersBusy, 503),
    (PixelError, 406),
    (StorageFull, 507),
    (KeyUnavailable, 503),
    (TooManyListeners, 503),
    (CloudUnreachable, 503),
    (CloudError, 502),
    (IssuerUnreachable, 503),
    (IssuerError, 502),
)
"""The first class that fits; 500 if none does."""


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost: names the request, and turns every error into an answer."""
    sent = request.headers.get(_ID_HEADER, "")
    # It stands in every line of the log: a UID must not.
    is_fit = _ID.fullmatch(sent) and hide_uids(sent) == sent
    request[REQUEST_ID] = sent if is_fit else secrets.token_hex(8)
    response: web.StreamResponse
    note, began = "", time.monotonic()
    try:
        response = await handler(request)
        note = request.get(NOTE, "")
    except EdgeError as error:
        response = _answer(request, error)
        # What was searched for may name a patient.
        note = type(error).__name__ if isinstance(error, QueryError) else hide_uids(str(error))
    except web.HTTPException as error:
        response, note = _answer_of_aiohttp(request, error), error.reason
    except ConnectionError:
        # Nobody is there to read this answer; aiohttp finds that out, and says nothing of it.
        response, note = web.Response(status=_HUNG_UP, reason="Client Closed Request"), _GONE
    except asyncio.CancelledError:
        _log(request, _HUNG_UP, began, _GONE)
        raise
    except Exception as error:  # noqa: BLE001  (a defect becomes an answer, and a line in the log)
        response = problem(
            request, 500, "the request met a defect", hint="look for its id in the log"
        )
        note = where(error)
    if request.content.exception() is not None:
        # Nobody can tell where a body ends that can't be read: the client must not go on behind it.
        response.force_close()
    begun: web.StreamResponse | None = request.get(_BEGUN)
    torn = begun is not None and begun is not response
    if torn:
        if request.transport is not None:
            request.transport.abort()
        note += "; the answer was broken off"
    _log(request, response.status, began, note, torn=torn)
    return response if begun is None else begun


class Witness(Protocol):
    """Writes down what is asked for, and by whom; the audit, or a fake."""

    def refused(self, request: web.Request, identity: Identity | None, error: EdgeError) -> None:
        """Somebody who is not known, or may not, was turned away."""

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Have a request answered that may be."""


def access(
    authorise: Authorise,
    service: Service | None = None,
    witness: Witness | None = None,
    sees: Sees | None = None,
) -> Middleware:
    """Make the middleware that lets in who may; everything is behind it, errors of routing too.

    Args:
        authorise: Says who sends a request.
        service: What is behind it, as tokens are made for it; None: nothing that one is made for.
        witness: Sees everything that passes, and what does not.
        sees: Which studies are whose; None: who was narrowed to some sees none here.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        identity: Identity | None = None
        is_routed = request.match_info.http_exception is None
        try:
            identity = await authorise(request.headers, request.remote or "")
            act = act_for(request.method, request.match_info.handler)
            identity.enter(service, act)
            # What is not routed does nothing, and its answer is the same for everybody.
            if is_routed:
                identity.require(act)
                await check_sight(request, identity, act, sees)
        except (AccessDenied, InstanceNotFound) as error:
            if witness is not None:
                witness.refused(request, identity, error)
            raise
        request[IDENTITY] = identity
        # One token may be that of many workstations, and one address that of many people.
        ASKER.set(f"{identity.token_id or identity.name} {request.remote}")
        if witness is None or not is_routed:
            return await handler(request)
        return await witness.answer(request, handler)

    setattr(check, _GUARDED, service)
    return check


def guarded_by(middleware: object) -> Service | None:
    """The service that a middleware of `access` lets into; None if it is none of them."""
    service: Service | None = getattr(middleware, _GUARDED, None)
    return service


def act_for(method: str, handler: object) -> Act:
    """The act that a request is: what its handler says, or else its method.

    A method that is not in the table, and is routed all the same, is for who may everything.
    """
    return act_of(handler) or _ACTS.get(method) or Act.ADMINISTER


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """To be called when an answer begins (``on_response_prepare``)."""
    request[_BEGUN] = response
    headers = response.headers
    headers[_ID_HEADER] = request.get(REQUEST_ID, "")
    headers[hdrs.SERVER] = SERVER


def _answer(request: web.Request, error: EdgeError) -> web.Response:
    headers: dict[str, str] = {}
    if isinstance(error, Refused):
        status, headers = error.status, error.headers
    elif isinstance(error, TooManyAttempts):
        status, headers = 429, {hdrs.RETRY_AFTER: str(max(1, math.ceil(error.retry_after)))}
    elif isinstance(error, AccessDenied):
        status = 403 if error.known else 401
    else:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error, NotYet):
        headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(error.retry_after)))
    if status == 503:
        asked = error.retry_after if isinstance(error, CloudUnreachable) else None
        if isinstance(error, PixelWorkersBusy):
            asked = _PIXELS_AFTER_SECONDS
        headers[hdrs.RETRY_AFTER] = str(round(asked or _RETRY_AFTER_SECONDS))
    hint = error.hint
    if status == 406 and isinstance(error, PixelError):
        hint = hint or _AS_STORED
    response = problem(request, status, str(error), hint=hint, headers=headers)
    if status == 401:
        # A line for each: there are browsers that read no second challenge in one.
        for challenge in _challenges(request):
            response.headers.add(hdrs.WWW_AUTHENTICATE, challenge)
    return response


def _challenges(request: web.Request) -> Iterator[str]:
    """How somebody may say who they are (RFC 9110 11.6.1).

    That a proof is not valid is said (RFC 6750 3.1), and never why.

    Basic makes a browser ask who sits before it: right for an address that was typed, and for
    programs, but nothing that a page of somebody else's shall bring about.
    """
    scheme = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")[0]
    yield f'{_BEARER}, error="invalid_token"' if scheme.lower() == "bearer" else _BEARER
    destination = request.headers.get("Sec-Fetch-Dest", "document")
    if hdrs.ORIGIN not in request.headers and destination == "document":
        yield _BASIC


def _answer_of_aiohttp(request: web.Request, error: web.HTTPException) -> web.Response:
    """Errors of routing: there is no such resource, or no such method of it."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed: dict[str, str] = {
            hdrs.ALLOW: ", ".join(sorted({*error.allowed_methods, hdrs.METH_OPTIONS}))
        }
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=allowed)
        detail = f"this resource knows no {request.method}"
        return problem(request, error.status, detail, headers=allowed)
    if error.status == 404:
        return problem(
            request,
            404,
            "there is no such resource",
            hint="those of DICOMweb are below /dicom-web, as in PS3.18 10.1, with no slash at the"
            " end; those of /api/v1 are in /api/v1/openapi.json",
        )
    return problem(request, error.status, error.reason)


def _log(request: web.Request, status: int, began: float, note: str, *, torn: bool = False) -> None:
    """One line per request; the path as it stands in the table of routes, not as it was sent.

    Who reads leaves a line only at DEBUG; who stores or deletes always does. An answer that was
    torn off is worth a warning, whoever is to blame for its error.
    """
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else "of no such resource"
    is_read = _ACTS.get(request.method) is Act.READ
    level = (
        logging.DEBUG
        if (is_read and status < 400) or status == _HUNG_UP
        else logging.INFO
        if status < 500 and not torn
        else logging.WARNING
    )
    if logger.isEnabledFor(level):
        took = (time.monotonic() - began) * 1000
        name = request[REQUEST_ID]
        logger.log(
            level,
            "[%s] %s %s: %d, %.1f ms%s",
            name,
            request.method,
            path,
            status,
            took,
            note and f"; {note}",
        )


def where(error: BaseException) -> str:
    """An unforeseen error by its class and place; its text might name a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
