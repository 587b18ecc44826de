"""The admin API, described: an OpenAPI document made from its own routes (OpenAPI 3.1).

Owns the words that a handler says beside itself, and the document made of them. Promises that every
route is in it and nothing else, that schemas are derived from the types that answers are made of,
and that a handler which says nothing can't be mounted. The tests drive the API from the document.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec
from aiohttp import hdrs, web

import edge
from edge.access.roles import narrows

__all__ = ["Operation", "Problem", "operation", "operation_of", "serve_description"]

H = TypeVar("H", bound=Callable[..., object])

_MARK: Final = "_operation"
_JSON: Final = "application/json"
_IMPLIED: Final = frozenset({hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that every resource has."""
_REFUSALS: Final = {
    "400": "It can't be understood.",
    "401": "No token, or none that is valid.",
    "403": "The token's role may not do this.",
    "5XX": "The box can't do it now.",
}
_BODY_REFUSALS: Final = {
    "408": "It does not come, or not whole.",
    "413": "It is too long.",
}
_NOT_THERE: Final = "There is no such thing, or none that whoever asks may see."
_NOT_DONE: Final = "It can't be done as things are; nothing was changed."
_LETTERS: Final = re.compile(r"[^A-Za-z]")


class Problem(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    detail: str
    request_id: str
    type: Literal["about:blank"] = "about:blank"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a handler says of itself."""

    summary: str
    answer: Any
    query: type[msgspec.Struct] | None = None
    body: Any = None
    path: type[msgspec.Struct] | None = None
    media_types: Sequence[str] = (_JSON,)


def operation(
    summary: str,
    *,
    answer: Any,
    query: type[msgspec.Struct] | None = None,
    body: Any = None,
    path: type[msgspec.Struct] | None = None,
    media_types: Sequence[str] = (_JSON,),
) -> Callable[[H], H]:
    """Say what a handler does.

    Args:
        summary: One sentence.
        answer: Type of the JSON that it answers 200 with.
        query: Type of its parameters, each of which has a default; None if it takes none.
        body: Type of the JSON that it takes; None if it takes none.
        path: Type of what is named in its path; None if nothing is.
        media_types: Those that its answer can have.
    """

    def mark(handler: H) -> H:
        setattr(handler, _MARK, Operation(summary, answer, query, body, path, media_types))
        return handler

    return mark


def operation_of(handler: object) -> Operation | None:
    """What a handler said of itself."""
    said: Operation | None = getattr(handler, _MARK, None)
    return said


def serve_description(application: web.Application, prefix: str) -> None:
    """Answer ``/openapi.json`` with a description of all routes that there are by now, and itself.

    Args:
        application: The API.
        prefix: Where it will be mounted.

    Raises:
        LookupError: A handler does not say what it does.
    """

    @functools.cache
    def written() -> bytes:
        return msgspec.json.encode(_document(operations, prefix))

    @operation("This document.", answer=dict[str, Any])
    @narrows
    async def description(_: web.Request) -> web.Response:
        # Made when somebody asks: it is long, and no start of the service waits for it.
        body = await asyncio.to_thread(written)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: "application/json"})

    application.router.add_get("/openapi.json", description)
    operations = _operations(application)


def _operations(application: web.Application) -> dict[tuple[str, str], Operation]:
    """Path and method of every route, with what its handler says."""
    found = {}
    for route in application.router.routes():
        if route.method in _IMPLIED or route.resource is None:
            continue
        said = operation_of(route.handler)
        if said is None:
            raise LookupError(f"{route.handler} does not say what it does")
        found[route.resource.canonical, route.method] = said
    return found


def _document(operations: Mapping[tuple[str, str], Operation], prefix: str) -> dict[str, Any]:
    types = [Problem, *(said.answer for said in operations.values())]
    bodies = [said.body for said in operations.values() if said.body is not None]
    [problem, *schemas], components = msgspec.json.schema_components(
        [*types, *bodies], ref_template="#/components/schemas/{name}"
    )
    answers, taken = schemas[: len(operations)], iter(schemas[len(operations) :])
    paths: dict[str, dict[str, Any]] = {}
    for ((path, method), said), schema in zip(operations.items(), answers, strict=True):
        refusals = {
            status: _answer(description, problem, "application/problem+json")
            for status, description in _REFUSALS.items()
        }
        described: dict[str, Any] = {
            "summary": said.summary,
            "operationId": f"{method.lower()}{_LETTERS.sub('', path.title())}",
        }
        parameters = [
            *(_parameters(said.path, "path") if said.path is not None else ()),
            *(_parameters(said.query, "query") if said.query is not None else ()),
        ]
        if parameters:
            described["parameters"] = parameters
        if said.body is not None:
            described["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": next(taken)}},
            }
            for status, why in _BODY_REFUSALS.items():
                refusals[status] = _answer(why, problem, "application/problem+json")
        refusals["409"] = _answer(_NOT_DONE, problem, "application/problem+json")
        if said.path is not None:
            refusals["404"] = _answer(_NOT_THERE, problem, "application/problem+json")
        described["responses"] = {"200": _answer("Done.", schema, *said.media_types), **refusals}
        paths.setdefault(path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Edge cache", "version": edge.__version__},
        "servers": [{"url": prefix}],
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _parameters(fields: type[msgspec.Struct], where: str) -> list[dict[str, Any]]:
    """Every field as a parameter of the path or the query."""
    [_], components = msgspec.json.schema_components([fields])
    properties = components[fields.__name__]["properties"]
    return [
        {"name": name, "in": where, "required": where == "path", "schema": schema}
        for name, schema in properties.items()
    ]


def _answer(description: str, schema: Mapping[str, Any], *media_types: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"schema": {"type": "string"}, "required": True}},
        "content": {media_type: {"schema": schema} for media_type in media_types},
    }
