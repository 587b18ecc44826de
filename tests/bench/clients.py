"""The clients alone, against a server that only sends: what they could take if servers were free.

Says in one sentence below the table how far the clients are from bounding what is measured with
them. Has no line of its own, for there is nothing to be ahead of.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.crowd import Request
from tests.bench.retrieval import CLIENTS
from tests.bench.servers import Web
from tests.bench.stand import Stand
from tests.bench.workplace import BenchError

__all__ = ["measure", "sender"]

_LARGE, _SMALL = 64 * 1024 * 1024, 2_000
_PIECE = bytes(1024 * 1024)


def measure(stand: Stand) -> None:
    """Measure it."""
    found = []
    with sender() as web:
        for clients in CLIENTS:
            large = stand.ask(web, [[Request(f"/{_LARGE}", least=_LARGE)]] * clients)
            small = stand.ask(web, [[Request(f"/{_SMALL}", least=_SMALL)]] * clients)
            found.append(
                f"{large.megabytes_per_second:,.0f} MB/s and {small.per_second:,.0f} answers/s"
                f" by {clients}"
            )
    stand.note(f"Clients alone, of a server that only sends: {', '.join(found)}.")


@contextmanager
def sender() -> Iterator[Web]:
    """The server, a process of its own; ``/N`` gives N bytes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_serve, args=(listening,), daemon=True)
        process.start()
        port = listening.getsockname()[1]
    try:
        yield Web(port, "")
    finally:
        process.kill()
        process.join()


def _serve(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    """So many bytes as the path says, to every request."""
    with connection, contextlib.suppress(OSError):
        while request := connection.recv(65536):
            if not request.endswith(b"\r\n\r\n"):
                raise BenchError("the request came in pieces")
            left = int(request.split(b" ", 2)[1].lstrip(b"/"))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode("ascii")
            connection.sendall(head + _PIECE[: min(left, _SMALL)])
            left -= min(left, _SMALL)
            while left:
                connection.sendall(_PIECE[: min(left, len(_PIECE))])
                left -= min(left, len(_PIECE))
