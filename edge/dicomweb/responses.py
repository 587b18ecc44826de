"""Answers: problem documents, DICOM JSON, and multipart bodies written as they come.

Owns the shape of what leaves this door. Promises that a refusal is readable (RFC 9457) and names
the request, that a multipart answer holds one piece in memory at a time, and that an answer which
can't be finished is torn off rather than ended as if it were whole. Never decides what to answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from edge.dicom.multipart import (
    PART_CLOSING,
    closing,
    content_type_of,
    new_boundary,
    part_opening,
)
from edge.dicomweb.compression import compress
from edge.errors import EdgeError

__all__ = [
    "DICOM",
    "DICOM_JSON",
    "DICOM_XML",
    "JSON",
    "NOTE",
    "OCTET_STREAM",
    "REQUEST_ID",
    "SERVER",
    "MultipartWriter",
    "Refused",
    "dicom_json",
    "problem",
    "send",
]

DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
JSON: Final = "application/json"
OCTET_STREAM: Final = "application/octet-stream"

SERVER: Final = "edge"
"""As the header of that name says; versions are nobody's business."""
REQUEST_ID: Final = web.RequestKey("request_id", str)
NOTE: Final = web.RequestKey("note", str)
"""What a handler has to say in the log of what it did; of no patient."""

_SLICE: Final = 512 * 1024
_JOINED: Final = 64 * 1024
"""Bytes of a part that are sent together with its headers, in one call."""
_ENCODER = msgspec.json.Encoder()


class Refused(EdgeError):
    """The request can't be answered as it was asked: an HTTP matter, no other door knows it.

    Args:
        status: Of the answer.
        message: What is wrong with the request.
        hint: What would be right.
        headers: To be set on the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = dict(headers or {})


def problem(
    request: web.BaseRequest,
    status: int,
    detail: str,
    *,
    hint: str = "",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem document (RFC 9457) that a person can act on."""
    members = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "hint": hint,
        "request_id": request.get(REQUEST_ID, ""),
    }
    return web.Response(
        status=status,
        body=_ENCODER.encode({name: value for name, value in members.items() if value != ""}),
        headers={**(headers or {}), hdrs.CONTENT_TYPE: "application/problem+json"},
    )


def dicom_json(
    content: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    status: int = 200,
    media_type: str = DICOM_JSON,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An answer in the DICOM JSON model (PS3.18 F.2)."""
    return web.Response(
        status=status,
        body=_ENCODER.encode(content),
        headers={**(headers or {}), hdrs.CONTENT_TYPE: media_type},
    )


class MultipartWriter:
    """Writes a multipart/related answer, part by part (PS3.18 8.6.1.2).

    Status and headers go out with the first byte of the first part: until then, an error can still
    become an answer of its own.

    Args:
        request: What is answered.
        media_type: Of the parts.
        headers: Further ones, of the whole answer.
    """

    def __init__(
        self,
        request: web.Request,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._request = request
        self._boundary = new_boundary()
        self._pending = b""
        self._closing = b""
        self._last: tuple[Mapping[str, str], bytes] = {}, part_opening(self._boundary, {})
        self._response = web.StreamResponse(
            headers={
                **(headers or {}),
                hdrs.CONTENT_TYPE: content_type_of(media_type, self._boundary),
            }
        )
        compress(request, self._response)

    @property
    def is_empty(self) -> bool:
        """No part was opened yet; such a body is none (RFC 2046 5.1.1)."""
        return not self._closing

    def announce(self, parts: Sequence[tuple[Mapping[str, str], int]]) -> None:
        """Say how long the body will be, given the headers and the size of each part.

        Without it the body is sent in chunks.
        """
        size = sum(
            len(self._opening(headers)) + length + len(PART_CLOSING) for headers, length in parts
        )
        self._response.content_length = size + len(closing(self._boundary))

    def open_part(self, headers: Mapping[str, str]) -> None:
        """Begin a part, ending the one before; it is sent with the first bytes of its body."""
        self._pending += self._closing + self._opening(headers)
        self._closing = PART_CLOSING

    def _opening(self, headers: Mapping[str, str]) -> bytes:
        """What stands before the body of a part; most parts have the headers of the one before."""
        last, opening = self._last
        if headers != last:
            opening = part_opening(self._boundary, headers)
            self._last = headers, opening
        return opening

    async def write(self, data: bytes | memoryview) -> None:
        """Send bytes of the part; returns when the client has taken enough to send more."""
        view = memoryview(data)
        if self._pending:
            if not self._response.prepared:
                await self._response.prepare(self._request)
            # Alone, it would wake the client for a hundred bytes.
            begin = b"".join((self._pending, view[:_JOINED]))
            self._pending, view = b"", view[_JOINED:]
            await self._response.write(begin)
        await send(self._response, view)

    async def end(self) -> web.StreamResponse:
        """Send the closing boundary; the answer is complete."""
        await self._response.prepare(self._request)
        await self._response.write_eof(self._pending + self._closing + closing(self._boundary))
        return self._response

    def head(self) -> web.StreamResponse:
        """The answer to HEAD: no body."""
        return self._response


async def send(response: web.StreamResponse, data: bytes | bytearray | memoryview) -> None:
    """Send bytes of a body; returns when the client has taken enough to send more.

    They go in slices: what waits in memory for a slow client is one of them, copied once.
    """
    view = memoryview(data)
    for at in range(0, len(view), _SLICE):
        await response.write(view[at : at + _SLICE])
