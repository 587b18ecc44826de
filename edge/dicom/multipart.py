"""multipart/related, read and written piece by piece (RFC 2046 5.1, RFC 2387; PS3.18 8.6.1.2).

Owns the framing of STOW-RS requests and WADO-RS answers. Promises that memory stays bounded
whatever arrives: part bodies are handed on as slices of what was fed, never gathered; header
blocks, the preamble and the number of parts have limits. Never does I/O, never looks at what is
inside a part.

``MultipartParser`` is fed bytes and answers with events; ``read_parts`` is the same as an async
iterator of parts; ``part_opening``, ``PART_CLOSING`` and ``closing`` write.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto

from edge.errors import MultipartError

__all__ = [
    "PART_CLOSING",
    "End",
    "Event",
    "MediaType",
    "MultipartLimits",
    "MultipartParser",
    "Part",
    "PartData",
    "PartEnd",
    "PartStart",
    "boundary_of",
    "closing",
    "content_type_of",
    "new_boundary",
    "parse_media_type",
    "part_opening",
    "read_parts",
]


# RFC 2046 5.1.1: 1 to 70 of these, the last not a space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 5.6.2
_MEDIA_TYPE = re.compile(rf"\s*({_NAME}/{_NAME})\s*")
# A value without quotes may hold "/", "*" and more: `type=application/dicom` is often sent so.
_PARAMETER = re.compile(rf';\s*(?:({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;",]*))\s*)?')
_MAX_MEDIA_TYPE = 1024


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type: lower-case ``type/subtype`` and its parameters, names in lower case."""

    essence: str
    parameters: Mapping[str, str]


def parse_media_type(text: str) -> MediaType:
    """Take a Content-Type header's value apart (RFC 9110 8.3).

    Raises:
        MultipartError: It is not of that form.
    """
    match = _MEDIA_TYPE.match(text) if len(text) <= _MAX_MEDIA_TYPE else None
    if match is None:
        raise MultipartError("the Content-Type can't be understood")
    essence, at = match[1].lower(), match.end()
    parameters: dict[str, str] = {}
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            raise MultipartError(f"the parameters of Content-Type {essence} can't be understood")
        name, quoted, plain = match.groups()
        if name is not None:
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        at = match.end()
    return MediaType(essence, parameters)


def boundary_of(content_type: str) -> str:
    """The boundary that a multipart Content-Type names.

    Raises:
        MultipartError: It is no multipart type, or its boundary is missing or ill-formed.
    """
    media_type = parse_media_type(content_type)
    if not media_type.essence.startswith("multipart/"):
        raise MultipartError(f"the Content-Type is {media_type.essence}, not multipart")
    boundary = media_type.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MultipartError(
            "the multipart boundary is missing or ill-formed",
            hint="1 to 70 characters, see RFC 2046 5.1.1",
        )
    return boundary


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """What a message may ask of us; sizes in bytes."""

    preamble: int = 4096
    """Before the first boundary; a wrong boundary shows itself after so many."""
    header: int = 16 * 1024
    """All header lines of one part together."""
    parts: int = 1_000_000


@dataclass(frozen=True, slots=True)
class PartStart:
    """A part begins; header names are in lower case, of a repeated header the first counts."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part: a view into what was fed."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete: its closing boundary was seen."""


@dataclass(frozen=True, slots=True)
class End:
    """The message is complete; whatever follows is ignored."""


Event = PartStart | PartData | PartEnd | End
_PART_END, _END = PartEnd(), End()


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY_START = auto()
    BODY = auto()
    EPILOGUE = auto()


# After a boundary: transport padding and a line end (RFC 2046 5.1.1); and what may become that.
_LINE_END = re.compile(rb"[ \t]{0,126}\r\n")
_LINE_END_TO_BE = re.compile(rb"-|[ \t]{0,126}\r?")
_HEADERS_END = b"\r\n\r\n"


class MultipartParser:
    """Takes a multipart body in pieces of any size, and says what is in it.

    What can't be decided yet (the start of a boundary at the end of a piece, half a header block)
    is carried over; everything else is handed on at once, without a copy.
    """

    def __init__(self, boundary: str, *, limits: MultipartLimits = MultipartLimits()) -> None:
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits
        self._state = _State.PREAMBLE
        # The first boundary may stand at the very beginning: give it the line end it lacks.
        self._carry = b"\r\n"
        self._preamble = 0
        self._parts = 0
        self._error: MultipartError | None = None

    @property
    def parts(self) -> int:
        """How many parts have begun."""
        return self._parts

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take the next bytes; the answer is what they hold, in order.

        Raises:
            MultipartError: Headers can't be understood, or a limit is passed. What comes before
                that is answered first, and the error then raised by the next call.
        """
        if self._error is not None:
            raise self._error
        piece = data if isinstance(data, bytes) else bytes(data)
        if self._carry:
            piece = self._carry + piece
        events: list[Event] = []
        try:
            self._read(piece, events)
        except MultipartError as error:
            self._error = error
            if not events:
                raise
        return events

    def finish(self) -> None:
        """Say that there is no more.

        Raises:
            MultipartError: The closing boundary was not seen: the message was cut short.
        """
        if self._error is not None:
            raise self._error
        if self._state is not _State.EPILOGUE:
            raise MultipartError("the multipart message ends before its closing boundary")

    def _read(self, piece: bytes, events: list[Event]) -> None:
        at: int | None = 0
        while at is not None and self._state is not _State.EPILOGUE:
            # A step without progress answers None, and leaves in _carry what it could not decide.
            self._carry = b""
            match self._state:
                case _State.HEADERS:
                    at = self._headers(piece, at, events)
                case _State.BODY_START:
                    at = self._body_start(piece, at)
                case _:
                    at = self._content(piece, at, events)

    def _headers(self, piece: bytes, at: int, events: list[Event]) -> int | None:
        """From the line end after a boundary to the blank line that ends the headers."""
        end = piece.find(_HEADERS_END, at, at + self._limits.header)
        if end < 0:
            if len(piece) - at >= self._limits.header:
                raise MultipartError(
                    f"the headers of part {self._parts} exceed {self._limits.header} bytes"
                )
            self._carry = piece[at:]
            return None
        events.append(PartStart(_parse_headers(piece[at + 2 : end])))
        self._state = _State.BODY_START
        return end + 2

    def _body_start(self, piece: bytes, at: int) -> int | None:
        """A part may have no body at all: then the line end just passed is its boundary's."""
        begin = piece[at : at + len(self._delimiter)]
        if len(begin) < len(self._delimiter) and self._delimiter.startswith(begin):
            self._carry = begin
            return None
        self._state = _State.BODY
        return at if begin == self._delimiter else at + 2

    def _content(self, piece: bytes, at: int, events: list[Event]) -> int | None:
        """The preamble, or the body of a part, as far as the next boundary."""
        end, after, state = self._find_boundary(piece, at)
        if self._state is _State.BODY:
            if end > at:
                events.append(PartData(memoryview(piece)[at:end]))
            if state is not None:
                events.append(_PART_END)
        else:
            self._preamble += end - at
            if self._preamble > self._limits.preamble + 2:
                raise MultipartError(
                    "the boundary that the Content-Type names does not begin the message"
                )
        if state is None:
            self._carry = piece[end:]
            return None
        self._state = state
        if state is _State.EPILOGUE:
            events.append(_END)
            return None
        self._parts += 1
        if self._parts > self._limits.parts:
            raise MultipartError(
                f"the message has more than {self._limits.parts} parts",
                hint="send fewer at once",
            )
        return after

    def _find_boundary(self, piece: bytes, at: int) -> tuple[int, int, _State | None]:
        """Where content ends, where to go on, and in which state; None if undecided."""
        delimiter = self._delimiter
        search = at
        while (found := piece.find(delimiter, search)) >= 0:
            after = found + len(delimiter)
            if piece.startswith(b"--", after):
                return found, len(piece), _State.EPILOGUE
            if line_end := _LINE_END.match(piece, after):
                return found, line_end.end() - 2, _State.HEADERS
            if _LINE_END_TO_BE.fullmatch(piece, after):
                return found, found, None
            # Not a line of its own: content that looks like a boundary, so content.
            search = found + 1
        # Only a line end can begin a boundary, and a boundary holds no other.
        last = piece.rfind(b"\r", max(at, len(piece) - len(delimiter) + 1))
        end = last if last >= 0 and delimiter.startswith(piece[last:]) else len(piece)
        return end, end, None


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    if not block:
        return headers
    # RFC 5322 2.2.3: a line that begins with white space continues the one before.
    for line in re.sub(rb"\r\n[ \t]+", b" ", block).split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise MultipartError("a header line of a part can't be understood")
        text = value.strip().decode("utf-8", "replace")
        headers.setdefault(name.strip().decode("ascii", "replace").lower(), text)
    return headers


class Part:
    """One part while it passes by: its headers, and its body exactly once."""

    def __init__(self, headers: Mapping[str, str], body: AsyncIterator[memoryview]) -> None:
        self.headers = headers
        self._body = body

    @property
    def content_type(self) -> str:
        """Its Content-Type, as sent; empty if there is none."""
        return self.headers.get("content-type", "")

    def __aiter__(self) -> AsyncIterator[memoryview]:
        """The body in pieces, as they arrive. What is not read is skipped by the next part."""
        return self._body


async def read_parts(
    chunks: AsyncIterable[bytes], boundary: str, *, limits: MultipartLimits = MultipartLimits()
) -> AsyncGenerator[Part]:
    """The parts of a message, each to be read before the next is asked for.

    Raises:
        MultipartError: The message can't be understood or ends early; also while a body is read.
    """
    parser = MultipartParser(boundary, limits=limits)
    async with aclosing(_events(chunks, parser)) as source:
        async for event in source:
            if isinstance(event, PartStart):
                body = _body(source)
                yield Part(event.headers, body)
                async for _ in body:
                    pass


async def _events(chunks: AsyncIterable[bytes], parser: MultipartParser) -> AsyncGenerator[Event]:
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
    parser.finish()


async def _body(source: AsyncIterator[Event]) -> AsyncIterator[memoryview]:
    async for event in source:
        if not isinstance(event, PartData):
            return
        yield event.data


PART_CLOSING = b"\r\n"
"""Follows the body of each part."""


def new_boundary() -> str:
    """A boundary that nobody can guess, and so no content can hold by intent."""
    return secrets.token_hex(20)


def content_type_of(media_type: str, boundary: str) -> str:
    """The Content-Type of a multipart/related message of such parts (PS3.18 8.7.2)."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def part_opening(boundary: str, headers: Mapping[str, str]) -> bytes:
    """Boundary, headers and blank line: what stands before the body of a part.

    Raises:
        ValueError: A header holds a line end.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header of a part must not hold a line end")
    return f"--{boundary}\r\n{lines}\r\n".encode()


def closing(boundary: str) -> bytes:
    """What stands after the last part."""
    return f"--{boundary}--\r\n".encode("ascii")
