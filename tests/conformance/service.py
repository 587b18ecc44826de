"""A DICOMweb service under test: its base, and requests to it as bytes and headers.

Shares no code with the edge. Promises that what comes back is read strictly: a multipart payload
that PS3.18 8.6.1.2 does not allow is a difference, not something to be forgiven.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import httpx

from tests.conformance.suite import Differs, expect, not_offered

__all__ = [
    "DICOM",
    "FRAMES",
    "JSON",
    "NATIVE",
    "XML",
    "Part",
    "Service",
    "good",
    "media_type",
    "offered",
    "parts_of",
    "refused",
    "related",
]

JSON = "application/dicom+json"
NATIVE = "application/dicom+xml"
_TYPED = 'multipart/related; type="{}"'


def related(media_type: str, transfer_syntax: str = "") -> str:
    """A multipart media range (8.7.3.5.1)."""
    text = _TYPED.format(media_type)
    return f"{text}; transfer-syntax={transfer_syntax}" if transfer_syntax else text


DICOM = related("application/dicom")
FRAMES = related("application/octet-stream")
XML = related(NATIVE)

# qp-special of 8.3.1, and the comma between the values of a list.
_VALUE, _NAME = "!$'()*;:@/?,", "."
Query = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart payload."""

    headers: Message
    body: bytes

    @property
    def media_type(self) -> str:
        """Without parameters, in lower case."""
        return self.headers.get_content_type()

    @property
    def transfer_syntax(self) -> str:
        """Of its Content-Type; empty if it says none."""
        return str(self.headers.get_param("transfer-syntax", ""))


class Service:
    """One origin server.

    Args:
        base: Its base URI (8.2), such as ``http://127.0.0.1:8042/dicom-web``.
        uri_service: The base URI of its URI Service (9.1.1); by default ``/wado`` on its host.
        headers: Sent with every request, such as Authorization.
    """

    def __init__(
        self, base: str, *, uri_service: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.base = base.rstrip("/")
        self.uri_service = uri_service or urljoin(base, "/wado")
        self.credentials = dict(headers or {})
        self._http = httpx.Client(trust_env=False, timeout=60, verify=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        accept: str | None = "*/*",
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        anonymous: bool = False,
    ) -> httpx.Response:
        """Send a request and take the whole answer.

        Args:
            method: Of HTTP.
            path: Below the base URI, or a whole URL.
            accept: None sends no Accept header field.
            query: Names and values, not yet encoded.
            headers: Further ones.
            content: The payload.
            anonymous: Without the credentials.
        """
        url = path if "://" in path else self.base + path
        if query:
            url += "?" + query_of(query)
        fields = {} if anonymous else self.credentials
        # What is not asked for must not be sent by the library on its own.
        given = {"Accept-Encoding": "identity", **fields, **(headers or {})}
        request = self._http.build_request(method, url, headers=given, content=content)
        if accept is None:
            del request.headers["Accept"]
        else:
            request.headers["Accept"] = accept
        return self._http.send(request)

    def get(self, path: str, accept: str | None = "*/*", **query: str) -> httpx.Response:
        """GET with a query of plain names."""
        return self.request("GET", path, accept=accept, query=query)

    def search(self, path: str, query: Query | None = None, /, **more: str) -> list[dict[str, Any]]:
        """What a search finds; no match is an empty list, whichever status says so.

        Raises:
            Differs: The search failed.
        """
        asked = [*(query.items() if isinstance(query, Mapping) else query or ()), *more.items()]
        answer = self.request("GET", path, accept=JSON, query=asked)
        if answer.status_code == 204:
            return []
        good(answer, JSON)
        found = answer.json()
        expect(isinstance(found, list), "the results are no JSON array (F.2.1)")
        return list(found)

    def uri(self, accept: str | None = "*/*", **query: str) -> httpx.Response:
        """A request of the URI Service (9.4.1, 9.5.1)."""
        return self.request("GET", self.uri_service, accept=accept, query=query)

    def store(
        self,
        parts: Iterable[tuple[str, bytes]],
        *,
        path: str = "/studies",
        root: str = "application/dicom",
        accept: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """STOW-RS: parts, each a head (``name: value`` lines) and a body (10.5.1)."""
        kind, body = payload(parts, root)
        given = {"Content-Type": kind, **(headers or {})}
        return self.request("POST", path, accept=accept, headers=given, content=body)

    def store_instances(
        self, files: Iterable[bytes], *, path: str = "/studies", accept: str = JSON
    ) -> httpx.Response:
        """STOW-RS of Part 10 files."""
        parts = [("Content-Type: application/dicom", data) for data in files]
        return self.store(parts, path=path, accept=accept)


def query_of(query: Query) -> str:
    """A query string: what 8.3.1 lets stand for itself does, all else is percent-encoded."""
    pairs = query.items() if isinstance(query, Mapping) else query
    return "&".join(
        f"{quote(name, safe=_NAME)}={quote(value, safe=_VALUE)}" for name, value in pairs
    )


def payload(parts: Iterable[tuple[str, bytes]], root: str) -> tuple[str, bytes]:
    """A multipart payload and its Content-Type (8.6.1.2.1)."""
    boundary = "conformance-f83a61"
    body = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts
    )
    kind = f'multipart/related; type="{root}"; boundary={boundary}'
    return kind, body + f"--{boundary}--\r\n".encode()


def media_type(answer: httpx.Response) -> str:
    """Of the payload, without parameters, in lower case."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def said(answer: httpx.Response) -> str:
    """A status for a message."""
    text = answer.text[:120].replace("\n", " ").strip() if answer.status_code >= 400 else ""
    return f"{answer.status_code}{f' ({text})' if text else ''}"


def good(answer: httpx.Response, *media_types: str) -> httpx.Response:
    """The answer, if its status is 200 and its media type one of these; any, if there are none.

    Raises:
        Differs: Something else came.
    """
    expect(answer.status_code == 200, f"status {said(answer)} instead of 200")
    kind = media_type(answer)
    if media_types:
        expect(kind in media_types, f"{kind or 'no media type'} instead of {media_types[0]}")
    return answer


def refused(answer: httpx.Response, *statuses: int) -> httpx.Response:
    """The answer, if its status is one of these.

    Raises:
        Differs: Something else came.
    """
    wanted = " or ".join(map(str, statuses))
    expect(answer.status_code in statuses, f"status {said(answer)} instead of {wanted}")
    return answer


def offered(answer: httpx.Response) -> httpx.Response:
    """The answer, unless the service says in it that it does without what was asked for.

    Raises:
        NotOffered: It does.
    """
    if answer.status_code in (404, 405, 406, 415, 501):
        not_offered(f"status {answer.status_code}")
    return answer


def parts_of(answer: httpx.Response, part_type: str = "") -> list[Part]:
    """The parts of a multipart answer (8.6.1.2), all of the media type *part_type*.

    Raises:
        Differs: It is none, or not well formed.
    """
    good(answer, "multipart/related")
    head = Message()
    head["Content-Type"] = answer.headers["Content-Type"]
    boundary = head.get_boundary()
    expect(boundary, "the Content-Type has no boundary (8.7.1)")
    expect(head.get_param("type"), "the Content-Type has no type (8.7.1)")
    mark = re.escape(f"--{boundary}".encode())
    pieces = re.split(rb"(?:\A|\r\n)" + mark, answer.content)
    expect(len(pieces) > 1, "the boundary of the Content-Type is not in the payload (8.6.1.2.1)")
    expect(not pieces[0].strip(), "something stands before the first boundary")
    expect(pieces[-1].startswith(b"--"), "the payload does not end with --boundary-- (8.6.1.2.1)")
    parts = [_part(piece) for piece in pieces[1:-1]]
    for part in parts:
        if part_type and part.media_type != part_type:
            raise Differs(f"a part is {part.media_type} instead of {part_type}")
    return parts


def _part(piece: bytes) -> Part:
    head, separator, body = piece.partition(b"\r\n\r\n")
    expect(separator, "a part has no empty line behind its header fields (8.6.1.2.1)")
    headers = Message()
    for line in head.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    expect("Content-Type" in headers, "a part has no Content-Type (table 8.6.1-1)")
    return Part(headers, body)


def path_of(url: str, service: Service) -> str:
    """The path of a URL below the base URI of the service, however it writes its own host."""
    root = urlsplit(service.base).path
    path = urlsplit(url).path
    expect(path.startswith(root + "/"), f"{url} is not below the base URI")
    return path.removeprefix(root)
