"""A Tang server: Debian's ``tangd``, one process for each connection, as systemd's socket has it.

Owns the server's keys, in a folder, and a port of loopback. ``stop`` takes the port away and
``start`` gives it back, like a server that is away for a while.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Self

from edge.others import KeyServer
from tests.ports import free_port

__all__ = ["Tang", "missing"]

_PLACES = ("/usr/libexec", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


def _program(name: str) -> str:
    return shutil.which(name, path=":".join(_PLACES)) or ""


def missing() -> str:
    """Why there can be none here; empty if there can."""
    if not _program("tangd") or shutil.which("jose") is None:
        return "needs Debian's packages tang and jose"
    return ""


class Tang:
    """It; leaving the block ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.new_keys()
        self.port = free_port()
        self.asked: list[bytes] = []
        self._door: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def thumbprint(self) -> str:
        """Of its signing key, by its own tools."""
        (path,) = (p for p in self.folder.glob("[!.]*.jwk") if "verify" in p.read_text())
        told = subprocess.check_output(["jose", "jwk", "thp", "-i", str(path), "-a", "S256"])
        return told.decode().strip()

    @property
    def server(self) -> KeyServer:
        return KeyServer(self.url, self.thumbprint)

    def new_keys(self) -> None:
        """Other keys in place of those that are there."""
        for path in self.folder.glob("*.jwk"):
            path.unlink()
        subprocess.run([_program("tangd-keygen"), str(self.folder), "sig", "exc"], check=True)

    def new_exchange_key(self) -> None:
        """A new key to bind to; who is bound to the one before is still answered."""
        (path,) = self.folder.glob("exc.jwk")
        path.rename(path.with_name(".old.jwk"))
        made = subprocess.check_output(["jose", "jwk", "gen", "-i", '{"alg":"ECMR"}'])
        (self.folder / "exc2.jwk").write_bytes(made)

    def advertised(self) -> dict[str, object]:
        """What it says of itself."""
        answer = self._answer(b"GET /adv HTTP/1.1\r\nHost: a\r\n\r\n")
        found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return found

    def start(self) -> None:
        if self._door is None:
            self._door = socket.create_server(("127.0.0.1", self.port))
            self._thread = threading.Thread(target=self._accept, args=(self._door,))
            self._thread.start()

    def stop(self) -> None:
        if self._door is not None and self._thread is not None:
            # It wakes who waits for a connection, too.
            with contextlib.suppress(OSError):
                self._door.shutdown(socket.SHUT_RDWR)
            self._door.close()
            self._thread.join()
            self._door = self._thread = None

    def _accept(self, door: socket.socket) -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            with connection:
                request = self._request(connection)
                self.asked.append(request)
                with contextlib.suppress(OSError):
                    connection.sendall(self._answer(request))

    @staticmethod
    def _request(connection: socket.socket) -> bytes:
        got = bytearray()
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in got and (piece := connection.recv(65536)):
                got += piece
            head, _, body = bytes(got).partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            while len(body) < length and (piece := connection.recv(65536)):
                body += piece
                got += piece
        return bytes(got)

    def _answer(self, request: bytes) -> bytes:
        program = [_program("tangd"), str(self.folder)]
        return subprocess.run(program, input=request, capture_output=True, check=False).stdout
