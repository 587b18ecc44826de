"""Under which names the service may be called, where it asks for no token (RFC 9110 7.2).

Owns the one defence of a service without tokens against web pages: a name of theirs may be made to
lead to the box (DNS rebinding), and a browser then takes the box for their own. An address can't be
made to, nor can the box's own names. Never looks at anything but Host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edge.dicomweb.responses import Refused

__all__ = ["only_called"]

_PORT = re.compile(r":[0-9]*$")


def only_called(names: Collection[str]) -> Middleware:
    """Make the middleware that refuses requests to other names with 421.

    Args:
        names: Of the box; addresses and ``localhost`` need not be among them.
    """
    known = {name.lower() for name in names} | {"localhost"}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = _PORT.sub("", request.host).lower().rstrip(".")
        if name not in known and not _is_address(name):
            raise Refused(
                421,
                "the box is not called by this name",
                hint="call it by its address, or by the name that it is configured with",
            )
        return await handler(request)

    return check


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
