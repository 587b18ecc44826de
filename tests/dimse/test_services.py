import pytest

from edge.dicom.uids import VERIFICATION, is_storage_sop_class
from edge.dimse.data_set import IncomingDataSet, Intake
from edge.dimse.messages import CommandField, Element, Status, parse_command
from edge.dimse.peers import Caller
from edge.dimse.services import Context, Operation, Service, find_service
from tests.dimse import raw
from tests.dimse.test_data_set import Wire

ECHO = Service("verification", VERIFICATION.__eq__, {})
STORAGE = Service("storage", is_storage_sop_class, {}, right="store")


class Sent:
    """A fake of the association: what was sent."""

    def __init__(self):
        self.messages = []

    async def send(self, context_id, command, data_set=b""):
        self.messages.append((context_id, parse_command(command), data_set))


def operation(command, data_set=None):
    sent = Sent()
    caller = Caller("CT1", "10.0.0.5", "EDGE", frozenset())
    context = Context(3, raw.CT, raw.EXPLICIT, STORAGE)
    return Operation(caller, context, parse_command(command), data_set, sent), sent


def test_the_first_service_that_supports_a_class_has_it():
    assert find_service([ECHO, STORAGE], raw.VERIFICATION) is ECHO
    assert find_service([ECHO, STORAGE], raw.CT) is STORAGE
    assert find_service([ECHO, STORAGE], "1.2.840.10008.5.1.4.1.2.2.1") is None


async def test_an_answer_goes_to_the_context_and_the_message_of_its_request():
    request, sent = operation(raw.store_command("1.2.3", message_id=77))
    await request.respond(Status.OUT_OF_RESOURCES, comment="the disk is full")
    ((context_id, answer, data_set),) = sent.messages
    assert context_id == 3
    assert answer.field == CommandField.C_STORE | 0x8000
    assert answer.message_id == 77
    assert answer.number(Element.STATUS) == 0xA700
    assert answer.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.3"
    assert answer.text(Element.ERROR_COMMENT) == "the disk is full"
    assert not answer.has_data_set
    assert data_set == b""


async def test_pending_answers_come_before_the_last_one_and_none_after():
    request, sent = operation(raw.store_command())
    values = {Element.REMAINING_SUBOPERATIONS: 4}
    await request.respond(0xFF00, data_set=b"match", values=values)
    assert request.status is None
    await request.respond(Status.SUCCESS)
    assert request.status == Status.SUCCESS
    with pytest.raises(RuntimeError, match="answered before"):
        await request.respond(Status.SUCCESS)
    first, last = sent.messages
    assert first[1].has_data_set
    assert first[1].number(Element.REMAINING_SUBOPERATIONS) == 4
    assert first[2] == b"match"
    assert not last[1].has_data_set


async def test_what_is_left_of_the_data_set_is_drained_before_the_answer():
    data_set = IncomingDataSet(Wire(), Intake(), 1000)
    data_set.feed(memoryview(b"unread"))
    data_set.end()
    request, sent = operation(raw.store_command(), data_set)
    await request.respond(Status.SUCCESS)
    assert [piece async for piece in data_set] == []
    assert len(sent.messages) == 1


async def test_a_uid_that_is_none_is_not_repeated_and_a_comment_is_made_to_fit():
    request, sent = operation(raw.store_command("../1"))
    await request.respond(Status.INVALID_SOP_INSTANCE, comment="é\\" * 50)
    answer = sent.messages[0][1]
    assert Element.AFFECTED_SOP_INSTANCE_UID not in answer.elements
    assert answer.text(Element.ERROR_COMMENT) == "?/" * 32


async def test_an_n_service_answers_with_the_affected_class_of_the_requested_one():
    command = raw.command_set(
        raw.uid_element(0x0003, raw.CT),
        raw.short(0x0100, 0x0120),
        raw.short(0x0110, 1),
        raw.short(0x0800, 0x0101),
        raw.uid_element(0x1001, "1.2.3"),
    )
    request, sent = operation(command)
    await request.respond(Status.SUCCESS)
    answer = sent.messages[0][1]
    assert answer.text(Element.AFFECTED_SOP_CLASS_UID) == raw.CT
    assert answer.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.3"
