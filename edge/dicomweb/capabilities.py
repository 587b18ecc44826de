"""Retrieve Capabilities: what this service can do, as its table of routes has it (PS3.18 8.9, H).

Owns ``OPTIONS`` of every resource, and ``/dicom-web/``. Promises that the description holds every
route and nothing else: it is read from the router, and from what each handler says beside itself
(``transactions``). It is a WADL document, or the same tree as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec
from aiohttp import hdrs, web

from edge.access.roles import narrows
from edge.dicomweb.negotiation import Offer, accepted_by, choose
from edge.dicomweb.resources import base_url
from edge.dicomweb.responses import JSON
from edge.dicomweb.transactions import Transaction, of_handler

__all__ = ["WADL", "Capabilities"]

WADL: Final = "application/vnd.sun.wadl+xml"

_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_SCHEMA = "http://www.w3.org/2001/XMLSchema"
_OFFERS = (Offer(WADL), Offer("application/xml"), Offer(JSON))
_IMPLIED = frozenset({hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that every resource has, and that the description leaves out (PS3.18 H)."""


@dataclass(slots=True)
class _Node:
    """A segment of the tree of resources."""

    path: str
    methods: dict[str, Transaction] = field(default_factory=dict)
    """Those that are described."""
    allow: set[str] = field(default_factory=set)
    """All that it has."""
    children: dict[str, _Node] = field(default_factory=dict)

    def descend(self, segments: list[str]) -> _Node:
        """The node at the end of a path below this one, made if it is not there."""
        node = self
        for segment in segments:
            node = node.children.setdefault(segment, _Node(segment))
        return node


class Capabilities:
    """The handlers of the Retrieve Capabilities transaction.

    Args:
        application: Whose routes are described.
    """

    def __init__(self, application: web.Application) -> None:
        self._application = application
        self._root = _Node("")

    def mount(self) -> None:
        """Answer OPTIONS of every resource that there is by now, and describe them.

        Raises:
            LookupError: A handler does not say what it does.
        """
        router = self._application.router
        for resource in router.resources():
            node = self._node(resource.canonical)
            for route in resource:
                node.allow.add(route.method)
                if route.method not in _IMPLIED:
                    node.methods[route.method] = of_handler(route.handler)
        for path in ("", "/"):
            router.add_get(path, self.whole)
            self._root.allow |= {hdrs.METH_GET, hdrs.METH_HEAD}
        # Several entries of the router may be one resource.
        first: dict[str, web.AbstractResource] = {}
        for resource in router.resources():
            first.setdefault(resource.canonical, resource)
        for resource in first.values():
            if isinstance(resource, web.Resource):
                resource.add_route(hdrs.METH_OPTIONS, self.of_resource)

    @narrows
    async def whole(self, request: web.Request) -> web.Response:
        """``GET /``: the whole service."""
        return self._describe(request, self._root, "")

    @narrows
    async def of_resource(self, request: web.Request) -> web.Response:
        """``OPTIONS``: a resource and those below it; at the root, the whole service."""
        resource = request.match_info.route.resource
        assert resource is not None
        mounted = self._application.router["studies"].canonical.removesuffix("/studies")
        path = resource.canonical.removeprefix(mounted).strip("/")
        node = self._node(path)
        response = self._describe(request, node, path)
        response.headers[hdrs.ALLOW] = ", ".join(sorted(node.allow | {hdrs.METH_OPTIONS}))
        return response

    def _node(self, path: str) -> _Node:
        return self._root.descend(_segments(path))

    def _describe(self, request: web.Request, node: _Node, path: str) -> web.Response:
        offer = choose(accepted_by(request), _OFFERS)
        base = f"{base_url(request)}/"
        tree = _tree(node, path)
        body = _json(base, tree) if offer.media_type == JSON else _wadl(base, tree)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: offer.media_type})


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _tree(node: _Node, path: str) -> dict[str, Any]:
    """A resource element and what it holds, as names, attributes and lists of elements."""
    template = [
        {"name": segment[1:-1], "style": "template", "type": "xs:string", "required": "true"}
        for segment in _segments(path)
        if segment.startswith("{")
    ]
    return {
        "path": path,
        "param": template,
        "method": [_method(name, said) for name, said in sorted(node.methods.items())],
        "resource": [_tree(child, child.path) for _, child in sorted(node.children.items())],
    }


def _method(name: str, said: Transaction) -> dict[str, Any]:
    request: list[dict[str, Any]] = [
        {
            "name": parameter.name,
            "style": "query",
            "type": parameter.type,
            "option": [{"value": value} for value in parameter.options],
        }
        for parameter in said.parameters
    ]
    if said.produces:
        accept = [{"value": media_type} for media_type in said.produces]
        request += [
            {"name": name, "style": style, "default": said.produces[0], "option": accept}
            for name, style in (("accept", "query"), ("Accept", "header"))
        ]
    return {
        "name": name,
        "title": f"{said.name} (PS3.18 {said.section})",
        "request": [
            {
                "param": request,
                "representation": [{"mediaType": media_type} for media_type in said.consumes],
            }
        ],
        "response": [
            {"representation": [{"mediaType": media_type} for media_type in said.produces]}
        ],
    }


def _json(base: str, tree: dict[str, Any]) -> bytes:
    """Lists that are empty are left out."""
    return msgspec.json.encode({"resources": {"base": base, "resource": [_pruned(tree)]}})


def _pruned(element: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [_pruned(child) for child in value] if isinstance(value, list) else value
        for name, value in element.items()
        if value != []
    }


def _wadl(base: str, tree: dict[str, Any]) -> bytes:
    application = ET.Element("application", {"xmlns": _NAMESPACE, "xmlns:xs": _SCHEMA})
    resources = ET.SubElement(application, "resources", base=base)
    resources.extend(_elements("resource", [tree]))
    written: bytes = ET.tostring(application, encoding="utf-8", xml_declaration=True)
    return written


def _elements(name: str, trees: list[dict[str, Any]]) -> Iterator[ET.Element]:
    for tree in trees:
        texts = {key: value for key, value in tree.items() if isinstance(value, str)}
        title = texts.pop("title", "")
        element = ET.Element(name, texts)
        if title:
            ET.SubElement(element, "doc", title=title)
        for key, value in tree.items():
            if isinstance(value, list):
                element.extend(_elements(key, value))
        yield element
