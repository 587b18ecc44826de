"""The HTTP service as one application: every door mounted, and what all their answers share.

Owns what is the same whatever was asked for: the name of the request, errors as problem documents,
the headers of safety, pages of other origins and what they forge, compression. Promises it for
paths that no door knows, too. Opens no door by itself: each brings its own authorisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from edge.dicomweb.compression import compression
from edge.dicomweb.cors import Cors
from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.middleware import errors, finish_headers
from edge.dicomweb.origins import Origins
from edge.dicomweb.safety import Safety

__all__ = ["create_root"]

_SMALL_BODY: Final = 1024 * 1024
"""Of requests that are read whole; images never are."""


def create_root(
    doors: Mapping[str, web.Application],
    *,
    cors_origins: Sequence[str] = (),
    names: OwnNames | None = None,
    is_open: bool = False,
    strict_transport: bool = False,
    outermost: Middleware | None = None,
) -> web.Application:
    """Build the application that the port serves.

    Args:
        doors: Path -> the application that is mounted there.
        cors_origins: Whose pages may use the service from a browser.
        names: Of the box, beside its addresses.
        is_open: Nobody is asked who they are (a laboratory).
        strict_transport: See `Safety`.
        outermost: Sees every answer, errors included, before it goes.
    """
    cors, safety = Cors(cors_origins), Safety(strict_transport=strict_transport)
    origins = Origins(names or OwnNames(()), cors_origins, is_open=is_open)
    root = web.Application(
        middlewares=[
            *([] if outermost is None else [outermost]),
            errors,
            origins.check,
            cors.preflight,
            compression,
        ],
        client_max_size=_SMALL_BODY,
    )
    for finish in (finish_headers, safety.finish_headers, cors.finish_headers):
        root.on_response_prepare.append(finish)
    for path, door in doors.items():
        root.add_subapp(path, door)
    return root
