"""``python -m tests.bench.unchecked serve …``: the edge without its checks of access, to compare.

``http.auth = "none"`` and ``dimse.unknown_peers = "accept"`` are the product's own words for that,
and leave some in: strangers may only store, roles and origins are looked at. Here nothing is; what
else the product does for safety, such as its audit and its headers, this does too.
"""

from __future__ import annotations

import sys

from aiohttp import web

from edge.__main__ import main
from edge.access.roles import Identity
from edge.dicomweb import middleware
from edge.dicomweb.origins import Origins
from edge.dimse.peers import Caller, Peers

_MAY = frozenset({"store", "query", "retrieve", "commit", "worklist"})


def _leave_out() -> None:
    @web.middleware
    async def pass_by(_: Origins, request: web.Request, handler) -> web.StreamResponse:
        return await handler(request)

    async def identify(_: Peers, *, calling: str, called: str, host: str, **__: object) -> Caller:
        return Caller(calling, host, called, _MAY)

    def nothing(*_: object) -> None:
        """Whoever it is may do it."""

    async def see(*_: object) -> None:
        """Whoever it is may see it."""

    Origins.check = pass_by
    Peers.identify = identify
    Identity.enter = Identity.require = nothing
    middleware.check_sight = see


if __name__ == "__main__":
    _leave_out()
    sys.exit(main())
