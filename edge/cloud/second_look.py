"""A second look at an archive when the first error does not say what a person must do.

Two of them don't: a certificate that is not valid now (is it old, or is our clock wrong?), and a
connection that is cut over TLS 1.3, where the word that our client certificate is refused may be
lost behind it. Promises to look only then, to send no credentials, and never to fail by itself.
"""

from __future__ import annotations

import contextlib
import ssl
import time

import httpx

from edge.cloud.clock import words_of_look
from edge.cloud.knock import Knock, look_at
from edge.cloud.route import Route
from edge.cloud.words import causes_of, is_about_time, is_of_tls_for_good, where_of, words_for
from edge.errors import CloudUnreachable

__all__ = ["second_look"]

_CUT = httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError


async def second_look(
    error: CloudUnreachable, archive: str, route: Route, *, patience: float
) -> CloudUnreachable:
    """The error in better words, its cause set; the same if there are none."""
    if is_about_time(error):
        look = await look_at(route, patience=patience)
        if words := words_of_look(look, where_of(route.url), time.time()):
            return _better(words, archive, error)
    elif route.encrypted and any(isinstance(cause, _CUT) for cause in causes_of(error)):
        refusal = await _refusal(route, patience)
        if refusal is not None:
            return _better(words_for(refusal, route.url, route.proxy), archive, refusal)
    return error


def _better(words: tuple[str, str], archive: str, cause: Exception) -> CloudUnreachable:
    better = CloudUnreachable(f"archive {archive}: {words[0]}", hint=words[1])
    better.__cause__ = cause
    return better


async def _refusal(route: Route, patience: float) -> ssl.SSLError | None:
    """The alert by which the archive refuses our certificate, or the want of one."""
    with contextlib.suppress(httpx.HTTPError, OSError, ValueError):
        async with Knock(route, patience=patience) as knock:
            await knock.connect(await knock.resolve())
            if route.proxy is not None:
                await knock.tunnel()
            try:
                await knock.secure(route.context())
                await knock.stay()
            except ssl.SSLError as error:
                return error if is_of_tls_for_good(error) else None
    return None
