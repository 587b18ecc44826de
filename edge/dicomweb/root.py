"""The HTTP service as one application: every door mounted, and what all their answers share.

Owns what is the same whatever was asked for: the name of the request, errors as problem documents,
the headers of safety, pages of other origins, compression. Promises it for paths that no door
knows, too. Opens no door by itself: each brings its own authorisation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from edge.dicomweb.compression import compression
from edge.dicomweb.cors import Cors
from edge.dicomweb.hosts import only_called
from edge.dicomweb.middleware import errors, finish_headers

__all__ = ["create_root"]

_SMALL_BODY: Final = 1024 * 1024
"""Of requests that are read whole; images never are."""


def create_root(
    doors: Mapping[str, web.Application],
    *,
    cors_origins: Sequence[str] = (),
    only_names: Collection[str] | None = None,
) -> web.Application:
    """Build the application that the port serves.

    Args:
        doors: Path -> the application that is mounted there.
        cors_origins: Whose pages may use the service from a browser.
        only_names: Under which it may be called, beside addresses; None if tokens protect it.
    """
    cors = Cors(cors_origins)
    middlewares: list[Middleware] = [errors, cors.preflight, compression]
    if only_names is not None:
        middlewares.insert(1, only_called(only_names))
    root = web.Application(middlewares=middlewares, client_max_size=_SMALL_BODY)
    root.on_response_prepare.append(finish_headers)
    root.on_response_prepare.append(cors.finish_headers)
    for path, door in doors.items():
        root.add_subapp(path, door)
    return root
