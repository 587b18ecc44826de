"""The bundle for support over the admin API: one file, for who may administer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from edge.access.acts import Act
from edge.access.roles import needs
from edge.admin.openapi import operation

__all__ = ["support_routes"]

_ZIP = "application/zip"


def support_routes(bundle: Callable[[], Awaitable[tuple[str, bytes]]]) -> list[web.RouteDef]:
    """``/support``.

    Args:
        bundle: Makes one: what it is called, and its content.
    """

    @operation(
        "A bundle for support: configuration without secrets, state, versions, log, findings.",
        answer=bytes,
        media_types=(_ZIP,),
    )
    @needs(Act.ADMINISTER)
    async def support(_: web.Request) -> web.Response:
        name, content = await bundle()
        headers = {
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"',
            hdrs.CACHE_CONTROL: "no-store",
        }
        return web.Response(body=content, content_type=_ZIP, headers=headers)

    return [web.get("/support", support)]
