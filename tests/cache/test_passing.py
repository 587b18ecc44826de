"""What passes through: whole, of bounded memory, and never anything else."""

from __future__ import annotations

import dataclasses
from contextlib import AsyncExitStack

import pytest

from edge import others
from edge.cache.content import PIECE
from edge.cache.passing import Passage
from edge.cloud.dicomweb import DicomwebArchive
from edge.dicom.digest import Digester
from edge.errors import CloudError, CloudUnreachable, InstanceNotFound
from tests.fakes.archive import FakeArchive, Fault
from tests.samples import ct_series


@pytest.fixture
async def archive():
    async with FakeArchive() as running:
        yield running


@pytest.fixture
async def passage_of(archive):
    async with DicomwebArchive(others.Archive(name="cloud", url=archive.url)) as cloud:
        yield lambda held: Passage(cloud, held=held)


@pytest.fixture
def sample(archive):
    """Of two blocks and a bit."""
    (made,) = ct_series(1, rows=1024, columns=1100)
    assert 2 * PIECE < len(made.data) < 3 * PIECE
    archive.put(made.data)
    return made


def asked(archive):
    """How often an instance was retrieved."""
    return sum("/instances/" in path for _, path, _ in archive.requests)


async def whole(instance):
    return b"".join([piece async for piece in instance.stream()])


async def frame(instance):
    return b"".join([piece async for piece in instance.frame(1)])


@pytest.mark.parametrize("held", [0, 2, 3])
async def test_an_instance_of_any_length_passes(passage_of, archive, sample, held):
    async with passage_of(held).open_instance(1, sample.ref) as instance:
        assert instance.size == instance.entry.size == len(sample.data)
        assert await whole(instance) == sample.data
        assert await frame(instance) == sample.data[-instance.frame_length(1) :]
        for offset, length in ((0, 10), (PIECE - 5, 10), (2 * PIECE - 1, 2), (len(sample.data), 5)):
            assert await instance.read(offset, length) == sample.data[offset : offset + length]
    # Whoever finds room asks once; the others for each thing that is read.
    assert asked(archive) == (1 if held >= 3 else 7)


async def test_all_that_pass_share_one_account(passage_of, archive, sample):
    passage = passage_of(6)
    async with AsyncExitStack() as stack:
        viewers = [
            await stack.enter_async_context(passage.open_instance(1, sample.ref)) for _ in range(4)
        ]
        assert asked(archive) == 4
        for viewer in viewers:
            assert await whole(viewer) == sample.data
        assert asked(archive) == 6  # two found room
    async with passage.open_instance(1, sample.ref) as instance:
        assert await whole(instance) == sample.data
    assert asked(archive) == 7


async def test_what_an_attempt_held_is_given_back(passage_of, archive, sample):
    passage = passage_of(3)
    archive.faults["retrieve"].append(Fault(cut_answer=2 * PIECE))
    with pytest.raises(CloudUnreachable):
        async with passage.open_instance(1, sample.ref):
            pass
    before = asked(archive)
    async with passage.open_instance(1, sample.ref) as instance:
        assert await whole(instance) == sample.data
    assert asked(archive) == before + 1


async def test_other_bytes_the_second_time_are_not_handed_on(passage_of, archive, sample):
    async with passage_of(0).open_instance(1, sample.ref) as instance:
        held = archive.instances[sample.ref.sop_uid]
        forged = sample.data[:PIECE] + b"\xff" + sample.data[PIECE + 1 :]
        archive.instances[sample.ref.sop_uid] = dataclasses.replace(held, part10=forged)
        stream = instance.stream()
        assert await anext(stream) == sample.data[:PIECE]
        with pytest.raises(CloudError, match="second time"):
            await anext(stream)


async def test_what_the_archive_has_not_does_not_pass(passage_of, archive, sample):
    archive.instances.clear()
    with pytest.raises(InstanceNotFound):
        async with passage_of(3).open_instance(1, sample.ref):
            pass


async def test_other_bytes_than_were_here_once_do_not_pass(passage_of, sample):
    digester = Digester()
    digester.update(sample.data)
    known = digester.digests()[1]
    async with passage_of(3).open_instance(1, sample.ref, known) as instance:
        assert await whole(instance) == sample.data
    with pytest.raises(CloudError, match="other bytes"):
        async with passage_of(3).open_instance(1, sample.ref, bytes(32)):
            pass


async def test_what_the_archive_corrected_passes(passage_of, sample):
    digester = Digester()
    digester.update(sample.data)
    corrected = [bytes(range(32)), digester.digests()[1]]
    opening = passage_of(3).open_instance(1, sample.ref, bytes(32), None, corrected)
    async with opening as instance:
        assert await whole(instance) == sample.data
