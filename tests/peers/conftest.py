"""Fixtures of the peers: an edge for each file of tests, as a process of its own."""

from __future__ import annotations

import pytest

from tests.bench.servers import Edge
from tests.conformance.service import Service


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    """A running edge; its ``web`` says where, and with which token."""
    server = Edge(tmp_path_factory.mktemp("edge"))
    try:
        server.start()
        yield server
    finally:
        server.discard()


@pytest.fixture(scope="module")
def service(edge):
    """That edge's DICOMweb service, for requests as bytes and headers."""
    headers = {"Authorization": edge.web.authorization}
    with Service(f"http://127.0.0.1:{edge.web.port}/dicom-web", headers=headers) as made:
        yield made
