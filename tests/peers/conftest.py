"""Fixtures of the peers: an edge for each file of tests, as a process of its own."""

from __future__ import annotations

import pytest

from tests.conformance.running import running_edge, service_of


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    with running_edge(tmp_path_factory.mktemp("edge")) as server:
        yield server


@pytest.fixture(scope="module")
def service(edge):
    with service_of(edge) as made:
        yield made
