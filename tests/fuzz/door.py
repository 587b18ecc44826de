"""A whole box behind its HTTP door, to which anything may be sent; what it says is looked at.

Whatever comes, an answer is whole, is not the server's own fault, holds no header line that was
smuggled in, and leaves nothing about a patient in the log.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from aiohttp import web

from edge.access.roles import Role
from tests.journeys import box
from tests.samples import packaged_file

LONGEST = 60.0
"""Seconds until a request must be answered: a hang, otherwise."""
CANARY = "Zwetschge"
"""Stands in what is asked, and may stand in no log and in no header."""
SMUGGLED = b"X-Smuggled"
FILES = (
    "CT_small.dcm",
    "reportsi.dcm",
    "rtplan.dcm",
    "rtdose.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_rle_2frame.dcm",
    "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
)
_UID = re.compile(r"[0-9]+(\.[0-9]+){5,}")
_MOST_ANSWER = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """A request, whose target and header fields may be any bytes without a line end."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    role: str = Role.PHYSICIAN
    """Of the token that is sent along; empty: none."""

    def to_bytes(self, authorization: str) -> bytes:
        names = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} ".encode() + _in_line(self.target) + b" HTTP/1.1"]
        if b"host" not in names:
            lines.append(b"Host: 127.0.0.1")
        if authorization:
            lines.append(f"Authorization: {authorization}".encode())
        if self.body and not names & {b"content-length", b"transfer-encoding"}:
            lines.append(b"Content-Length: %d" % len(self.body))
        lines += [_in_line(name) + b": " + _in_line(value) for name, value in self.headers]
        lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


def _in_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        found = re.search(rf"(?im)^{name}:[ \t]*(.*?)\r?$".encode(), self.head)
        return found[1].decode("latin-1") if found else ""


class Lines(logging.Handler):
    """Every line of the log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], web.RequestPayloadError):
            return  # the rest of a body that nobody reads; the product's log has no such lines
        text = f"{record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" {record.exc_info[1]!r}"
        self.lines.append((record.levelno, text))


@dataclass
class Door:
    """The box, as it is asked."""

    box: box.Box
    log: Lines
    known: list[pydicom.Dataset]
    """Headers of the instances that it has from the beginning."""
    tokens: dict[str, str]
    port: int = 0
    secrets: tuple[str, ...] = field(default=(CANARY,))
    """What may stand in no log."""

    async def ask(self, request: Request, *, or_else: tuple[int, ...] = ()) -> Answer:
        """The answer, looked at.

        Args:
            request: What is asked.
            or_else: Statuses from 500 on that are right nevertheless.
        """
        token = self.tokens.get(request.role, "")
        sent = request.to_bytes(f"Bearer {token}" if token else "")
        async with asyncio.timeout(LONGEST):
            heard = await self.exchange(sent)
        answer = parsed(heard)
        assert answer is not None, heard[:200]
        assert answer.status < 500 or answer.status in or_else, (answer.status, answer.body[:500])
        assert SMUGGLED not in answer.head, answer.head
        body = answer.body
        if answer.header("Content-Encoding") == "gzip" and body:
            body = gzip.decompress(body)
        if body and answer.header("Content-Type").endswith("json"):
            json.loads(body)
        self.look_at_log()
        return answer

    async def exchange(self, data: bytes, source: str = "127.0.0.1") -> bytes:
        """Send from an address, and read to the end."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        heard = bytearray()
        try:
            with suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
            with suppress(ConnectionError):
                while piece := await reader.read(1 << 18):
                    heard += piece
                    assert len(heard) < _MOST_ANSWER
        finally:
            writer.close()
        return bytes(heard)

    def look_at_log(self) -> None:
        """Nothing in it that nobody foresaw, and nothing about a patient."""
        lines, self.log.lines = self.log.lines, []
        for level, line in lines:
            assert level < logging.ERROR, line
            assert not any(secret in line for secret in self.secrets), line
            assert not _UID.search(line), line


def parsed(heard: bytes) -> Answer | None:
    """An answer of HTTP/1.1, chunks put together; None if it is none."""
    head, found, body = heard.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not found or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return None
    answer = Answer(int(words[1]), head, body)
    if answer.header("Transfer-Encoding") == "chunked":
        whole, rest = b"", body
        while True:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size or b"0", 16)
            if not length:
                return Answer(answer.status, head, whole)
            whole, rest = whole + rest[:length], rest[length + 2 :]
    return answer


@asynccontextmanager
async def _running(log: Lines, folder: Path, **sections: Any) -> AsyncIterator[Door]:
    async with box.running(box.settings(folder, **sections)) as running:
        paths = [packaged_file(name) for name in FILES]
        known = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in paths:
                known.append(pydicom.dcmread(path, stop_before_pixels=True))
                await admit(running, path.read_bytes())
            names = {str(one.get("PatientName", "")) for one in known}
            ids = {str(one.get("PatientID", "")) for one in known}
        tokens = {role: await running.token(role) for role in (Role.PHYSICIAN, Role.ADMIN)}
        secrets = tuple(word for word in names | ids if len(word) > 6)
        yield Door(running, log, known, tokens, running.appliance.http_port, (CANARY, *secrets))


async def admit(running: box.Box, *pieces: bytes) -> Any:
    """Store an instance by the one way in."""
    from edge.cache.admission import Source  # noqa: PLC0415
    from edge.dicom.instance import Origin  # noqa: PLC0415

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return await running.appliance.admission.store_instance(chunks(), Source(Origin.DIMSE, "FUZZ"))


@contextmanager
def opened(act: Callable[[Door, Any], Any], **sections: Any) -> Iterator[Callable[[Any], None]]:
    """A box for the length of a round; *act* is called with each example, and awaited."""
    log, root, ours = Lines(), logging.getLogger(), logging.getLogger("edge")
    before = ours.level
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        door = runner.run(stack.enter_async_context(_running(log, Path(folder), **sections)))
        root.addHandler(log)
        ours.setLevel(logging.DEBUG)
        try:
            yield lambda example: runner.run(act(door, example))
        finally:
            ours.setLevel(before)
            root.removeHandler(log)
            runner.run(stack.aclose())
