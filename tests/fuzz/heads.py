"""Bytes at the HTTP port that are no request, or several, or nearly one; with TLS and without.

Whatever comes, every answer is one of HTTP and none is the server's own fault; afterwards the port
answers as ever, and the log holds nothing of what was sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from hypothesis import strategies as st

from tests.fuzz import files
from tests.fuzz.door import CANARY, SMUGGLED, Door, Request, opened
from tests.fuzz.mutation import changes, mutated
from tests.fuzz.targets import Target

_IDLE = 0.04
"""Seconds without a byte after which nothing more is waited for: heads that never come whole."""
_FOREIGN = frozenset({501, 505})
"""Methods and versions that nobody knows."""


@dataclass(frozen=True)
class Noise:
    """What goes over one connection."""

    data: bytes
    cuts: tuple[int, ...]
    below: str
    """``plain``, or ``tls``: behind a handshake."""
    resets: bool


async def _http(door: Door, noise: Noise) -> None:
    heard = await _say(door, noise)
    if not (noise.below == "plain" and b"speaks HTTPS" in heard):
        _check(heard)
    door.look_at_log()


async def _tls(door: Door, noise: Noise) -> None:
    await _http(door, noise)
    context = _context()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)
    writer.write(Request("GET", b"/healthz").to_bytes(""))
    heard = await reader.read(1 << 16)
    writer.close()
    assert heard.startswith(b"HTTP/1.1 200"), heard[:100]
    door.look_at_log()


def _check(heard: bytes) -> None:
    """Answers one behind another, as far as they came."""
    while heard:
        head, found, rest = heard.partition(b"\r\n\r\n")
        if not found:
            return
        words = head.split(b" ", 2)
        if words[0] not in (b"HTTP/1.1", b"HTTP/1.0"):
            return  # the body of an answer whose end is another; or no HTTP, but an alert of TLS
        status = int(words[1])
        assert status < 500 or status in _FOREIGN, heard[:500]
        assert SMUGGLED not in head, head
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        heard = rest[length:]


async def _say(door: Door, noise: Noise) -> bytes:
    context = _context() if noise.below == "tls" else None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)
    except (ConnectionError, ssl.SSLError):
        return b""
    heard = bytearray()
    try:
        with suppress(ConnectionError, ssl.SSLError):
            for piece in files.pieces(noise.data, noise.cuts):
                writer.write(piece)
                await writer.drain()
            if noise.resets:
                writer.transport.abort()
                return b""
            if context is None:
                writer.write_eof()
            while True:
                async with asyncio.timeout(_IDLE):
                    piece = await reader.read(1 << 18)
                if not piece:
                    break
                heard += piece
    except TimeoutError:
        pass
    finally:
        writer.close()
    return bytes(heard)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_LINES = (
    b"GET /dicom-web/studies?PatientName=" + CANARY.encode() + b" HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n",
    b"GET /healthz HTTP/1.0\r\n",
    b"POST /dicom-web/studies HTTP/1.1\r\n",
    b"POST /api/v1/peers HTTP/1.1\r\n",
    b"HEAD /dicom-web/studies HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET  /  HTTP/1.1\r\n",
    b"GET / HTTP/1.1\n",
    b"GET / HTTP/9.9\r\n",
    b"GET /\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\n",
    b"GET //evil.example/%2e%2e HTTP/1.1\r\n",
    b"G\xc3\x84T / HTTP/1.1\r\n",
    b"\r\n\r\n",
    b"ZWETSCHGE / HTTP/1.1\r\n",
)
_FIELDS = (
    b"Host: 127.0.0.1\r\n",
    b"Host: 127.0.0.1\r\n",
    b"Host: \xff\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive, close, x\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"TE: trailers\r\nTrailer: X\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: " + CANARY.encode() + b"\r\n",
    b"Content-Type: application/dicom\r\n",
    b'Content-Type: multipart/related; type="application/dicom"; boundary=B\r\n',
    b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: br, zstd\r\n",
    b"Authorization: Bearer x\r\n",
    b"Authorization: Basic \xff\r\n",
    b"Authorization: Basic " + b"QQ" * 3000 + b"\r\n",
    b"Authorization: Basic Og==\r\n",
    b"Cookie: a=b; =; ;;\r\n",
    b"Origin: null\r\n",
    b"X: " + b"y" * 9000 + b"\r\n",
    b"X" * 300 + b": y\r\n",
    b"X: y\r\n z\r\n",
    b": y\r\n",
    b"X\r\n",
    b"X: \0\r\n",
    b"X: a\rX-Smuggled: b\r\n",
    b"x: y\n",
)
_BODIES = (
    b"\r\n",
    b"\r\n",
    b"\r\nhello",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"\r\n5;x=y\r\nhello\r\n0\r\nX-Smuggled: y\r\n\r\n",
    b"\r\nffffffffffffffffff\r\nhello",
    b"\r\n-5\r\nhello\r\n0\r\n\r\n",
    b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    b"\r\n5\nhello\n0\n\n",
    b"\r\n0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    b"\r\n--B\r\n\r\n\r\n--B--",
    b"\r\nGET /api/v1/status HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\n",
    b"",
)
_ONE = st.builds(
    lambda line, fields, body, some, plain: (
        line + b"".join(fields) + body if plain else mutated(line + b"".join(fields) + body, some)
    ),
    st.sampled_from(_LINES),
    st.lists(st.sampled_from(_FIELDS), max_size=5),
    st.sampled_from(_BODIES),
    changes(),
    st.booleans(),
)
_REQUESTS = st.lists(_ONE, min_size=1, max_size=3).map(b"".join)


def _hello(**versions: ssl.TLSVersion) -> bytes:
    """What a client of TLS says first."""
    context, arrived, sent = _context(), ssl.MemoryBIO(), ssl.MemoryBIO()
    for name, version in versions.items():
        setattr(context, name, version)
    speaking = context.wrap_bio(arrived, sent, server_hostname="edge.local")
    with suppress(ssl.SSLWantReadError):
        speaking.do_handshake()
    return sent.read()


HELLOS = [
    _hello(),
    _hello(maximum_version=ssl.TLSVersion.TLSv1_2),
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(36),
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x16\x03\x03\xff\xff" + bytes(100),
    b"\x17\x03\x03\x00\x10" + bytes(16),
]


def _noises(below: Sequence[str], data: st.SearchStrategy[bytes]) -> st.SearchStrategy[Noise]:
    return st.builds(
        Noise,
        data,
        st.lists(st.integers(0, 999), max_size=4).map(tuple),
        st.sampled_from(below),
        st.sampled_from((False, False, False, False, True)),
    )


_HANDSHAKES = st.builds(mutated, st.sampled_from(HELLOS), changes())


def _opened(act: Callable[..., object], tls: str) -> Callable[..., object]:
    return partial(opened, act, http={"tls": tls})


HEADS = (
    Target("http", _noises(("plain",), _REQUESTS), _opened(_http, "off"), Noise, seconds=20.0),
    Target(
        "tls",
        st.one_of(_noises(("plain",), _HANDSHAKES), _noises(("plain", "tls", "tls"), _REQUESTS)),
        _opened(_tls, "auto"),
        Noise,
        seconds=20.0,
    ),
)
