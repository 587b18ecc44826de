import contextlib
import struct

import pynetdicom.dimse_messages as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_primitives import C_STORE

from edge.dimse.messages import (
    Command,
    CommandField,
    Element,
    build_command,
    parse_command,
)
from edge.errors import PeerError
from tests.dimse import raw


def test_a_store_request_is_read():
    command = parse_command(raw.store_command("1.2.3.45", message_id=7))
    assert command.field == CommandField.C_STORE
    assert command.name == "C-STORE"
    assert command.message_id == 7
    assert command.has_data_set
    assert command.text(Element.AFFECTED_SOP_CLASS_UID) == raw.CT
    assert command.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.2.3.45"
    assert command.number(Element.PRIORITY) == 0
    assert command.number(Element.STATUS) is None


def test_a_response_is_known_by_the_message_that_it_answers():
    command = parse_command(
        build_command(
            {
                Element.COMMAND_FIELD: 0x8001,
                Element.MESSAGE_ID_BEING_RESPONDED_TO: 9,
                Element.COMMAND_DATA_SET_TYPE: 0x0101,
                Element.STATUS: 0,
            }
        )
    )
    assert (command.message_id, command.name) == (9, "C-STORE response")


def test_what_is_built_is_byte_for_byte_what_pynetdicom_builds():
    request = C_STORE()
    request.MessageID = 513
    request.AffectedSOPClassUID = raw.CT
    request.AffectedSOPInstanceUID = "1.2.3"
    request.Priority = 2
    request.MoveOriginatorApplicationEntityTitle = "PACS1"
    request.MoveOriginatorMessageID = 12
    message = reference.C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 0x0001
    expected = reference.encode(message.command_set, True, True)
    built = build_command(
        {
            Element.MOVE_ORIGINATOR_MESSAGE_ID: 12,
            Element.MOVE_ORIGINATOR_AE_TITLE: "PACS1",
            Element.AFFECTED_SOP_CLASS_UID: raw.CT,
            Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
            Element.COMMAND_FIELD: 1,
            Element.MESSAGE_ID: 513,
            Element.PRIORITY: 2,
            Element.COMMAND_DATA_SET_TYPE: 1,
        }
    )
    assert built[12:] == expected[12:]
    # pynetdicom leaves the group length to be filled in later; ours counts what follows.
    assert int.from_bytes(built[8:12], "little") == len(built) - 12


@given(
    st.dictionaries(
        st.sampled_from([e for e in Element if e not in (0x0100, 0x0110, 0x0120, 0x0800)]),
        st.one_of(
            st.integers(0, 0xFFFF), st.text("0123456789.ABC", max_size=64).map(lambda t: t.strip())
        ),
    ),
    st.integers(0, 0xFFFF),
)
def test_what_is_built_is_read_again(values, message_id):
    built = build_command(
        {
            **values,
            Element.COMMAND_FIELD: CommandField.C_FIND,
            Element.MESSAGE_ID: message_id,
            Element.COMMAND_DATA_SET_TYPE: 0x0101,
        }
    )
    command = parse_command(built)
    assert command.message_id == message_id
    assert not command.has_data_set
    for number, value in values.items():
        read = command.number(number) if isinstance(value, int) else command.text(number)
        assert read == value


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_a_peer_error(data):
    with contextlib.suppress(PeerError):
        assert isinstance(parse_command(data), Command)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_a_damaged_command_is_a_command_or_a_peer_error(position, damage):
    data = bytearray(raw.store_command())
    data[position : position + len(damage)] = damage
    try:
        command = parse_command(data)
    except PeerError:
        return
    assert command.text(Element.AFFECTED_SOP_INSTANCE_UID).isascii()
    assert isinstance(command.name, str)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no usable"),
        (raw.short(0x0100, 0x30), "no usable"),
        (raw.command_set(raw.short(0x0100, 1), raw.short(0x0110, 1)), "0800"),
        (raw.echo_command()[:-1], "longer than the command set"),
        (raw.echo_command() + b"\0\0\0", "middle of an element"),
        (struct.pack("<HHI", 8, 0x18, 0), "group 0008"),
        (struct.pack("<HHI", 0, 0x1000, 0xFFFFFFFF), "longer than the command set"),
        (raw.command_set(raw.element(0x0100, b"\1\0\0\0")), "no usable"),
        (b"".join(struct.pack("<HHI", 0, n, 0) for n in range(300)), "too many"),
    ],
)
def test_a_malformed_command_is_a_peer_error(data, complaint):
    with pytest.raises(PeerError, match=complaint):
        parse_command(data)


def test_a_wrong_or_absent_group_length_is_let_through():
    data = raw.echo_command()
    assert parse_command(data[12:]).field == CommandField.C_ECHO
    assert parse_command(data[:8] + b"\xff\xff\xff\xff" + data[12:]).field == CommandField.C_ECHO


def test_text_that_is_not_ascii_is_empty():
    data = raw.command_set(
        raw.element(0x1000, "1.2.é".encode()),
        raw.short(0x0100, 1),
        raw.short(0x0110, 1),
        raw.short(0x0800, 0x0101),
    )
    assert parse_command(data).text(Element.AFFECTED_SOP_INSTANCE_UID) == ""


def test_an_unknown_command_field_has_a_name_too():
    data = raw.command_set(
        raw.short(0x0100, 0x0999), raw.short(0x0110, 1), raw.short(0x0800, 0x0101)
    )
    assert parse_command(data).name == "command 0999"


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit US"):
        build_command({Element.STATUS: 0x10000})
