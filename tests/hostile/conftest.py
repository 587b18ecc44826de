"""Fixtures of hostile input: an edge of its own, watched while it is mistreated.

After every test the service must be alive, answer at once, and hold no more memory than `SPARE`
above what it held before; pixels are decoded in processes of their own, which count, too.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.bench.watch import Watch
from tests.conformance.running import running_edge, service_of

SPARE = 300e6
"""Bytes: generous beside what is sent and claimed here, which is gigabytes."""


@pytest.fixture(scope="session")
def edge(tmp_path_factory):
    with running_edge(tmp_path_factory.mktemp("edge")) as server:
        yield server


@pytest.fixture(scope="session")
def service(edge):
    with service_of(edge) as made:
        yield made


@pytest.fixture(autouse=True)
def _it_survives(edge, service):
    """Alive, quick, and within its memory."""
    pid = edge.pid
    held = _resident(pid)
    with Watch(pid) as watch:
        yield
        began = time.monotonic()
        answer = service.get("/studies", "application/dicom+json", PatientID="nobody at all")
        took = time.monotonic() - began
    assert edge.pid == pid
    assert answer.status_code in (200, 204), answer.text
    assert took < 10, "it took long to answer afterwards"
    more = watch.peak_bytes - held
    assert more < SPARE, f"it held {more / 1e6:.0f} MB more"


def _resident(pid: int) -> int:
    """Bytes that a process holds now."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    )
    return int(fields["VmRSS"].split()[0]) * 1024


class Wire:
    """A connection on which anything may be sent."""

    def __init__(self, port: int, authorization: str) -> None:
        # From another address than the service's own clients: a cap on one host is not theirs.
        source = ("127.0.0.2", 0)
        self._socket = socket.create_connection(("127.0.0.1", port), 30, source_address=source)
        self.head = f"Host: 127.0.0.1:{port}\r\nAuthorization: {authorization}\r\n"

    def send(self, data: bytes) -> bool:
        """Whether the other side still took it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def status(self) -> int:
        """Of the answer; 0 if the connection was closed without one."""
        answer = b""
        try:
            while b"\r\n" not in answer and len(answer) < 4096:
                data = self._socket.recv(4096)
                if not data:
                    break
                answer += data
        except ConnectionError:
            pass
        words = answer.split(b" ", 2)
        return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") else 0

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def wire(edge):
    """Makes such connections."""
    made: list[Wire] = []

    def connect() -> Wire:
        made.append(Wire(edge.web.port, edge.web.authorization))
        return made[-1]

    yield connect
    for one in made:
        one.close()
