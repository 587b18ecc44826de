"""N-ACTION of storage commitment: kept before it is answered, and every wrong one told apart."""

from __future__ import annotations

import asyncio
import gc
import struct

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import StorageCommitmentPushModel

from edge.cache.commitments import CommitmentsFull
from edge.dicom.identifier import write_identifier
from edge.dimse import storage_commitment
from edge.dimse.storage_commitment import (
    STORAGE_COMMITMENT,
    WELL_KNOWN_INSTANCE,
    Askers,
    storage_commitment_service,
)
from edge.errors import StorageFull
from edge.others import Peer
from tests.dimse import raw

CT = "1.2.840.10008.5.1.4.1.1.2"
N_ACTION, N_ACTION_RESPONSE = 0x0130, 0x8130
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
CONTEXT = raw.context_item(1, STORAGE_COMMITMENT, [raw.EXPLICIT])


class Kept:
    """Where requests go; fails as it is told."""

    def __init__(self):
        self.asked = []
        self.error = None
        self.wakes = 0

    async def ask(self, asked):
        if self.error is not None:
            raise self.error
        self.asked.append(asked)

    def wake(self):
        self.wakes += 1


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def askers():
    return Askers()


@pytest.fixture
async def server(kept, askers):
    service = storage_commitment_service(kept, askers)
    peers = (Peer("RAW", may=("store", "commit")), Peer("CT9"))
    async with raw.serving(services=[service], peer=peers, unknown_peers="reject") as running:
        yield running


def request(*sops, uid="1.2.9", sop_class=CT):
    items = [
        {"00081150": {"vr": "UI", "Value": [sop_class]}, "00081155": {"vr": "UI", "Value": [sop]}}
        for sop in sops
    ]
    return {
        "00081195": {"vr": "UI", "Value": [uid]},
        "00081199": {"vr": "SQ", "Value": items},
    }


def command(*, sop_class=STORAGE_COMMITMENT, instance=WELL_KNOWN_INSTANCE, action=1, data_set=1):
    return raw.command_set(
        raw.uid_element(0x0003, sop_class),
        raw.short(0x0100, N_ACTION),
        raw.short(0x0110, 7),
        raw.short(0x0800, data_set),
        raw.uid_element(0x1001, instance),
        *([] if action is None else [raw.short(0x1008, action)]),
    )


def send(peer, data, **fields):
    """A whole N-ACTION; *data* None: without a data set."""
    if data is None:
        peer.send(raw.p_data(raw.fragment(1, 3, command(data_set=0x0101, **fields))))
        return
    peer.send(raw.p_data(raw.fragment(1, 3, command(**fields))))
    for start in range(0, len(data) or 1, 16000):
        last = 2 if start + 16000 >= len(data) else 0
        peer.send(raw.p_data(raw.fragment(1, last, data[start : start + 16000])))


async def act(peer, data, **fields):
    """Send one; status and Error Comment of the answer."""
    send(peer, data, **fields)
    answer = await peer.response()
    assert int.from_bytes(answer[0x0100], "little") == N_ACTION_RESPONSE
    assert int.from_bytes(answer[0x0120], "little") == 7
    status = int.from_bytes(answer[0x0900], "little")
    return status, answer.get(0x0902, b"").decode().strip()


@pytest.mark.parametrize("syntax", [raw.IMPLICIT, raw.EXPLICIT, EXPLICIT_BIG])
async def test_a_request_is_kept_and_answered_in_any_encoding(server, kept, syntax):
    data = write_identifier(request("1.2.3", "1.2.4", "1.2.3"), syntax)
    async with raw.connected(server.port) as peer:
        await peer.associate(raw.context_item(1, STORAGE_COMMITMENT, [syntax]))
        assert await act(peer, data) == (0, "")
    (asked,) = kept.asked
    assert (asked.peer, asked.transaction_uid) == ("RAW", "1.2.9")
    assert asked.instances == ((CT, "1.2.3"), (CT, "1.2.4"))
    assert kept.wakes == 1


async def test_undefined_lengths_are_read(server, kept):
    def uid(element, value):
        value += "\0" * (len(value) % 2)
        return struct.pack("<HH2sH", 8, element, b"UI", len(value)) + value.encode()

    open_ended = 0xFFFFFFFF
    item = struct.pack("<HHI", 0xFFFE, 0xE000, open_ended) + uid(0x1150, CT) + uid(0x1155, "1.2.3")
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    sequence = struct.pack("<HH2sHI", 8, 0x1199, b"SQ", 0, open_ended) + item
    sequence += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        assert await act(peer, uid(0x1195, "1.2.9") + sequence) == (0, "")
    assert kept.asked[0].instances == ((CT, "1.2.3"),)


async def test_pynetdicom_asks_and_hears_what_is_wrong(server, kept):
    def ask():
        scu = AE("RAW")
        scu.add_requested_context(StorageCommitmentPushModel)
        association = scu.associate("127.0.0.1", server.port, ae_title="EDGE")
        assert association.is_established
        from pydicom import Dataset  # noqa: PLC0415 - only here

        data = Dataset()
        data.TransactionUID = "1.2.9"
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3"
        data.ReferencedSOPSequence = [item]
        one, _ = association.send_n_action(data, 1, StorageCommitmentPushModel, WELL_KNOWN_INSTANCE)
        two, _ = association.send_n_action(data, 2, StorageCommitmentPushModel, WELL_KNOWN_INSTANCE)
        association.release()
        return one, two

    one, two = await asyncio.to_thread(ask)
    assert one.Status == 0x0000
    assert (two.Status, two.ErrorComment) == (0x0123, "Action Type ID is not 1")
    assert len(kept.asked) == 1


def without(tag):
    attributes = request("1.2.3")
    del attributes[tag]
    return attributes


WRONG = {
    "another class": ((request("1.2.3"),), {"sop_class": CT}, 0x0122, "SOP class is not"),
    "another instance": ((request("1.2.3"),), {"instance": "1.2.3"}, 0x0112, "only 1.2.840"),
    "another action": ((request("1.2.3"),), {"action": 2}, 0x0123, "Action Type ID is not 1"),
    "no action": ((request("1.2.3"),), {"action": None}, 0x0123, "Action Type ID is not 1"),
    "no data set": ((None,), {}, 0x0114, "without a data set"),
    "no transaction": ((without("00081195"),), {}, 0x0114, "(0008,1195) is missing"),
    "no sequence": ((without("00081199"),), {}, 0x0114, "(0008,1199) is missing"),
    "an empty sequence": ((request(),), {}, 0x0115, "(0008,1199) is empty"),
    "a transaction that is no UID": (
        (request("1.2.3", uid="one"),),
        {},
        0x0115,
        "(0008,1195) is not a UID",
    ),
    "an instance that is no UID": (
        (request("1.2.3", "../../x"),),
        {},
        0x0115,
        "item 2 has no UID as (0008,1155)",
    ),
    "a class that is no UID": (
        (request("1.2.3", sop_class="9" * 65),),
        {},
        0x0115,
        "item 1 has no UID as (0008,1150)",
    ),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_said_and_the_association_goes_on(server, kept, case):
    (attributes,), fields, status, words = case
    data = None if attributes is None else write_identifier(attributes, raw.EXPLICIT)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        said, comment = await act(peer, data, **fields)
        assert said == status
        assert words in comment
        assert not kept.asked
        assert not kept.wakes
        assert await act(peer, write_identifier(request("1.2.3"), raw.EXPLICIT)) == (0, "")


@pytest.mark.parametrize(
    "data",
    [b"rubbish", b"\x08\x00\x95\x11UI\xff\xff1.2", b"\xff" * 1000],
)
async def test_what_can_not_be_read_is_a_processing_failure(server, kept, data):
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        status, comment = await act(peer, data)
    assert status == 0x0110
    assert "can't be read" in comment
    assert not kept.asked


async def test_a_transaction_that_is_a_sequence_and_a_sequence_that_is_text_are_refused(server):
    swapped = {
        "00081195": {"vr": "SQ", "Value": [{}]},
        "00081199": {"vr": "UI", "Value": ["1.2"]},
    }
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        status, _ = await act(peer, write_identifier(swapped, raw.EXPLICIT))
        assert status == 0x0114
        swapped["00081195"] = {"vr": "UI", "Value": ["1.2"]}
        status, comment = await act(peer, write_identifier(swapped, raw.EXPLICIT))
    assert status == 0x0115
    assert "is empty" in comment


async def test_a_data_set_without_end_is_not_collected(server, kept):
    """100,000 instances, and then 100 MB of nothing: bounded, and answered."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 100)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        many = write_identifier(request("1.2.3"), raw.EXPLICIT)[:20] + item * 1_000_000
        status, comment = await act(peer, many)
        assert status == 0x0213
        assert "bytes at once" in comment
        assert await act(peer, write_identifier(request("1.2.3"), raw.EXPLICIT)) == (0, "")
    assert len(kept.asked) == 1


async def test_more_instances_than_are_taken_at_once_are_refused(server, kept, monkeypatch):
    monkeypatch.setattr(storage_commitment, "MAX_INSTANCES", 3)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        three = request("1.2.1", "1.2.2", "1.2.3")
        assert await act(peer, write_identifier(three, raw.EXPLICIT)) == (0, "")
        four = request("1.2.1", "1.2.2", "1.2.3", "1.2.4")
        status, comment = await act(peer, write_identifier(four, raw.EXPLICIT))
    assert status == 0x0213
    assert comment == "more than 3 instances at once"
    assert len(kept.asked) == 1


async def test_thousands_of_instances_are_taken_and_others_are_served_meanwhile(server, kept):
    def explicit(element, value):
        value += "\0" * (len(value) % 2)
        return struct.pack("<HH2sH", 8, element, b"UI", len(value)) + value.encode()

    items = b""
    for number in range(20_000):
        pair = explicit(0x1150, CT) + explicit(0x1155, f"1.2.826.0.1.3680043.8.498.{number}")
        items += struct.pack("<HHI", 0xFFFE, 0xE000, len(pair)) + pair
    data = explicit(0x1195, "1.2.9") + struct.pack("<HH2sHI", 8, 0x1199, b"SQ", 0, len(items))
    async with raw.connected(server.port) as peer, raw.connected(server.port) as other:
        await peer.associate(CONTEXT)
        await other.associate(raw.context_item(1, raw.VERIFICATION, [raw.IMPLICIT]))
        send(peer, data + items)
        answers = 0
        answer = asyncio.ensure_future(peer.response())
        while not answer.done():
            assert await other.echo() == 0
            answers += 1
        assert (await answer)[0x0900] == b"\0\0"
    assert len(kept.asked[0].instances) == 20_000
    assert answers > 3


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CommitmentsFull(), 0x0213),
        (StorageFull("the disk is full"), 0x0213),
        (RuntimeError("a patient's name"), 0x0110),
    ],
)
async def test_what_can_not_be_kept_is_not_promised(server, kept, askers, caplog, error, status):
    data = write_identifier(request("1.2.3"), raw.EXPLICIT)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        kept.error = error
        assert (await act(peer, data))[0] == status
        assert askers.take("RAW", "1.2.9") is None
        kept.error = None
        assert await act(peer, data) == (0, "")
    assert "patient's name" not in caplog.text
    assert "1.2.3" not in caplog.text


async def test_a_peer_without_the_right_gets_no_context(server):
    async with raw.connected(server.port) as peer:
        body = await peer.associate(CONTEXT, calling="CT9")
        assert b"\x21\x00" in body
        send(peer, write_identifier(request("1.2.3"), raw.EXPLICIT))
        await peer.aborted()


async def test_an_association_is_known_as_long_as_it_is_there(server, askers):
    data = write_identifier(request("1.2.3"), raw.EXPLICIT)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        assert await act(peer, data) == (0, "")
        await raw.until(lambda: askers._asked)
        assert askers.take("OTHER", "1.2.9") is None
        dialogue, context = askers.take("RAW", "1.2.9")
        assert context.transfer_syntax == raw.EXPLICIT
        assert dialogue is not None
        assert askers.take("RAW", "1.2.9") is None
        assert await act(peer, data) == (0, "")
        del dialogue
        await peer.release()
    # Whatever else is collected: other tests leave garbage, too.
    await raw.until(lambda: gc.collect() >= 0 and not askers._asked)


async def test_of_one_association_so_many_transactions_are_remembered(server, askers, monkeypatch):
    monkeypatch.setattr(storage_commitment, "_REMEMBERED", 2)
    async with raw.connected(server.port) as peer:
        await peer.associate(CONTEXT)
        for number in range(3):
            data = write_identifier(request("1.2.3", uid=f"1.2.{number}"), raw.EXPLICIT)
            assert await act(peer, data) == (0, "")
        await raw.until(lambda: askers._asked)
        known = [askers.take("RAW", f"1.2.{number}") is not None for number in range(3)]
    assert known == [False, True, True]
