"""Several archives are read from as one."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from edge import others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.several import Several
from edge.errors import CloudUnreachable, InstanceNotFound
from tests import samples
from tests.fakes.archive import FakeArchive

ONE, OTHER = samples.ct_series(2, rows=8, columns=8)


@pytest.fixture
async def both():
    """Two archives, and what reads from both."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(FakeArchive())
        second = await stack.enter_async_context(FakeArchive())
        drivers = [
            await stack.enter_async_context(DicomwebArchive(others.Archive(name, fake.url)))
            for name, fake in (("first", first), ("second", second))
        ]
        yield first, second, Several(drivers)


async def read(several, sample):
    return b"".join([piece async for piece in several.retrieve_instance(sample.ref)])


async def test_the_first_that_has_it_gives_it(both):
    first, second, several = both
    first.put(ONE.data)
    second.put(ONE.data)
    second.put(OTHER.data)
    assert await read(several, ONE) == ONE.data
    assert not second.requests
    assert await read(several, OTHER) == OTHER.data
    assert await several.lists(OTHER.ref)
    study = await several.describe_study(OTHER.ref.study_uid)
    assert study is not None
    assert several.name == "first or second"
    assert several.primary.name == "first"


async def test_it_is_nowhere_only_if_all_say_so(both):
    first, second, several = both
    with pytest.raises(InstanceNotFound):
        await read(several, ONE)
    assert not await several.lists(ONE.ref)
    assert await several.describe_study(ONE.ref.study_uid) is None
    await first.stop()
    with pytest.raises(CloudUnreachable, match="first"):
        await read(several, ONE)
    with pytest.raises(CloudUnreachable):
        await several.lists(ONE.ref)
    second.put(ONE.data)
    assert await several.lists(ONE.ref)


async def test_one_that_could_not_be_reached_is_asked_last(both):
    first, second, several = both
    second.put(ONE.data)
    await first.stop()
    assert await read(several, ONE) == ONE.data
    assert [one.name for one in several._in_order()] == ["second", "first"]
    assert await several.retrieve_metadata(ONE.ref.study_uid)
