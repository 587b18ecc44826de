"""HTTP that is none: what a client is told whose request can't even be read.

Owns the answers that no application gives, because there is no request to hand to one. Promises
that they are problem documents like all others, and that the log never holds a piece of what was
sent: it may be a patient's name.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any, Final

from aiohttp import hdrs, web

from edge.dicomweb.responses import REQUEST_ID, SERVER, problem
from edge.dicomweb.safety import safe_headers

__all__ = ["Protocol"]

log = logging.getLogger(__name__)

_DETAIL: Final = {
    400: "the request is not well-formed HTTP",
    504: "the answer took too long",
}


class Protocol(web.RequestHandler):
    """aiohttp's protocol of one connection, with error answers of our own.

    Args:
        server: Whose applications answer.
        head_seconds: From the connection, or the last answer, to the whole head of a request.
    """

    __slots__ = ()

    def __init__(self, server: web.Server, *, head_seconds: float = 75.0) -> None:
        # An access log would hold query strings.
        settings: dict[str, Any] = {"access_log": None}
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            # aiohttp counts it until the head is whole.
            keepalive_timeout=head_seconds,
            **settings,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp quotes what was sent in it
    ) -> web.StreamResponse:
        """Answer a request that could not be read, and close the connection.

        Raises:
            ConnectionError: An answer has begun already; it is broken off.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if isinstance(exc, UnicodeEncodeError):
            # Whatever is ours has answered its own errors: aiohttp would quote what was sent (an
            # expectation that it does not know), and that is no text.
            status = 400
        kind = type(exc).__name__ if exc is not None else ""
        hint = "a line of it is too long: put less into the URL" if kind == "LineTooLong" else ""
        answer = _refuse(request, status, _DETAIL.get(status, "the request met a defect"), hint)
        name = request[REQUEST_ID]
        log.info("[%s] unreadable request from %s: %d, %s", name, request.remote, status, kind)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; an error that comes past all applications (417) becomes a problem."""
        if isinstance(resp, web.HTTPException):
            resp = _refuse(request, resp.status, "the request expects what can't be met")
        return await super().finish_response(request, resp, start_time)


def _refuse(request: web.BaseRequest, status: int, detail: str, hint: str = "") -> web.Response:
    name = request[REQUEST_ID] = secrets.token_hex(8)
    headers = {"X-Request-ID": name, hdrs.SERVER: SERVER, **safe_headers()}
    return problem(request, status, detail, hint=hint, headers=headers)
