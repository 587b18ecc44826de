"""The requestor against our own acceptor, and against acceptors that misbehave."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from edge.config import Dimse
from edge.dimse import requestor
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.proposal import Proposal, request_pdu
from edge.dimse.requestor import Dialer
from edge.errors import PeerError, PeerRefused
from edge.others import Peer
from tests.dimse import raw

PATIENT = Dimse(ae_title="US", artim_seconds=2.0, pdu_seconds=2.0)
PENDING_ECHO = raw.command_set(
    raw.uid_element(0x0002, raw.VERIFICATION),
    raw.short(0x0100, 0x8030),
    raw.short(0x0120, 1),
    raw.short(0x0800, 0x0101),
    raw.short(0x0900, 0xFF00),
)
ECHO = Proposal(raw.VERIFICATION, (raw.IMPLICIT,))
STORE = Proposal(raw.CT, (raw.EXPLICIT, raw.IMPLICIT))


def echo(peer, context_id=1):
    return peer.dialogue.request(
        context_id, CommandField.C_ECHO, {Element.AFFECTED_SOP_CLASS_UID: raw.VERIFICATION}
    )


def store(peer, uid, data_set):
    return peer.dialogue.request(
        peer.find(raw.CT).context_id,
        CommandField.C_STORE,
        {
            Element.AFFECTED_SOP_CLASS_UID: raw.CT,
            Element.AFFECTED_SOP_INSTANCE_UID: uid,
            Element.PRIORITY: 0,
        },
        data_set,
    )


async def in_pieces(*pieces):
    for piece in pieces:
        yield piece


async def test_an_echo_is_answered_and_the_association_released():
    async with (
        raw.serving() as server,
        Dialer(PATIENT).associate("127.0.0.1", server.port, "EDGE", [ECHO]) as peer,
    ):
        assert (await echo(peer)).status == Status.SUCCESS
        assert (await echo(peer)).status == Status.SUCCESS
        assert server.associations == 1
    await asyncio.sleep(0)
    assert not peer.is_alive


async def test_an_instance_arrives_as_it_was_sent_whatever_the_pieces():
    admission = raw.RecordingAdmission()
    sent = bytes(range(256)) * 3000
    async with (
        raw.serving(admission) as server,
        Dialer(PATIENT).associate("127.0.0.1", server.port, "EDGE", [ECHO, STORE]) as peer,
    ):
        assert peer.find(raw.CT).transfer_syntax == raw.EXPLICIT
        assert peer.find(raw.CT, raw.IMPLICIT) is None
        whole = await store(peer, "1.2.3", sent)
        cut = await store(peer, "1.2.4", in_pieces(sent[:1], sent[1:300_000], sent[300_000:]))
    assert (whole.status, cut.status) == (0, 0)
    assert admission.instances["1.2.3"].endswith(sent)
    assert admission.instances["1.2.4"].endswith(sent)


async def test_a_refusal_says_whose_title_is_wrong():
    async with raw.serving(unknown_peers="reject", peer=(Peer("OTHER"),)) as server:
        with pytest.raises(PeerRefused, match="does not know our AE title") as refused:
            async with Dialer(PATIENT).associate("127.0.0.1", server.port, "EDGE", [ECHO]):
                pass
        assert not refused.value.is_transient
        with pytest.raises(PeerRefused, match="another AE title"):
            async with Dialer(PATIENT).associate("127.0.0.1", server.port, "NOBODY", [ECHO]):
                pass


@pytest.mark.parametrize(("as_scu", "roles"), [(True, b"\1\1"), (False, b"\0\1")])
def test_the_scp_role_is_proposed_with_the_other_or_alone(as_scu, roles):
    proposal = Proposal(raw.CT, (raw.EXPLICIT,), as_scp=True, as_scu=as_scu)
    pdu = request_pdu([proposal], calling="US", called="EDGE", max_pdu=16384)
    item = raw.role_item(raw.CT, *roles)
    assert pdu.count(b"\x54\x00") == 1
    assert item in pdu


async def test_a_port_that_nobody_listens_on_is_named(free_port):
    port = free_port()
    with pytest.raises(PeerError, match=f"127.0.0.1:{port} can't be reached"):
        async with Dialer(PATIENT).associate("127.0.0.1", port, "EDGE", [ECHO]):
            pass


async def test_tls_is_not_left_out_where_it_is_wanted():
    with pytest.raises(PeerError, match="none is configured"):
        async with Dialer(PATIENT).associate("127.0.0.1", 1, "EDGE", [ECHO], encrypted=True):
            pass


@asynccontextmanager
async def acceptor(talk):
    """A peer that says what *talk* makes it say."""

    async def meet(reader, writer):
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def read_pdu(reader):
    head = await reader.readexactly(6)
    return head[0], await reader.readexactly(struct.unpack(">I", head[2:])[0])


async def silent(reader, writer):
    await reader.read()


async def noise(reader, writer):
    await read_pdu(reader)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()


async def huge(reader, writer):
    await read_pdu(reader)
    writer.write(struct.pack(">BxI", 2, 1 << 31))
    await reader.read()


async def nonsense(reader, writer):
    await read_pdu(reader)
    writer.write(struct.pack(">BxI", 2, 100) + b"\xff" * 100)
    await reader.read()


async def early(reader, writer):
    writer.write(struct.pack(">BxI", 4, 100))
    await reader.read()


async def gone(reader, writer):
    await read_pdu(reader)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (silent, "did not answer the association request"),
        (noise, "a PDU of type"),
        (huge, "ASSOCIATE-AC of 2147483648 bytes"),
        (nonsense, "can't be read"),
        (early, "P-DATA came at the wrong time"),
        (gone, "closed by the peer"),
    ],
)
async def test_who_answers_wrongly_is_given_up(talk, words):
    # A busy machine is no silent peer: patience is short where it is what ends it.
    seconds = 0.3 if talk is silent else raw.PATIENCE
    settings = Dimse(ae_title="US", artim_seconds=seconds, pdu_seconds=seconds)
    async with acceptor(talk) as port:
        with pytest.raises(PeerError, match=words):
            async with Dialer(settings).associate("127.0.0.1", port, "EDGE", [ECHO]):
                pass


def accepts(*then):
    """Accepts the first context with implicit VR, then says that."""

    async def talk(reader, writer):
        _, body = await read_pdu(reader)
        syntax = raw.IMPLICIT.encode()
        context = struct.pack(">BxHBxBxBxH", 0x21, 8 + len(syntax), 1, 0, 0x40, len(syntax))
        user = struct.pack(">BxHBxHI", 0x50, 8, 0x51, 4, 16384)
        name = b"1.2.840.10008.3.1.1.1"
        items = struct.pack(">BxH", 0x10, len(name)) + name + context + syntax + user
        answer = struct.pack(">HH", 1, 0) + body[4:36] + bytes(32) + items
        writer.write(struct.pack(">BxI", 2, len(answer)) + answer)
        await read_pdu(reader)
        for pdu in then:
            writer.write(pdu)
        await reader.read()

    return talk


SILENT_LATER = accepts()


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (SILENT_LATER, "did not answer C-ECHO"),
        (accepts(struct.pack(">BxIHH", 7, 4, 0, 0)), "aborted"),
        (accepts(struct.pack(">BxIHH", 5, 4, 0, 0)), "released"),
        (accepts(raw.p_data(raw.fragment(1, 3, raw.echo_command(7)))), "was not asked for"),
        (accepts(raw.p_data(raw.fragment(1, 3, PENDING_ECHO))), "pending, and has one answer only"),
        (accepts(raw.p_data(raw.fragment(3, 3, b"x"))), "context 3: not accepted"),
        (accepts(struct.pack(">BxI", 4, 1 << 30)), "P-DATA of 1073741824 bytes"),
    ],
)
async def test_who_breaks_the_protocol_later_is_given_up_too(talk, words):
    seconds = 1.0 if talk is SILENT_LATER else raw.PATIENCE
    settings = Dimse(ae_title="US", artim_seconds=raw.PATIENCE, pdu_seconds=seconds)
    async with acceptor(talk) as port:
        with pytest.raises(PeerError, match=words):
            async with Dialer(settings).associate("127.0.0.1", port, "EDGE", [ECHO]) as peer:
                await echo(peer)


async def test_a_peer_that_does_not_answer_a_release_is_left(monkeypatch):
    monkeypatch.setattr(requestor, "RELEASE_SECONDS", 0.1)
    async with (
        acceptor(accepts()) as port,
        Dialer(PATIENT).associate("127.0.0.1", port, "EDGE", [ECHO]),
    ):
        pass


async def test_a_data_set_that_breaks_off_aborts_and_leaves_nothing_there():
    admission = raw.RecordingAdmission()

    async def broken():
        yield b"x" * 100_000
        raise OSError("the disk")

    async with raw.serving(admission) as server:
        with pytest.raises(OSError, match="the disk"):
            async with Dialer(PATIENT).associate("127.0.0.1", server.port, "EDGE", [STORE]) as peer:
                await store(peer, "1.2.3", broken())
        await raw.until(lambda: admission.discarded)
    assert not admission.instances
