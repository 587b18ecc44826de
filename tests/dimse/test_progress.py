"""Counts and answers of a retrieval, by the second."""

import asyncio

import pytest

from edge.dicom.identifier import read_identifier
from edge.dimse import progress as module
from edge.dimse.messages import Element, Status, parse_command
from edge.dimse.peers import Caller
from edge.dimse.progress import Cancelled, Progress, RequestorGone
from edge.dimse.services import Context, Operation, Service
from edge.errors import PeerError
from tests.dimse import raw

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


class Line:
    """A fake of the association: what was sent, until it breaks."""

    def __init__(self):
        self.sent = []
        self.is_broken = False
        self.contexts = {}

    async def send(self, context_id, command, data_set=b""):
        if self.is_broken:
            raise PeerError("gone")
        answer = parse_command(command)
        assert answer.has_data_set == bool(data_set)
        self.sent.append((answer.number(Element.STATUS), answer, data_set))

    @property
    def statuses(self):
        return [status for status, _, _ in self.sent]


@pytest.fixture
def line():
    return Line()


@pytest.fixture
async def progress(line):
    command = raw.command_set(
        raw.uid_element(0x0002, MOVE),
        raw.short(0x0100, 0x0021),
        raw.short(0x0110, 7),
        raw.short(0x0800, 0x0101),
    )
    context = Context(1, MOVE, raw.EXPLICIT, Service("move", MOVE.__eq__, {}))
    caller = Caller("WS", "10.0.0.9", "EDGE", frozenset({"retrieve"}))
    return Progress(Operation(caller, context, parse_command(command), None, line))


def counts(answer):
    names = ("REMAINING", "COMPLETED", "FAILED", "WARNING")
    return [answer.number(Element[f"{name}_SUBOPERATIONS"]) for name in names]


async def test_all_that_goes_well_is_success_without_a_count_of_what_remains(progress, line):
    await progress.begin(2)
    await progress.complete()
    await progress.complete()
    await progress.conclude()
    assert line.statuses == [Status.PENDING, Status.SUCCESS]
    assert counts(line.sent[0][1]) == [2, 0, 0, 0]
    assert counts(line.sent[-1][1]) == [None, 2, 0, 0]
    assert line.sent[-1][2] == b""


async def test_nothing_to_send_is_success(progress, line):
    await progress.begin(0)
    await progress.conclude()
    assert line.statuses == [Status.SUCCESS]


async def test_a_failure_is_a_warning_with_the_list_and_the_reason(progress, line):
    await progress.begin(3)
    await progress.complete()
    await progress.complete(warning=True)
    await progress.fail("1.2.3", "it is not here any more")
    await progress.conclude()
    status, answer, data_set = line.sent[-1]
    assert status == Status.WARNING
    assert counts(answer) == [None, 1, 1, 1]
    assert answer.text(Element.ERROR_COMMENT) == "1 failed: it is not here any more"
    assert read_identifier(data_set, raw.EXPLICIT)["00080058"]["Value"] == ["1.2.3"]


async def test_a_warning_of_the_destination_is_one_of_ours(progress, line):
    await progress.begin(1)
    await progress.complete(warning=True)
    await progress.conclude()
    assert line.statuses[-1] == Status.WARNING


async def test_if_all_fail_it_could_not_be_performed(progress, line):
    await progress.begin(1)
    await progress.fail("1.2.3", "no")
    await progress.conclude()
    assert line.statuses[-1] == Status.UNABLE_TO_PERFORM


async def test_the_list_of_failures_is_no_longer_than_a_value_may_be(progress, line):
    uids = [f"1.2.840.113619.2.5.1762583153.215519.978957063.{n:05}" for n in range(3000)]
    await progress.begin(len(uids))
    for uid in uids:
        await progress.fail(uid, "no")
    await progress.conclude()
    listed = read_identifier(line.sent[-1][2], raw.EXPLICIT)["00080058"]["Value"]
    assert listed == uids[: len(listed)]
    assert 1200 < len(listed) < 1400
    assert counts(line.sent[-1][1]) == [None, 0, 3000, 0]


async def test_counts_that_16_bits_do_not_hold_stay_at_the_most(progress, line):
    await progress.begin(70_000)
    assert counts(line.sent[0][1]) == [0xFFFF, 0, 0, 0]


async def test_quick_ones_are_not_told_one_by_one(progress, line):
    await progress.begin(100)
    for _ in range(100):
        await progress.complete()
    assert len(line.sent) <= 3


async def test_who_waits_long_is_told_again_and_again(progress, line, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.3)

    loop = asyncio.get_running_loop()
    began = loop.time()

    async def work():
        await raw.until(lambda: line.sent)  # what is sent is not known yet
        await progress.begin(5)
        known = len(line.sent)
        await raw.until(lambda: len(line.sent) >= known + 3)

    await progress.accompany(work())
    assert set(line.statuses) == {Status.PENDING}
    assert counts(line.sent[0][1]) == [1, 0, 0, 0]
    assert counts(line.sent[-1][1]) == [5, 0, 0, 0]
    # As that is known at once, and no more often than it is due else.
    assert len(line.sent) <= 2 + (loop.time() - began) / 0.3


async def test_a_cancel_ends_a_wait_and_the_rest_remains(progress, line):
    async def work():
        await progress.begin(3)
        await progress.complete()
        asyncio.get_running_loop().call_later(
            0.05, lambda: setattr(progress.operation, "is_cancelled", True)
        )
        async with progress.patience():
            await asyncio.sleep(30)

    async with asyncio.timeout(5):
        with pytest.raises(Cancelled):
            await progress.accompany(work())
    await progress.conclude()
    assert line.statuses[-1] == Status.CANCELLED
    assert counts(line.sent[-1][1]) == [2, 1, 0, 0]


async def test_a_cancel_that_comes_after_the_last_instance_changes_nothing(progress, line):
    await progress.begin(1)
    await progress.complete()
    progress.operation.is_cancelled = True
    await progress.conclude()
    assert line.statuses[-1] == Status.SUCCESS


async def test_a_time_out_of_something_else_is_no_cancel(progress):
    with pytest.raises(TimeoutError):
        async with progress.patience():
            raise TimeoutError


async def test_work_ends_when_nobody_waits_for_it(progress, line, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.1)
    stopped = []

    async def work():
        await progress.begin(3)
        line.is_broken = True
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    async with asyncio.timeout(5):
        with pytest.raises(RequestorGone):
            await progress.accompany(work())
    assert stopped


async def test_the_summary_names_reasons_and_no_instance(progress):
    await progress.begin(4)
    await progress.complete()
    await progress.complete(warning=True)
    await progress.fail("1.2.3", "it is damaged here")
    await progress.fail("1.2.4", "it is damaged here")
    assert progress.summary() == (
        "2 of 4 instances sent (1 with a warning), 2 failed: it is damaged here (2)"
    )
