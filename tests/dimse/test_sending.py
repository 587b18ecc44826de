"""C-STORE as SCU: what goes over one association, and what becomes of what can't."""

import resource
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edge.cache.transcoding import Transcoding
from edge.config import Dimse
from edge.dimse.messages import Element
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.sending import BrokeOff, Offers, Sending
from edge.errors import CloudUnreachable, InstanceNotFound, SealBroken
from tests import samples
from tests.cache.conftest import MODALITY, open_cache  # noqa: F401 - a fixture
from tests.dimse import raw
from tests.journeys.viewer import Part10
from tests.pixels.pool import running

US = Dimse(ae_title="US")


class Told:
    """A fake of the progress."""

    is_cancelled = False

    def __init__(self):
        self.completed = self.warned = 0
        self.failed = {}

    async def complete(self, *, warning=False):
        self.completed += 1
        self.warned += warning

    async def fail(self, sop_uid, why):
        self.failed[sop_uid] = why

    @asynccontextmanager
    async def patience(self):
        yield


class Troubled:
    """The real retrieval, with some instances that it has trouble with."""

    def __init__(self, retrieval):
        self._retrieval = retrieval
        self.errors = {}
        self.opened = []

    def __getattr__(self, name):
        return getattr(self._retrieval, name)

    async def whole_instances(self, entries):
        for entry in entries:
            self.opened.append(entry.ref.sop_uid)
            if error := self.errors.get(entry.ref.sop_uid):
                raise error
            async for whole in self._retrieval.whole_instances([entry]):
                yield whole


@pytest.fixture
async def cache(open_cache):  # noqa: F811
    async with open_cache() as opened:
        yield opened


@asynccontextmanager
async def sending(cache, told, *, retrieval=None, syntaxes=(raw.EXPLICIT,), sop_class=raw.CT):
    admission = raw.RecordingAdmission()
    proposals = [Proposal(sop_class, (syntax,)) for syntax in syntaxes]
    async with raw.serving(admission) as server, running() as workers:
        sends = Sending(
            retrieval or cache.retrieval, Transcoding(workers), told, {Element.PRIORITY: 0}
        )
        async with Dialer(US).associate("127.0.0.1", server.port, "EDGE", proposals) as peer:
            offers = Offers(
                (each.context_id, each.abstract_syntax, each.transfer_syntax)
                for each in peer.contexts.values()
            )
            yield sends, peer, offers, admission


async def filled(cache, count=4, **options):
    slices = list(samples.ct_series(count, rows=32, columns=32, **options))
    for one in slices:
        await cache.send(one)
    return slices, deque(await cache.retrieval.instances(slices[0].ref.study_uid))


async def test_all_arrive_as_they_are_stored(cache):
    slices, waiting = await filled(cache)
    told = Told()
    async with sending(cache, told) as (sends, peer, offers, admission):
        await sends.send(peer.dialogue, offers, waiting)
    assert (told.completed, told.failed) == (4, {})
    assert not waiting
    for one in slices:
        got = Part10.of(admission.instances[one.ref.sop_uid])
        assert got == Part10.of(one.data)


async def test_those_that_cannot_be_had_fail_each_for_its_reason(cache):
    slices, waiting = await filled(cache, 5)
    uids = [one.ref.sop_uid for one in slices]
    retrieval = Troubled(cache.retrieval)
    retrieval.errors = {uids[0]: SealBroken("x"), uids[3]: InstanceNotFound("x")}
    told = Told()
    async with sending(cache, told, retrieval=retrieval) as (sends, peer, offers, admission):
        await sends.send(peer.dialogue, offers, waiting)
    assert told.completed == 3
    assert told.failed == {uids[0]: "it is damaged here", uids[3]: "it is not here any more"}
    assert sorted(admission.instances) == sorted([uids[1], uids[2], uids[4]])


async def test_what_breaks_off_in_the_middle_ends_the_association_and_is_settled(cache):
    slices, waiting = await filled(cache)
    told = Told()

    class Breaking(Troubled):
        async def whole_instances(self, entries):
            async for whole in self._retrieval.whole_instances(entries):
                if whole.entry.ref.sop_uid == slices[1].ref.sop_uid:

                    async def pieces(data=whole.content):
                        yield data[:1500]
                        raise SealBroken("x")

                    object.__setattr__(whole, "content", pieces())
                yield whole

    retrieval = Breaking(cache.retrieval)
    async with sending(cache, told, retrieval=retrieval) as (sends, peer, offers, _):
        with pytest.raises(BrokeOff):
            await sends.send(peer.dialogue, offers, waiting)
        assert not peer.is_alive
    assert told.completed == 1
    assert told.failed == {slices[1].ref.sop_uid: "it is damaged here"}
    assert [entry.ref for entry in waiting] == [one.ref for one in slices[2:]]


async def test_a_class_that_the_peer_does_not_take_fails_without_being_opened(cache):
    _, waiting = await filled(cache)
    told, retrieval = Told(), Troubled(cache.retrieval)
    other = "1.2.840.10008.5.1.4.1.1.4"
    async with sending(cache, told, retrieval=retrieval, sop_class=other) as (
        sends,
        peer,
        offers,
        _,
    ):
        await sends.send(peer.dialogue, offers, waiting)
    assert set(told.failed.values()) == {f"SOP class {raw.CT} is not accepted"}
    assert len(told.failed) == 4
    assert not retrieval.opened


async def test_an_archive_that_was_out_of_reach_is_not_asked_for_each(cache):
    slices, waiting = await filled(cache, 6)
    retrieval = Troubled(cache.retrieval)
    for one in slices:
        retrieval.errors[one.ref.sop_uid] = CloudUnreachable("down")
    # As if none were here.
    await cache.database.write(
        lambda db: db.execute("UPDATE instances SET object = NULL, availability = 'NEARLINE'")
    )
    waiting = deque(await cache.retrieval.instances(slices[0].ref.study_uid))
    told = Told()
    async with sending(cache, told, retrieval=retrieval) as (sends, peer, offers, _):
        await sends.send(peer.dialogue, offers, waiting)
    assert len(told.failed) == 6
    assert set(told.failed.values()) == {"only the archive has it, and that is out of reach"}
    assert len(retrieval.opened) == 1


async def test_what_nobody_knows_the_class_of_is_opened_first(cache):
    slices, waiting = await filled(cache)
    unknown = [_without_class(entry) for entry in waiting]
    told = Told()
    async with sending(cache, told) as (sends, *_):
        found = await sends.recognised(unknown)
    assert [entry.sop_class_uid for entry in found] == [raw.CT] * 4
    assert [entry.ref for entry in found] == [one.ref for one in slices]


def _without_class(entry):
    return replace(entry, sop_class_uid="", transfer_syntax="")


async def test_what_is_stored_otherwise_than_was_said_is_made_what_the_peer_takes(cache):
    slices, waiting = await filled(cache, transfer_syntax=raw.IMPLICIT)
    waiting = deque(_without_class(entry) for entry in waiting)
    told = Told()
    async with sending(cache, told) as (sends, peer, offers, admission):
        await sends.send(peer.dialogue, offers, waiting)
    assert (told.completed, told.failed) == (4, {})
    for one in slices:
        got = Part10.of(admission.instances[one.ref.sop_uid])
        assert got.transfer_syntax == raw.EXPLICIT
        assert got.dataset.endswith(one.data[-2048:])


async def test_a_large_instance_is_never_held_as_a_whole(cache):
    size = 300_000_000
    ref, pieces = samples.multiframe(size)

    async def chunks():
        for piece in pieces:
            yield piece

    await cache.admission.store_instance(chunks(), MODALITY)
    waiting = deque(await cache.retrieval.instances(ref.study_uid))
    sop_class = waiting[0].sop_class_uid

    class Counting(raw.RecordingAdmission):
        length = 0

        async def store_instance(self, chunks, source, **_):
            async for chunk in chunks:
                self.length += len(chunk)
            return raw.Admitted(ref, sop_class, raw.Outcome.STORED)

    told = Told()
    counting = Counting()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with raw.serving(counting) as server, running() as workers:
        sends = Sending(cache.retrieval, Transcoding(workers), told, {Element.PRIORITY: 0})
        proposals = [Proposal(sop_class, (raw.EXPLICIT,))]
        async with Dialer(US).associate("127.0.0.1", server.port, "EDGE", proposals) as peer:
            offers = Offers([(1, sop_class, raw.EXPLICIT)])
            await sends.send(peer.dialogue, offers, waiting)
    assert told.completed == 1
    assert counting.length > size * 0.99
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
