"""What waits for peers, said over the wire: pynetdicom is the RIS, the index is real."""

import asyncio
import logging
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from pydicom import Dataset
from pynetdicom import AE

from edge.cache.changes import Changes
from edge.cache.outbox import Outbox
from edge.cache.procedures import Procedures
from edge.cloud.retry import Backoff
from edge.config import Dimse
from edge.dimse.outbox import Messenger
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.index.database import Database
from edge.others import Peer
from tests.dimse import raw, steps
from tests.dimse.raw import until

DAY = 86400.0
BEGIN = ("N-CREATE", "IN PROGRESS")
GO_ON, END = ("N-SET", "IN PROGRESS"), ("N-SET", "COMPLETED")


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def box(tmp_path, clock):
    """The ledger and who sends it, without a listener; *ports* are those of the peers."""

    @asynccontextmanager
    async def opened(**ports):
        peers = tuple(Peer(name, "127.0.0.1", port) for name, port in ports.items())
        dimse = Dimse(peer=peers, artim_seconds=5.0, pdu_seconds=5.0)
        async with Database(tmp_path / "index.db", bytes(32)) as database:
            changes = Changes()
            procedures = Procedures(database, changes, forward_to=tuple(ports), clock=clock)
            outbox = Outbox(database, changes, ae_title="EDGE", clock=clock)
            backoff = Backoff(5.0, 600.0)
            messenger = Messenger(outbox, Peers(dimse), Dialer(dimse), changes, backoff=backoff)
            yield SimpleNamespace(**locals())

    return opened


@asynccontextmanager
async def running(messenger):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(messenger.run())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def ris(listener=None, *, port=0, ae_title="RIS"):
    """Starting and stopping blocks."""
    manager = steps.listening(listener, port=port, ae_title=ae_title)
    found = await asyncio.to_thread(manager.__enter__)
    try:
        yield found
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def perform(box, *sop_uids):
    """Steps that begin, go on and end."""
    for sop_uid in sop_uids:
        await box.procedures.create(sop_uid, steps.json_of(steps.beginning()), "CT1")
        await box.procedures.change(sop_uid, steps.json_of(steps.ending(state="IN PROGRESS")))
        await box.procedures.change(sop_uid, steps.json_of(steps.ending()))


async def waiting(box):
    return (await box.outbox.counts()).waiting


async def all_is_said(box, left=0):
    async with asyncio.timeout(raw.PATIENCE):
        while await waiting(box) > left:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


async def test_a_step_is_told_as_it_happens(box):
    async with ris() as heard, box(RIS=heard.port) as it, running(it.messenger):
        await perform(it, "1.1")
        await until(lambda: len(heard.heard) == 3)
        assert heard.about("1.1") == [BEGIN, GO_ON, END]
        assert heard.heard[0][2].PatientName == "DOE^JANE"
        assert "PatientName" not in heard.heard[2][2]
        await all_is_said(it)
        (step,) = (await it.procedures.page()).items
        assert [(one.peer, one.waiting, one.refused) for one in step.told] == [("RIS", 0, 0)]


async def test_a_peer_that_is_away_for_a_week_hears_all_in_its_order_and_once(
    box, clock, free_port
):
    port = free_port()
    async with box(RIS=port) as it, running(it.messenger):
        for day in range(7):
            await perform(it, f"1.{day}")
            async with asyncio.timeout(raw.PATIENCE):
                while not await it.outbox.troubles():  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
            clock.now += DAY
            it.changes.wake()
    async with box(RIS=port) as it:  # and the box was started anew
        assert await waiting(it) == 21
        (trouble,) = await it.outbox.troubles()
        assert "can't be reached" in trouble.reason
        clock.now += DAY
        async with ris(port=port) as heard, running(it.messenger):
            await all_is_said(it)
        for day in range(7):
            assert heard.about(f"1.{day}") == [BEGIN, GO_ON, END]
        assert await waiting(it) == 0
        assert await it.outbox.troubles() == []


async def test_a_refused_step_holds_up_no_other(box, clock, caplog):
    no = Dataset()
    no.Status, no.ErrorComment = 0x0106, "Doe, Jane has another ID here"
    async with ris(steps.Listener(answers={"1.1": no})) as heard, box(RIS=heard.port) as it:
        await perform(it, "1.1", "1.2")
        await it.messenger.tell("RIS")
        assert heard.about("1.1") == []
        assert heard.about("1.2") == [BEGIN, GO_ON, END]
        page = await it.outbox.page(limit=10, offset=0)
        assert [one.state for one in page.items] == ["REFUSED", "DUE", "DUE"]
        assert page.items[0].reason == (
            "invalid attribute value (0106): Doe, Jane has another ID here"
        )
        assert "Jane" not in caplog.text
        clock.now += 30 * DAY
        assert await it.messenger.tell("RIS") == 0  # it is refused for good
        heard.answers.clear()
        assert await it.outbox.retry([page.items[0].message_id]) == 1
        await it.messenger.tell("RIS")
        assert heard.about("1.1") == [BEGIN, GO_ON, END]


async def test_values_that_break_the_standard_hold_up_nothing(box):
    """A device's slips, byte for byte as they may come: the RIS hears of the step all the same."""
    slip = {
        "00400306": {"vr": "DS", "Value": ["72\u00bd"]},
        "0040A4A0": {"vr": "CS", "Value": ["SCH\u00c4DEL"]},
        "00400302": {"vr": "US", "Value": ["much"]},
    }
    async with ris() as heard, box(RIS=heard.port) as it, running(it.messenger):
        begun = steps.json_of(steps.beginning()) | slip
        await it.procedures.create("1.1", begun, "CT1")
        await perform(it, "1.2")
        await all_is_said(it)
        assert heard.about("1.1") == [BEGIN]
        assert heard.heard[0][2].PatientName == "DOE^JANE"
        assert heard.about("1.2") == [BEGIN, GO_ON, END]
        assert await it.outbox.troubles() == []


async def test_a_change_that_is_refused_does_not_keep_the_end_from_being_told(box):
    async with ris() as heard, box(RIS=heard.port) as it:
        await it.procedures.create("1.1", steps.json_of(steps.beginning()), "CT1")
        await it.messenger.tell("RIS")
        heard.answers["1.1"] = 0x0106
        await it.procedures.change("1.1", steps.json_of(steps.ending(state="IN PROGRESS")))
        await it.messenger.tell("RIS")
        del heard.answers["1.1"]
        await it.procedures.change("1.1", steps.json_of(steps.ending()))
        await it.messenger.tell("RIS")
        assert heard.about("1.1") == [BEGIN, END]
        assert (await it.outbox.counts()).refused == 1
        (step,) = (await it.procedures.page()).items
        assert (step.told[0].refused, step.told[0].reason) == (1, "invalid attribute value (0106)")


async def test_trouble_of_the_peer_with_one_message_is_tried_again_later(box, clock):
    async with ris(steps.Listener(answers={"1.1": 0x0110})) as heard, box(RIS=heard.port) as it:
        await perform(it, "1.1", "1.2")
        await it.messenger.tell("RIS")
        assert heard.about("1.2") == [BEGIN, GO_ON, END]
        assert await it.messenger.tell("RIS") == 0  # not yet
        heard.answers.clear()
        clock.now += 600
        await it.messenger.tell("RIS")
        assert heard.about("1.1") == [BEGIN, GO_ON, END]


@pytest.mark.parametrize("deaf_at", [0, 2])
async def test_an_answer_that_is_lost_makes_nothing_twice(box, clock, deaf_at):
    async with ris() as heard, box(RIS=heard.port) as it:
        if deaf_at:
            await it.procedures.create("1.1", steps.json_of(steps.beginning()), "CT1")
            await it.messenger.tell("RIS")
        heard.deaf_to.add("1.1")
        if deaf_at:
            await it.procedures.change("1.1", steps.json_of(steps.ending()))
        else:
            await it.procedures.create("1.1", steps.json_of(steps.beginning()), "CT1")
        await it.messenger.tell("RIS")
        (message,) = (await it.outbox.page(limit=10, offset=0)).items
        assert message.state == "SENT"
        clock.now += 600
        over = Dataset()
        over.Status, over.ErrorID = 0x0110, 0xA710
        if deaf_at:
            heard.answers["1.1"] = over
        await it.messenger.tell("RIS")
        assert await waiting(it) == 0
        assert heard.about("1.1") == [BEGIN, END][: 1 + bool(deaf_at)]
        assert (await it.outbox.counts()).refused == 0


async def test_a_message_at_which_the_peer_hangs_up_does_not_stop_the_others(box, clock):
    class Touchy(steps.Listener):
        def _answer(self, event, operation, uid, said):
            if uid == "1.1":
                event.assoc.abort()
                return 0x0110, None
            return super()._answer(event, operation, uid, said)

    async with ris(Touchy()) as heard, box(RIS=heard.port) as it:
        await perform(it, "1.1", "1.2")
        await it.messenger.tell("RIS")
        await it.messenger.tell("RIS")
        assert heard.about("1.2") == [BEGIN, GO_ON, END]


async def test_one_peer_that_is_away_is_no_trouble_of_another(box, free_port):
    async with ris() as heard, box(RIS=heard.port, AWAY=free_port()) as it:
        async with running(it.messenger):
            await perform(it, "1.1")
            await all_is_said(it, left=3)
        assert len(heard.heard) == await waiting(it) == 3
        assert [one.peer for one in await it.outbox.troubles()] == ["AWAY"]


async def test_a_peer_that_rejects_us_is_named_with_its_reason(box, clock):
    async with raw.serving(unknown_peers="reject") as other, box(RIS=other.port) as it:
        await perform(it, "1.1")
        await it.messenger.tell("RIS")
        (trouble,) = await it.outbox.troubles()
        assert "rejected the association" in trouble.reason
        assert trouble.retry_at > clock.now
        assert await waiting(it) == 3


async def test_a_peer_that_is_configured_no_more_keeps_what_waits_and_says_so(box, caplog):
    caplog.set_level(logging.INFO)
    async with box(RIS=1) as it:
        await perform(it, "1.1")
    async with box() as it:
        assert await it.messenger.tell("RIS") == 0
        (trouble,) = await it.outbox.troubles()
        assert "no peer of the configuration" in trouble.reason
        assert await waiting(it) == 3
        (first, *_) = (await it.outbox.page(limit=1, offset=0)).items
        assert await it.outbox.drop([first.message_id]) == 3
        assert await waiting(it) == 0
        assert await it.outbox.due_times() == {}


async def test_who_takes_no_steps_at_all_is_asked_again(box, clock):
    ae = AE("RIS")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = await asyncio.to_thread(ae.start_server, ("127.0.0.1", 0), block=False)
    try:
        async with box(RIS=server.server_address[1]) as it:
            await perform(it, "1.1")
            await it.messenger.tell("RIS")
            assert await waiting(it) == 3
            reasons = [one.reason for one in await it.outbox.troubles()]
            reasons += [one.reason for one in (await it.outbox.page(limit=1, offset=0)).items]
            assert any("SOP class" in one or "abort" in one for one in reasons)
    finally:
        await asyncio.to_thread(server.shutdown)
