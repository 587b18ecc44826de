"""The client: HTTP/1.1 over a bare socket, too cheap to bound what is measured.

Reads into one buffer that is used again and again; bodies are counted, and kept only if asked for.
Speaks what the servers under measurement speak: a length, chunks, or a body up to the end of the
connection. Files are sent by the kernel. Never follows redirects, never decompresses.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.workplace import BenchError

__all__ = ["Answer", "Piece", "Reader"]

Piece = bytes | Path
"""A part of what is sent: as it is, or what is in a file."""

_BUFFER = 1024 * 1024
_MAX_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    content_type: str
    length: int
    """Bytes of the body, less the framing of chunks."""
    body: bytes
    """Empty unless it was to be kept."""
    seconds: float
    """From the first byte of the request to the last of the body."""


class Reader:
    """One connection that is kept alive, and made again when the server closes it.

    Args:
        port: On loopback.
        headers: Sent with every request.
        seconds: One request may take so long.
    """

    def __init__(self, port: int, headers: Mapping[str, str], *, seconds: float = 120.0) -> None:
        self._port = port
        lines = {"Host": f"127.0.0.1:{port}", "User-Agent": "bench", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        self._deadline = 0.0
        self._kept: bytearray | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def get(self, path: str, *, accept: str = "*/*", keep: bool = False) -> Answer:
        """Ask for a resource, and take the whole of it.

        Args:
            path: With its query.
            accept: The Accept header.
            keep: Whether the answer shall have the body.

        Raises:
            OSError: The connection failed or the time is over.
            BenchError: The answer is not HTTP, or ends too early.
        """
        head = f"GET {path} HTTP/1.1\r\n{self._headers}Accept: {accept}\r\n\r\n"
        return self._exchange([head.encode("ascii")], keep=keep)

    def post(
        self,
        path: str,
        content_type: str,
        body: Sequence[Piece],
        *,
        accept: str = "*/*",
        keep: bool = False,
    ) -> Answer:
        """Send a body, and take the whole of the answer.

        Raises:
            OSError, BenchError: As ``get``.
        """
        length = sum(
            piece.stat().st_size if isinstance(piece, Path) else len(piece) for piece in body
        )
        head = (
            f"POST {path} HTTP/1.1\r\n{self._headers}Accept: {accept}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        return self._exchange([head.encode("ascii"), *body], keep=keep)

    def _exchange(self, pieces: Sequence[Piece], *, keep: bool) -> Answer:
        connection = self._connected()
        begun = time.perf_counter()
        self._deadline = begun + self._seconds
        self._start = self._end = 0
        self._kept = bytearray() if keep else None
        try:
            for piece in pieces:
                if isinstance(piece, Path):
                    with piece.open("rb") as file:
                        connection.sendfile(file)
                else:
                    connection.sendall(piece)
            status, headers = self._head()
            length, closes = self._body(headers)
        except BaseException:
            self.close()
            raise
        seconds = time.perf_counter() - begun
        if closes:
            self.close()
        kind = headers.get("content-type", "")
        return Answer(status, kind, length, bytes(self._kept or b""), seconds)

    def connect(self) -> None:
        """Make the connection, if there is none; the first request does it otherwise.

        Raises:
            OSError: Nobody listens.
        """
        self._connected()

    def _connected(self) -> socket.socket:
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            # Nothing is waited for, so this is the end: it was idle for too long.
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(min(self._seconds, 30))
        return self._socket

    def _head(self) -> tuple[int, dict[str, str]]:
        version, _, rest = self._line().partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not status.isdecimal():
            raise BenchError("the answer is not HTTP")
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(status), headers

    def _body(self, headers: Mapping[str, str]) -> tuple[int, bool]:
        """Take it; its length, and whether the server will close the connection."""
        closes = headers.get("connection", "").lower() == "close"
        if headers.get("transfer-encoding", "").lower() == "chunked":
            length = 0
            while size := int(self._line().partition(";")[0], 16):
                self._take(size)
                self._line()
                length += size
            while self._line():
                pass
            return length, closes
        if "content-length" in headers:
            length = int(headers["content-length"])
            self._take(length)
            return length, closes
        length = 0
        while self._start < self._end or self._fill():
            length += self._end - self._start
            self._take(self._end - self._start)
        return length, True

    def _take(self, count: int) -> None:
        """Take so many bytes of the body."""
        while count:
            if self._start == self._end and not self._fill():
                raise BenchError("the answer ended too early")
            step = min(count, self._end - self._start)
            if self._kept is not None:
                self._kept += self._buffer[self._start : self._start + step]
            self._start += step
            count -= step

    def _line(self) -> str:
        line = bytearray()
        while len(line) < _MAX_HEAD:
            if self._start == self._end and not self._fill():
                raise BenchError("the answer ended too early")
            seen = bytes(self._buffer[self._start : min(self._end, self._start + 4096)])
            at = seen.find(b"\n")
            line += seen if at < 0 else seen[: at + 1]
            self._start += len(seen) if at < 0 else at + 1
            if at >= 0:
                return line.decode("latin-1").rstrip("\r\n")
        raise BenchError("the head of the answer is too long")

    def _fill(self) -> bool:
        """Receive more, when nothing is left; False at the end of the connection."""
        assert self._socket is not None
        if time.perf_counter() > self._deadline:
            raise BenchError(f"an answer took more than {self._seconds:.0f} s")
        self._start, self._end = 0, self._socket.recv_into(self._buffer)
        return self._end > 0
