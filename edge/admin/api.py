"""What monitors and people ask about the box itself.

``/healthz`` says that the process lives, ``/readyz`` that it takes and gives images; both are open,
and say nothing more. ``/api/v1/…`` is behind authorisation.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from edge.access.acts import Act
from edge.access.roles import Identity, narrows
from edge.admin.asking import refuse_bodies
from edge.admin.openapi import operation, serve_description
from edge.cache.status import Parts, Status

__all__ = ["create_application", "health_routes"]


def health_routes(parts: Callable[[], Parts]) -> list[web.RouteDef]:
    """``/healthz`` and ``/readyz``.

    Args:
        parts: Tells the state of every part.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        # Why is for who is let in: it names people, servers and files.
        states = {name: state.partition(":")[0] for name, state in parts().items()}
        ready = all(state == "running" for state in states.values())
        return web.json_response({"ready": ready, "parts": states}, status=200 if ready else 503)

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


def create_application(
    *,
    status: Callable[[], Awaitable[Status]],
    identity: Callable[[web.Request], Identity],
    middlewares: Sequence[Middleware],
    routes: Sequence[web.RouteDef] = (),
) -> web.Application:
    """Build the application that is mounted at ``/api/v1``.

    Args:
        status: Reads the state of the box.
        identity: Who asks.
        middlewares: Those that let in who may, and turn errors into answers.
        routes: Of the other parts of the API.
    """

    @operation("The state of the box.", answer=_status_document())
    @narrows
    async def get_status(request: web.Request) -> web.Response:
        found = await status()
        if identity(request).scope_for(Act.READ).studies_from:
            # Which studies wait is not for who may see those of some senders alone.
            found = replace(found, line=replace(found.line, studies=()))
        if not identity(request).may(Act.ADMINISTER):
            found = found.for_others()
        return web.json_response(found.as_json())

    application = web.Application(middlewares=[*middlewares, refuse_bodies])
    application.add_routes([web.get("/status", get_status), *routes])
    serve_description(application, "/api/v1")
    return application


def _status_document() -> type[Any]:
    """The type of ``Status.as_json``, for the description."""
    fields = typing.get_type_hints(Status)
    numbers = typing.get_type_hints(fields["summary"])
    said = (
        "capacity_bytes refusal drop_folder archives line backups trash_until prefetch procedures"
        " commitments worklist tokens authorities certificates lost_secrets cages found audit"
        " emergencies machine update disk_key_unseen"
    ).split()
    plain = {name: fields[name] for name in said}
    return msgspec.defstruct(
        "Status",
        {"sentence": str, **numbers, **plain, "running": bool, "parts": dict[str, str]}.items(),
        forbid_unknown_fields=True,
    )
