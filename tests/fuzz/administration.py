"""Everything that the admin API describes, with bodies and parameters that are nearly right.

The description itself says what is right: an example is made of it, and then made wrong. Whatever
comes, it is answered, and a repetition is answered likewise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

from edge.access.roles import Role
from tests.fuzz import trees
from tests.fuzz.door import CANARY, Door, Request, opened
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import Target

Tree = Any


@dataclass(frozen=True)
class Turn:
    """One change of a tree: what becomes of which node, counted through all of them."""

    kind: str
    node: int
    value: str
    """JSON."""


@dataclass(frozen=True)
class Call:
    """One operation, and what is wrong with how it is called."""

    number: int
    """Of the operation, in the order of their paths, if no *path* is named."""
    turns: tuple[Turn, ...]
    some: tuple[Change, ...]
    """Of the text of the body."""
    query: tuple[tuple[str, bytes], ...]
    named: bool
    """Parameters have names that are known."""
    content_type: str
    role: str
    path: str = ""
    method: str = ""


async def _call(door: Door, call: Call) -> None:
    document = await _document(door)
    operations = list(_operations(document))
    method, path, said = next(
        (one for one in operations if one[:2] == (call.method, call.path)),
        operations[call.number % len(operations)],
    )
    body = b""
    if "requestBody" in said:
        (content,) = said["requestBody"]["content"].values()
        tree = _example(content["schema"], document, 0)
        for turn in call.turns:
            tree = _turned(tree, turn)
        body = mutated(json.dumps(tree).encode(), call.some)
    known = [one["name"] for one in said.get("parameters", ()) if one["in"] == "query"]
    for one in said.get("parameters", ()):
        if one["in"] == "path":
            value = call.query[0][1] if call.query else b"1.2.3"
            path = path.replace(f"{{{one['name']}}}", quote_from_bytes(value, safe="") or "-")
    pairs = [
        (known[number % len(known)] if call.named and known else name, value)
        for number, (name, value) in enumerate(call.query)
    ]
    query = "&".join(f"{quote(name)}={quote_from_bytes(value)}" for name, value in pairs)
    target = f"{document['servers'][0]['url']}{path}{'?' if query else ''}{query}"
    fields = ((b"Content-Type", call.content_type.encode()),) if call.content_type else ()
    request = Request(method.upper(), target.encode(), fields, body, call.role)
    for _ in range(2):
        await door.ask(request, or_else=(503,))


_documents: dict[int, Tree] = {}


async def _document(door: Door) -> Tree:
    """What the API says of itself; of each box it is asked once."""
    if door.port not in _documents:
        answer = await door.ask(Request("GET", b"/api/v1/openapi.json", role=Role.ADMIN))
        _documents.clear()
        _documents[door.port] = json.loads(answer.body)
    return _documents[door.port]


def _operations(document: Tree) -> Iterator[tuple[str, str, Tree]]:
    """Those with a body come three times: there is more to say of them.

    What tells on and on is left out, for its answer has no end.
    """
    for path, methods in sorted(document["paths"].items()):
        for method, said in sorted(methods.items()):
            if (path, method) == ("/events", "get"):
                continue
            for _ in range(3 if "requestBody" in said else 1):
                yield method, path, said


_RIGHT = {
    "modality": "CT",
    "body_part": "CHEST",
    "message_ids": ["1"],
    "host": "127.0.0.1",
    "networks": ["127.0.0.0/8"],
    "certificate": "",
    "time": "09:15",
    "sop_uids": [],
    "study_uid": "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
    "study_uids": ["1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"],
    "role": "viewer",
    "ae_title": "FUZZ",
    "attribute": "PatientID=4711",
    "transfer_syntax": "",
}
"""What a schema alone does not tell, by the name of a property."""


def _example(schema: Tree, document: Tree, depth: int) -> Tree:
    """Something that a schema allows, or nearly."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return _example(document["components"]["schemas"][name], document, depth + 1)
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return _example(several[0], document, depth + 1)
    found: Tree = None
    match schema.get("type"):
        case _ if "enum" in schema or "const" in schema:
            found = schema["enum"][0] if "enum" in schema else schema["const"]
        case "object" if depth < 6:
            named = schema.get("properties", {})
            found = {
                name: _RIGHT.get(name, _example(one, document, depth + 1))
                for name, one in named.items()
            }
        case "array" if depth < 6 and isinstance(schema.get("items"), dict):
            found = [_example(schema["items"], document, depth + 1)]
        case "integer" | "number":
            found = max(schema.get("minimum", 1), 1)
        case "boolean":
            found = False
        case "string":
            found = "2026-11-29" if schema.get("format") == "date" else "1.2.3"
    return found


def _turned(tree: Tree, turn: Turn) -> Tree:
    """A tree with one node changed; the tree itself stays."""
    tree = json.loads(json.dumps(tree))
    places = [((), tree), *trees.places(tree)]
    path, node = places[turn.node % len(places)]
    value = json.loads(turn.value)
    if turn.kind == "wrap":
        value = [node]
    elif turn.kind == "many" and isinstance(node, list):
        value = node * 300
    elif turn.kind == "nest":
        value = node
        for _ in range(200):
            value = [value]
    if not path:
        return value
    above = tree
    for step in path[:-1]:
        above = above[step]
    if turn.kind == "drop":
        del above[path[-1]]
    elif turn.kind == "rename" and isinstance(above, dict):
        above[str(value)[:40]] = above.pop(path[-1])
    else:
        above[path[-1]] = value
    return tree


_VALUES = (
    None,
    True,
    0,
    -1,
    1e300,
    1.5,
    2**31,
    2**63,
    2**64,
    10**30,
    "",
    " ",
    "\0",
    "a\nb",
    "a\u2028b",
    "\U0010ffff",
    "x" * 70,
    "x" * 5000,
    CANARY,
    "1.2.3",
    "1." * 40,
    "*",
    "%",
    "'; DROP TABLE studies; --",
    "2026-11-29",
    "0001-01-01",
    "9999-12-31",
    "25:61",
    "09:15",
    "FUZZ",
    "A\\B",
    "127.0.0.1/33",
    "::/0",
    "fe80::1%eth0",
    "CT",
    "store",
    "admin",
    "\u00e4\u00f6\u5c71",
    [],
    {},
    [None],
    ["1.2.3"] * 3,
    {"a": 1},
    [[[]]],
)
_TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from(("set", "set", "set", "drop", "rename", "wrap", "many", "nest")),
        st.integers(0, 60),
        st.one_of(
            st.sampled_from(_VALUES).map(json.dumps),
            st.text(max_size=6).map(json.dumps),
            st.integers().map(json.dumps),
        ),
    ),
    max_size=3,
).map(tuple)
_QUERY = st.lists(
    st.tuples(
        st.sampled_from(("limit", "offset", "x", "", "study_uid", "a.b", "sop_uids")),
        st.one_of(
            st.sampled_from(
                (
                    b"",
                    b"1",
                    b"0",
                    b"-1",
                    b"1e3",
                    b"99999999999999999999",
                    b"true",
                    b"null",
                    b"2026-11-29",
                    b"2026-11-29T10:00:00Z",
                    b"1.2.3",
                    b"\xff\xfe",
                    b"\0",
                    b"a" * 3000,
                    CANARY.encode(),
                    b"../../x",
                )
            ),
            st.binary(max_size=8),
        ),
    ),
    max_size=4,
).map(tuple)
_CALLS = st.builds(
    Call,
    st.integers(0, 10_000),
    _TURNS,
    st.one_of(st.just(()), st.just(()), changes().map(tuple)),
    _QUERY,
    st.booleans(),
    st.sampled_from(
        ("application/json",) * 6
        + (
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
        )
    ),
    st.sampled_from((Role.ADMIN,) * 6 + (Role.PHYSICIAN, "")).map(str),
)


def _opened() -> Callable[..., object]:
    return partial(opened, _call)


ADMINISTRATION = (
    Target("admin", _CALLS, _opened(), Call, seconds=20.0, megabytes=200.0, at_a_time=600),
)
