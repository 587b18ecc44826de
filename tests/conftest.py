"""Fixtures that every test may use; a door's own stand in its folder's conftest.py.

Promises that a test which lets code of ``edge/`` block the event loop fails, and that nothing here
reaches beyond loopback.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import httpx  # noqa: F401 - loaded here: with rich beside it, it asks for the working folder
import pytest
import trustme
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from edge import child
from tests import nursery, ports, samples

# How long an example takes is the machine's affair.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


@pytest.fixture(scope="session", autouse=True)
def as_installed() -> Iterator[None]:
    """``edge``, as tests start it, finds the packages of the box alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(nursery.INSTALLED), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def nobody_is_trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """By us, but a stranger: to read all whom the machine trusts takes every client 25 ms."""
    stranger = tmp_path_factory.mktemp("trusted") / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(stranger))
        yield


@pytest.fixture(scope="session", autouse=True)
def forked_from_a_nursery() -> Iterator[None]:
    """Stores and pixel workers of services in this process: for those in others see there."""
    with ExitStack() as stack:

        @cache
        def started() -> nursery.Nursery:
            return stack.enter_context(nursery.started())

        with nursery.in_use(lambda *words, **options: started().spawn(*words, **options)):
            yield


@pytest.fixture
def started_as_in_a_box() -> Iterator[None]:
    """Stores and pixel workers are interpreters of their own, as in the product."""
    with nursery.in_use(child.spawn):
        yield


@pytest.fixture(scope="session")
def _blockbuster() -> Iterator[BlockBuster]:
    # Only frames of edge/ count: a test, or a library under it, may block as it likes.
    blockbuster = BlockBuster("edge")
    blockbuster.activate()
    yield blockbuster
    blockbuster.deactivate()


@pytest.fixture(autouse=True)
def blocking_calls_are_found(
    request: pytest.FixtureRequest, _blockbuster: BlockBuster
) -> Iterator[None]:
    """File I/O, sleeping or waiting in the event loop raises ``BlockingError``."""
    allowed = request.node.get_closest_marker("blocks") is not None
    if allowed:
        _blockbuster.deactivate()
    yield
    if allowed:
        _blockbuster.activate()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds a TCP port of loopback that is free now."""
    return ports.free_port


@pytest.fixture(scope="session")
def packaged() -> Callable[[str], Path]:
    """Finds a file that pydicom packages: ``packaged("CT_small.dcm")``."""
    return samples.packaged_file


def pytest_collection_finish() -> None:
    """Have no collection of garbage look through thousands of tests: none of them is any."""
    gc.collect()
    gc.freeze()
