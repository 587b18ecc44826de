"""An edge as a process of its own, and its DICOMweb service: for tests that only talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.servers import Edge
from tests.conformance.service import Service


@contextmanager
def running_edge(folder: Path) -> Iterator[Edge]:
    """A running edge; its ``web`` says where, and with which token."""
    server = Edge(folder)
    try:
        server.start()
        yield server
    finally:
        server.discard()


@contextmanager
def service_of(edge: Edge) -> Iterator[Service]:
    """That edge's DICOMweb service, for requests as bytes and headers."""
    headers = {"Authorization": edge.web.authorization}
    with Service(f"http://127.0.0.1:{edge.web.port}/dicom-web", headers=headers) as made:
        yield made
