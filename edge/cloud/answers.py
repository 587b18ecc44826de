"""The bodies that archives answer with: data sets as JSON or XML, whatever was asked for.

Owns the decoding of answers that are kept in memory. Promises that a body is never larger than its
limit; that something which only looks like an answer (a captive portal's page) is told from one;
and that every data set has the form of PS3.18 F.2: what has not is left out, element by element, so
that nonsense in one study of a list costs nothing else of it. Never looks at the meaning of a data
set.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import msgspec

from edge.cloud.archive import Dataset
from edge.cloud.decoding import content_of
from edge.cloud.store_answer import shortened
from edge.dicom.multipart import (
    MultipartParser,
    PartData,
    PartStart,
    boundary_of,
    parse_media_type,
)
from edge.dicom.xml_model import XmlModelError, from_xml
from edge.errors import MultipartError

__all__ = ["MAX_ANSWER", "AnswerTooLarge", "datasets_in", "read_body", "words_in"]

MAX_ANSWER = 64 * 1024**2
"""Bytes, decompressed: the metadata of some thousand instances."""
_OFF_THE_LOOP = 256 * 1024
_MARKUP = re.compile(r"<[^<>]*>")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_VR = re.compile(r"[A-Z]{2}")
_BASE_64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_SURROGATES = re.compile(rb"(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")
"""Escapes of surrogates in JSON: pairs, or else alone, which mean nothing (RFC 8259 8.2)."""
_DEEPEST = 64
"""Sequences in sequences; a data set of the Standard has a handful."""


class AnswerTooLarge(httpx.StreamError):
    """The body passes its limit; a stream error to those who translate errors."""


async def read_body(response: httpx.Response, *, limit: int = MAX_ANSWER) -> bytes:
    """The whole body of a streamed answer.

    Raises:
        AnswerTooLarge: It is larger than *limit* bytes.
        httpx.HTTPError: It could not be read.
    """
    body = bytearray()
    async for chunk in content_of(response):
        body += chunk
        if len(body) > limit:
            raise AnswerTooLarge(f"the answer is larger than {limit} bytes")
    return bytes(body)


async def datasets_in(response: httpx.Response, body: bytes) -> list[Dataset] | None:
    """The data sets of an answer; None if it holds something else.

    A large body is decoded beside the event loop.
    """
    content_type = response.headers.get("Content-Type", "")
    if len(body) > _OFF_THE_LOOP:
        return await asyncio.to_thread(_decode, content_type, body)
    return _decode(content_type, body)


def words_in(body: bytes) -> str:
    """What an answer says that holds no data set, in one short line."""
    return shortened(_MARKUP.sub(" ", body[:8192].decode("utf-8", "replace")))


def _decode(content_type: str, body: bytes) -> list[Dataset] | None:
    try:
        if content_type.lower().startswith("multipart/"):
            return [from_xml(part) for part in _parts(content_type, body)]
        # The Content-Type is often wrong or missing; the first character is not.
        match body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]:
            case b"{" | b"[":
                return _from_json(body)
            case b"<" if b"NativeDicomModel" in body[:1024]:
                return [from_xml(body)]
    except (MultipartError, XmlModelError, msgspec.DecodeError, UnicodeDecodeError):
        pass  # It is not what it looks like.
    except RecursionError:
        pass  # Nested so deeply that it is no answer, but an attack.
    return None


def _from_json(body: bytes) -> list[Dataset] | None:
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        decoded = msgspec.json.decode(_with_sound_text(body))
    rows = decoded if isinstance(decoded, list) else [decoded]
    datasets = [_sound(row, _DEEPEST) for row in rows if _is_dataset(row)]
    return datasets if datasets or not rows else None


def _with_sound_text(body: bytes) -> bytes:
    """With U+FFFD for what is no Unicode: one name in a wrong character set spoils a whole list."""
    body = body.decode("utf-8", "replace").encode()
    return _SURROGATES.sub(lambda found: found[1] or b"\\ufffd", body)


def _is_dataset(value: object) -> bool:
    """Whether it looks like PS3.18 F.2.2: an error document in JSON does not."""
    return isinstance(value, dict) and all(map(_TAG.fullmatch, value))


def _sound(dataset: dict[str, Any], depth: int) -> Dataset:
    """Without the elements that have not the form of PS3.18 F.2.2."""
    return {
        tag: sound
        for tag, element in dataset.items()
        if _TAG.fullmatch(tag)
        and isinstance(element, dict)
        and (sound := _sound_element(element, depth)) is not None
    }


def _sound_element(element: dict[str, Any], depth: int) -> dict[str, Any] | None:
    if not _VR.fullmatch(str(element.get("vr", ""))):
        return None
    match element:
        case {"vr": "SQ", "Value": list(items)}:
            if depth == 0 or not all(item is None or isinstance(item, dict) for item in items):
                return None
            return {"vr": "SQ", "Value": [_sound(item or {}, depth - 1) for item in items]}
        case {"Value": list(values)}:
            fits = _is_name if element["vr"] == "PN" else _is_plain
            is_sound = all(map(fits, values))
        case {"InlineBinary": str(text)}:
            is_sound = _BASE_64.fullmatch(text) is not None
        case {"BulkDataURI": str()}:
            is_sound = True
        case _:
            is_sound = len(element) == 1
    return element if is_sound else None


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_name(value: object) -> bool:
    """PS3.18 F.2.2: component groups by their names. Some archives give a name as text."""
    if isinstance(value, dict):
        return all(group is None or isinstance(group, str) for group in value.values())
    return value is None or isinstance(value, str)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    parser = MultipartParser(boundary_of(content_type))
    parts: list[bytearray] = []
    for event in parser.feed(body):
        if isinstance(event, PartStart):
            essence = parse_media_type(event.headers.get("content-type", "")).essence
            if not essence.endswith("xml"):
                raise MultipartError(f"a part of {essence} where XML is expected")
            parts.append(bytearray())
        elif isinstance(event, PartData):
            parts[-1] += event.data
    parser.finish()
    return [bytes(part) for part in parts]
