"""Requests signed with a token that must be asked for: ``Authorization: Bearer`` (RFC 6750 2.1).

Owns the token, in memory only. Promises that it is asked for once, however many requests wait for
it, and that those share an error, too; that it is given up shortly before its end, by a clock that
nobody sets; and that after a 401 a new one is tried once. A request whose body is a stream gets a
token first and is never sent again: its 401 comes out, and the next request has a new token.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

import httpx

from edge.cloud.replay import can_be_sent_again, let_go
from edge.cloud.token_endpoint import Token
from edge.errors import CloudError

__all__ = ["TokenAuth"]

_MARGIN = 60.0
"""Seconds before its end that a token is not used any more, or a fifth of its life."""


@dataclass(frozen=True, slots=True)
class _Held:
    token: Token
    until: float


class TokenAuth(httpx.Auth):
    """Signs with tokens.

    Args:
        fetch: Asks for a token; raises ``CloudError``.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Token]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._held: _Held | None = None
        self._answers = 0
        """How often the endpoint was asked to the end."""
        self._error: CloudError | None = None
        """What the last of its answers was, if not a token."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request, and sign it anew once if the token is not taken any more.

        Raises:
            CloudError: No token can be had; nothing of the request was sent.
        """
        held = await self._token()
        request.headers["Authorization"] = f"Bearer {held.token.value}"
        response = yield request
        if response.status_code != 401:
            return
        if self._held is held:  # else somebody was faster
            self._held = None
        if can_be_sent_again(request):
            await let_go(response)
            held = await self._token()
            request.headers["Authorization"] = f"Bearer {held.token.value}"
            yield request

    async def _token(self) -> _Held:
        if self._held is not None and self._clock() < self._held.until:
            return self._held
        answers = self._answers
        async with self._lock:
            if self._answers != answers:
                # Who waited shares what came, whatever it was.
                if self._error is not None:
                    raise copy.copy(self._error) from self._error
                if self._held is not None:
                    return self._held
            asked = self._clock()
            try:
                token = await self._fetch()
            except CloudError as error:
                self._answers, self._held, self._error = self._answers + 1, None, error
                raise
            until = asked + token.seconds - min(_MARGIN, token.seconds / 5)
            self._answers, self._held, self._error = self._answers + 1, _Held(token, until), None
            return self._held
