from __future__ import annotations

import pytest

from edge import others
from edge.cloud.archive import Outgoing
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.token_endpoint import TokenEndpoint
from edge.cloud.transport import Timeouts, new_client
from edge.dicom.instance import InstanceRef
from tests.fakes.archive import FakeArchive
from tests.fakes.token_endpoint import FakeTokenEndpoint
from tests.samples import ct_series


def outgoing(part, data=None, *, size=None, pieces=4096):
    """A sample on its way out, perhaps with other bytes or another size than it says."""
    content = part.data if data is None else data

    async def stream():
        for at in range(0, len(content), pieces):
            yield content[at : at + pieces]

    return Outgoing(part.ref, len(content) if size is None else size, stream)


@pytest.fixture
def slices():
    """Five small CT slices of one series."""
    return list(ct_series(5, rows=16, columns=16))


@pytest.fixture
async def fake():
    async with FakeArchive() as archive:
        yield archive


@pytest.fixture
async def client(fake):
    """Of the fake archive, with little patience."""
    timeouts = Timeouts(connect=2.0, read=2.0, write=2.0, store=2.0, answer=5.0)
    async with DicomwebArchive(others.Archive("cloud", fake.url), timeouts=timeouts) as archive:
        yield archive


@pytest.fixture
def nowhere():
    return InstanceRef("1.2.3", "1.2.3.4", "1.2.3.4.5")


@pytest.fixture
async def tokens():
    async with FakeTokenEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint():
    """Asks for tokens, with little patience."""

    def connect(encrypted):
        timeouts = Timeouts(connect=2.0, read=2.0, write=2.0)
        return new_client(None, None, timeouts, encrypted=encrypted)

    return TokenEndpoint("cloud", connect, seconds=2.0)
