"""QIDO-RS: the Search transaction of the Studies Service (PS3.18 10.6).

Owns how a query string becomes a ``Query``, and how its results leave. Promises that a parameter
which can't be understood is refused with a reason, never dropped: a filter that silently does
nothing shows the wrong patients. Never touches the index: the catalogue finds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict
from pydicom.datadict import tag_for_keyword

from edge.access.acts import Act
from edge.access.roles import narrows
from edge.dicom.instance import Level
from edge.dicom.multipart import (
    PART_CLOSING,
    closing,
    content_type_of,
    new_boundary,
    part_opening,
)
from edge.dicom.query import ALL, Kind, Match, Query, called, criterion, vr_of
from edge.dicom.uids import is_uid
from edge.dicom.xml_model import to_xml
from edge.dicomweb.documents import absolute
from edge.dicomweb.middleware import IDENTITY
from edge.dicomweb.negotiation import Offer, accepted_by, choose
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import DICOM_JSON, DICOM_XML, JSON
from edge.dicomweb.transactions import Parameter, transaction
from edge.errors import QueryError

if TYPE_CHECKING:
    from edge.cache.catalogue import Catalogue
    from edge.cache.retrieval import Retrieval

__all__ = ["MAX_RESULTS", "Search", "parse_query"]

MAX_RESULTS: Final = 10_000
"""Results in one answer; the rest is had by ``offset`` (PS3.18 8.3.4.4)."""

_MOST_BYTES = 32 * 1024 * 1024
"""Of one answer; what follows is had by ``offset``, too."""
_ENCODER = msgspec.json.Encoder()
_XML = Offer(DICOM_XML, multipart=True)
_OFFERS = (Offer(DICOM_JSON), Offer(JSON), _XML)
_RETRIEVE_URL = "00081190"
_STUDY_UID, _SERIES_UID, _SOP_UID = "0020000D", "0020000E", "00080018"

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
# What can only be meant as an attribute: a tag, a keyword of PS3.6, or a path of them.
_ATTRIBUTE = re.compile(
    r"([0-9A-Fa-f]{8}|[A-Z][A-Za-z0-9]*)(\.([0-9A-Fa-f]{8}|[A-Z][A-Za-z0-9]*))*"
)
_UINT = re.compile(r"[0-9]{1,9}")
_MOST_STEPS = 16
"""Of a path; no data set of the Standard is so deep."""
_EMPTY = '""'
"""The value that stands for none, where Empty Value Matching was asked for (PS3.4 C.2.2.2.7)."""
_LISTS_AND_RANGES = frozenset({"UI", "DA", "TM", "DT"})
"""Representations to which Multiple Value Matching does not apply: theirs are lists and ranges."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A query string, read."""

    query: Query
    warnings: tuple[str, ...] = ()
    """What was asked for and is not done (PS3.18 8.3)."""


def parse_query(
    parameters: Mapping[str, str],
    level: Level,
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
) -> Parsed:
    """Read the parameters of a search (PS3.18 8.3.4).

    Args:
        parameters: Name and value, decoded; a multi-mapping's ``items`` repeats a name.
        level: What is searched for.
        study_uid: Of the target resource, if it is below a study.
        series_uid: Likewise.

    Raises:
        QueryError: A name or a value can't be understood; the message names the parameter.
    """
    values: dict[tuple[str, ...], list[str]] = {}
    include: set[str] = set()
    plain: dict[str, str] = {}
    ignored: list[str] = []
    for name, value in parameters.items():
        if "\ufffd" in name + value:
            # What stands for bytes that are no text.
            raise QueryError("the query string is not UTF-8", hint="encode it as UTF-8, then by %")
        if name == "includefield":
            include.update(_fields(value))
        elif name in _PLAIN:
            if plain.setdefault(name, value) != value:
                raise QueryError(f"{name} is given twice, with different values")
        elif _ATTRIBUTE.fullmatch(name):
            values.setdefault(_path(name), []).append(value)
        elif name != "accept":
            ignored.append(name)
    read = {name: _PLAIN[name](name, value) for name, value in plain.items()}
    matches = []
    for match in _matches(values, read):
        if criterion(match).kind is Kind.UNIVERSAL:
            include.add(match.path[0])  # PS3.4 C.2.2.2.3: nothing to match, but asked for
            continue
        _check(match)
        matches.append(match)
    query = Query(
        level=level,
        matches=tuple(matches),
        study_uid=study_uid,
        series_uid=series_uid,
        include=frozenset({ALL}) if ALL in include else frozenset(include),
        limit=read.get("limit"),
        offset=read.get("offset", 0),
        fuzzy=read.get("fuzzymatching", False),
    )
    warnings = []
    if ignored:
        warnings.append("Parameters that are neither known nor attributes were ignored.")
    return Parsed(query, tuple(warnings))


def _matches(
    values: Mapping[tuple[str, ...], Sequence[str]], flags: Mapping[str, Any]
) -> Iterator[Match]:
    """The matching keys, as the extended kinds of matching that were asked for read them."""
    for path, asked in values.items():
        if flags.get("emptyvaluematching") and _EMPTY in asked:
            yield Match(path, (), empty=True)  # PS3.4 C.2.2.2.7
        elif flags.get("multiplevaluematching") and vr_of(path[-1]) not in _LISTS_AND_RANGES:
            # PS3.4 C.2.2.2.8: every one of them has to be there.
            for value in (part for one in asked for part in one.split("\\")):
                yield Match(path, (value,))
        else:
            yield Match(path, tuple(asked))


def _fields(value: str) -> set[str]:
    if not value.strip():
        raise QueryError("includefield has no value", hint='name attributes, or "all"')
    fields = [name.strip() for name in value.split(",") if name.strip()]
    # PS3.18 8.3.4.3; only the top of a path: a sequence is answered whole.
    return {ALL if name == ALL else _path(name)[0] for name in fields}


def _path(name: str) -> tuple[str, ...]:
    """The tags that a dotted name of keywords and tags stands for."""
    if name.count(".") >= _MOST_STEPS:
        raise QueryError(f"the path of an attribute has more than {_MOST_STEPS} steps")
    tags = tuple(_tag(part, name) for part in name.split("."))
    for tag in tags[:-1]:
        if vr_of(tag) != "SQ" and int(tag[3], 16) % 2 == 0:
            raise QueryError(f"{name}: {called(tag)} is not a sequence, nothing can be below it")
    return tags


def _tag(part: str, name: str) -> str:
    if _TAG.fullmatch(part):
        return part.upper()
    number = tag_for_keyword(part)
    if number is None:
        raise QueryError(
            f"{name}: {part!r} is not a keyword of the data dictionary",
            hint="write the keyword as PS3.6 does (PatientName), or the tag (00100010)",
        )
    return f"{number:08X}"


def _check(match: Match) -> None:
    """What the value representation alone does not tell."""
    tag = match.path[-1]
    vr = vr_of(tag)
    if vr == "SQ" and not match.empty:
        raise QueryError(
            f"{called(tag)} is a sequence", hint=f"match an attribute below it: {tag}.TAG=VALUE"
        )
    if vr == "UI":
        for uid in criterion(match).values:
            if not is_uid(uid):
                raise QueryError(
                    f"{called(tag)}: a value is not a UID", hint="UIDs match whole, or as a list"
                )


def _uint(name: str, value: str) -> int:
    if not _UINT.fullmatch(value):
        raise QueryError(f"{name} must be a whole number, not negative")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise QueryError(f"{name} must be true or false")
    return value == "true"


_PLAIN: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "limit": _uint,
    "offset": _uint,
    "fuzzymatching": _flag,
    "emptyvaluematching": _flag,
    "multiplevaluematching": _flag,
}

_search_transaction = transaction(
    "Search",
    "10.6",
    produces=_OFFERS,
    parameters=[
        Parameter("{attributeID}"),
        Parameter("includefield"),
        *(
            Parameter(name, "xs:nonNegativeInteger")
            if read is _uint
            else Parameter(name, options=("true", "false"))
            for name, read in _PLAIN.items()
        ),
    ],
)


class Search:
    """The handlers of the Search transaction.

    Args:
        catalogue: Finds.
        retrieval: Asks the archive for a study that is named, and that nobody here knows.
        max_results: In one answer.
    """

    def __init__(
        self, catalogue: Catalogue, retrieval: Retrieval, *, max_results: int = MAX_RESULTS
    ) -> None:
        self._catalogue = catalogue
        self._retrieval = retrieval
        self._max_results = max_results

    @narrows
    @_search_transaction
    async def studies(self, request: web.Request) -> web.Response:
        """``/studies``."""
        return await self._search(request, Level.STUDY)

    @narrows
    @_search_transaction
    async def series(self, request: web.Request) -> web.Response:
        """``/series`` and ``/studies/{study}/series``."""
        return await self._search(request, Level.SERIES)

    @narrows
    @_search_transaction
    async def instances(self, request: web.Request) -> web.Response:
        """``/instances``, and below a study or a series."""
        return await self._search(request, Level.INSTANCE)

    async def _search(self, request: web.Request, level: Level) -> web.Response:
        offer = choose(accepted_by(request), _OFFERS)
        target = target_of(request)
        parsed = parse_query(
            request.query, level, study_uid=target.study_uid, series_uid=target.series_uid
        )
        scope = request[IDENTITY].scope_for(Act.READ)
        query = dataclasses.replace(parsed.query, senders=scope.studies_from, studies=scope.studies)
        warnings = list(parsed.warnings)
        limit = self._max_results if query.limit is None else min(query.limit, self._max_results)
        base = base_url(request)
        encode = _as_xml if offer is _XML else _as_json
        results = _Results(self._catalogue, query, limit, base, target, encode)
        answers, more = await results.collect()
        if (
            not answers
            and not query.is_narrowed
            and target.study_uid
            and await self._retrieval.discover(target.study_uid)
        ):
            answers, more = await results.collect()
        if more:
            found = await self._catalogue.count(query)
            remaining = max(1, found - query.offset - len(answers))
            warnings.append(f"There are {remaining} additional results that can be requested")
        headers = CIMultiDict((hdrs.WARNING, f"299 {base}: {warning}") for warning in warnings)
        if offer is _XML:
            return _multipart(answers, headers)
        headers[hdrs.CONTENT_TYPE] = offer.media_type
        # No match is 200 with an empty list, not 204 (PS3.18 8.3.4.4.1 since CP-2473).
        return web.Response(body=b"[" + b",".join(answers) + b"]", headers=headers)


@dataclass(frozen=True, slots=True)
class _Results:
    """What one answer shows of the results of a query."""

    catalogue: Catalogue
    query: Query
    limit: int
    base: str
    target: Target
    encode: Callable[[bytes], Awaitable[bytes]]

    async def collect(self) -> tuple[list[bytes], bool]:
        """The results, encoded, as many as are shown; and whether there are more."""
        answers, length = list[bytes](), 0
        # One more than is shown tells whether there are more.
        query = dataclasses.replace(self.query, limit=self.limit + 1)
        async with aclosing(self.catalogue.search(query)) as results:
            async for result in results:
                if len(answers) == self.limit or length > _MOST_BYTES:
                    return answers, True
                answers.append(await self.encode(self._text(result)))
                length += len(answers[-1])
        return answers, False

    def _text(self, result: Mapping[str, Any]) -> bytes:
        """DICOM JSON: with its Retrieve URL, and URLs of bulk values (PS3.18 10.6.3.3, F.2.2)."""
        level, target = self.query.level, self.target
        url = Target(
            _uid(result, _STUDY_UID) or target.study_uid,
            (_uid(result, _SERIES_UID) or target.series_uid) if level is not Level.STUDY else None,
            _uid(result, _SOP_UID) if level is Level.INSTANCE else None,
        ).url(self.base)
        found = {**result, _RETRIEVE_URL: {"vr": "UR", "Value": [url]}}
        text = _ENCODER.encode(dict(sorted(found.items())))
        return absolute(text, f"{url}/bulkdata/".encode())


async def _as_json(result: bytes) -> bytes:
    return result


async def _as_xml(result: bytes) -> bytes:
    return await asyncio.to_thread(lambda: to_xml(msgspec.json.decode(result)))


def _multipart(documents: Sequence[bytes], headers: CIMultiDict[str]) -> web.Response:
    """One part for each result (PS3.18 10.6.4, F.2.1 of PS3.19)."""
    if not documents:
        return web.Response(status=204, headers=headers)  # a multipart body has a part at least
    boundary = new_boundary()
    opening = part_opening(boundary, {hdrs.CONTENT_TYPE: DICOM_XML})
    body = PART_CLOSING.join(opening + document for document in documents)
    headers[hdrs.CONTENT_TYPE] = content_type_of(DICOM_XML, boundary)
    return web.Response(body=body + PART_CLOSING + closing(boundary), headers=headers)


def _uid(result: Mapping[str, Any], tag: str) -> str | None:
    values = result.get(tag, {}).get("Value")
    return values[0] if values else None
