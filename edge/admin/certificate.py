"""The certificate of the box's own authority, for whoever shall trust it.

Open, for it is needed before anybody can know whom to trust, and holds nothing that each handshake
does not. That is also why it alone proves nothing: its fingerprint is compared with what ``edge
status`` and ``edge tls show`` say at the box itself.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web

__all__ = ["certificate_routes"]


def certificate_routes(authority: Callable[[], bytes]) -> list[web.RouteDef]:
    """``/ca.crt``.

    Args:
        authority: Its certificate in PEM, as of now; empty if the box has none of its own.
    """

    async def certificate(_: web.Request) -> web.Response:
        if not (pem := authority()):
            raise web.HTTPNotFound
        return web.Response(
            body=pem,
            content_type="application/x-x509-ca-cert",
            headers={hdrs.CONTENT_DISPOSITION: 'attachment; filename="ca.crt"'},
        )

    return [web.get("/ca.crt", certificate)]
