"""What may be asked of the box by a URL: paths, parameters, and the header fields around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote_from_bytes, urlencode

from hypothesis import strategies as st

from edge.access.roles import Role
from tests.fuzz import urls
from tests.fuzz.door import Door, Request, opened
from tests.fuzz.mutation import changes, mutated
from tests.fuzz.targets import Target


@dataclass(frozen=True)
class _Path:
    """Where, and whose parameters it takes."""

    path: str
    family: str


def _family(path: str) -> str:
    if path.startswith("/dicom-web"):
        last = path.rsplit("/", 1)[-1]
        return "search" if last in ("studies", "series", "instances", "dicom-web") else "view"
    names = {"/wado": "wado", "/changefeed": "feed", "/changefeed/latest": "feed"}
    return names.get(path, "other")


def _paths() -> st.SearchStrategy[_Path]:
    uid = st.sampled_from(urls.UIDS)
    nested = st.builds(
        lambda study, series, instance, depth, end: (
            "/dicom-web"
            + "".join(
                f"/{stem}/{one}"
                for stem, one in zip(urls.STEMS, (study, series, instance)[:depth], strict=False)
            )
            + end
        ),
        st.one_of(*[st.just(urls.UIDS[0])] * 4, uid),
        st.one_of(*[st.just(urls.UIDS[1])] * 4, uid),
        st.one_of(*[st.just(urls.UIDS[2])] * 4, uid),
        st.sampled_from((3, 3, 2, 1)),
        st.one_of(
            st.sampled_from(urls.ENDS),
            st.sampled_from(
                ("/rendered", "/thumbnail", "/frames/1/rendered", "/bulkdata/7FE00010")
            ),
            st.sampled_from(("/series", "/instances", "/series/1.2/instances")),
        ),
    )
    roots = st.one_of(st.sampled_from(urls.ROOTS), st.sampled_from(urls.ROOTS[:6]))
    return st.one_of(nested, nested, st.sampled_from(urls.ROOTS[:3]), roots).map(
        lambda path: _Path(path, _family(path))
    )


def _parameter(name: str, value: bytes, some: list, form: str) -> bytes:
    changed = mutated(value, some) if len(some) == 1 else value
    left = quote_from_bytes(name.encode(), safe=".")
    # By the book, half by the book, and as it is.
    if form == "quoted":
        return f"{left}={quote_from_bytes(changed, safe='*?,-')}".encode()
    if form == "plain":
        changed = bytes(byte for byte in changed if byte < 0x7F)  # the others are no HTTP
    return left.encode() + b"=" + changed.replace(b" ", b"+").replace(b"#", b"")


def _queries(family: str) -> st.SearchStrategy[bytes]:
    name = st.one_of(*[st.sampled_from(urls.NAMES[family])] * 5, st.sampled_from(urls.ALL))
    anything = st.one_of(st.sampled_from(urls.VALUES), st.binary(max_size=12))
    form = st.sampled_from((*["quoted"] * 8, "plain", "plain", "raw"))
    parameter = name.flatmap(
        lambda name: st.builds(
            _parameter,
            st.just(name),
            st.one_of(st.sampled_from(urls.FITTING.get(name, urls.VALUES)), anything),
            changes(),
            form,
        )
    )
    return st.lists(parameter, max_size=3).map(b"&".join)


_CT = dict(zip(("studyUID", "seriesUID", "objectUID"), urls.UIDS, strict=False))
_WADO = urlencode({"requestType": "WADO", **_CT}).encode()


def _target(path: _Path, query: bytes) -> bytes:
    if path.family == "wado":
        query = _WADO + b"&" + query
    target = path.path.encode() + (b"?" + query if query else b"")
    # One word of the request line.
    return bytes(byte for byte in target if byte > 0x20) or b"/"


_TARGETS = _paths().flatmap(
    lambda path: _queries(path.family).map(lambda query: _target(path, query))
)
_HEADERS = st.lists(
    st.one_of(
        *[st.tuples(st.just(b"Accept"), st.sampled_from(urls.ACCEPTS))] * 3,
        st.tuples(st.sampled_from(urls.FIELDS), st.sampled_from(urls.FIELD_VALUES)),
        st.tuples(
            st.sampled_from(urls.FIELDS),
            st.builds(mutated, st.sampled_from((*urls.FIELD_VALUES, *urls.ACCEPTS)), changes()),
        ),
    ),
    max_size=2,
).map(tuple)
_ASKED = st.builds(
    Request,
    st.sampled_from((*["GET"] * 20, "HEAD", "HEAD", "OPTIONS", "PUT", "PATCH", "TRACE")),
    _TARGETS,
    _HEADERS,
    st.just(b""),
    st.sampled_from((*[Role.PHYSICIAN, Role.ADMIN] * 6, "")).map(str),
)


async def _query(door: Door, request: Request) -> None:
    # 505: a request line that seems to hold another version; 501 and others are of no method.
    await door.ask(request, or_else=(501, 505))


def queries() -> Callable[..., object]:
    """Opens the target."""
    return partial(opened, _query)


QUERIES = (
    Target("query", _ASKED, queries(), Request, seconds=20.0, megabytes=200.0, at_a_time=1000),
)
