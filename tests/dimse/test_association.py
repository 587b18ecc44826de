import asyncio
import contextlib
import logging
import random
import struct
import tracemalloc
from dataclasses import replace

import pytest

from edge.cache.peers import PeerBook
from edge.cache.strangers import MOST_OF_A_HOST
from edge.config import Dimse
from edge.dimse import server as server_module
from edge.dimse import upper_layer
from edge.dimse.messages import CommandField, Status
from edge.dimse.peers import Caller
from edge.dimse.quiet import LINES
from edge.dimse.services import Service
from edge.errors import PeerError
from edge.index.database import Database
from edge.others import Peer
from tests.dimse import raw
from tests.dimse.raw import (
    CT,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    RecordingAdmission,
    associate_body,
    command_set,
    connected,
    context_item,
    echo_command,
    element,
    fragment,
    p_data,
    pdu,
    serving,
    short,
    store_command,
    uid_element,
    user_items,
)


@pytest.fixture(autouse=True)
def short_goodbye(monkeypatch):
    monkeypatch.setattr(upper_layer, "LINGER_SECONDS", 0.2)


async def test_associate_echo_release():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        assert server.associations == 1
        assert await peer.echo(41) == 0
        assert await peer.echo(42) == 0
        await peer.release()
        assert await peer.read_pdu() == (0, b"")
        assert server.associations == 0


async def test_reject_codes_follow_the_standard():
    cases = [
        ({"calling": "STRANGER"}, bytes([1, 1, 3])),
        ({"calling": b"\xff\n"}, bytes([1, 1, 3])),
        ({"called": "OTHER"}, bytes([1, 1, 7])),
        ({"version": 2}, bytes([1, 2, 2])),
        ({"application": b"1.2.3"}, bytes([1, 1, 2])),
        ({"user": user_items(4)}, bytes([1, 1, 1])),
    ]
    async with serving(unknown_peers="reject", peer=(Peer("RAW"),)) as server:
        for fields, codes in cases:
            async with connected(server.port) as peer:
                assert await peer.refused(**fields) == codes
        async with connected(server.port) as peer:
            await peer.associate()


async def test_one_association_too_many_is_refused_for_now():
    async with serving(max_associations=2) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(server.port)) for _ in range(3)]
        await peers[0].associate()
        await peers[1].associate()
        assert await peers[2].refused() == bytes([2, 3, 2])
        await peers[0].release()
        async with connected(server.port) as later:
            await later.associate()


async def test_those_who_never_associate_are_bounded_and_keep_nobody_out(monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    monkeypatch.setattr(server_module, "MAX_UNASSOCIATED", 3)
    async with (
        serving(max_associations=1, unknown_peers="reject", peer=(Peer("RAW"),)) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(connected(server.port)) for _ in range(4)]
        assert await silent[0].read_pdu() == (0, b"")
        known = await stack.enter_async_context(connected(server.port))
        await known.associate()
        assert await known.echo() == 0
        assert await silent[1].read_pdu() == (0, b"")
        assert len(server._shared.connections) == 3
    assert "127.0.0.1: the association was lost: there are too many" in caplog.text


async def test_a_configured_peer_gets_the_association_of_an_idle_stranger():
    async with (
        serving(max_associations=2, peer=(Peer("CT1"),)) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        peers = [await stack.enter_async_context(connected(server.port)) for _ in range(4)]
        await peers[0].associate()
        await peers[1].associate()
        assert await peers[0].echo() == 0
        assert await peers[2].refused() == bytes([2, 3, 2])
        await peers[3].associate(calling="CT1")
        assert await peers[1].aborted() == (2, 0)
        assert await peers[0].echo() == 0
        assert await peers[3].echo() == 0
        assert server.associations == 2


async def test_a_peer_that_ends_while_it_is_identified_leaves_nothing():
    class Slow:
        async def identify(self, **_):
            asked.set()
            await answer.wait()
            return Caller("RAW", "127.0.0.1", "EDGE", frozenset({"store"}))

    asked, answer = asyncio.Event(), asyncio.Event()
    async with serving() as server:
        server._shared.peers = Slow()
        async with connected(server.port) as peer:
            peer.send(pdu(1, associate_body(raw.DEFAULT_CONTEXTS)))
            await asyncio.wait_for(asked.wait(), raw.PATIENCE)
            peer.reset()
            (member,) = server._shared.connections
            await raw.until(lambda: not member.layer.is_connected)
        answer.set()
        await raw.until(lambda: not server._shared.connections)
        assert server.associations == 0


async def test_the_artim_timer_closes_a_silent_connection():
    async with serving(artim_seconds=0.2) as server:
        async with connected(server.port) as peer:
            assert await peer.read_pdu() == (0, b"")
        async with connected(server.port) as peer:
            peer.send(pdu(1, associate_body(raw.DEFAULT_CONTEXTS))[:50])
            assert await peer.aborted() == (2, 0)


async def test_an_idle_association_ends_after_its_time():
    async with serving(idle_seconds=1.0) as server, connected(server.port) as peer:
        await peer.associate()
        assert await peer.echo() == 0
        assert await peer.aborted() == (2, 0)


@pytest.mark.alone
async def test_one_byte_at_a_time_ends_at_the_deadline_of_the_pdu():
    async with serving(pdu_seconds=0.3) as server, connected(server.port) as peer:
        await peer.associate()
        loop = asyncio.get_running_loop()
        began = loop.time()
        drops = [bytes([value]) for value in p_data(fragment(1, 3, echo_command()))]
        assert await peer.aborted_while_sending(drops, 0.02) == (2, 0)
        assert 0.25 < loop.time() - began < 1.5


async def test_a_message_in_drops_is_given_up_although_every_pdu_is_in_time():
    admission = RecordingAdmission()
    async with serving(admission, pdu_seconds=1.0) as server, connected(server.port) as peer:
        await peer.associate()
        peer.send(p_data(fragment(3, 3, store_command())))
        drops = [p_data(fragment(3, 0, b"xx"))] * 200
        assert await peer.aborted_while_sending(drops, 0.03) == (0, 0)
    assert len(admission.discarded) == 1
    assert admission.instances == {}


async def test_a_message_that_stops_halfway_is_given_up():
    admission = RecordingAdmission()
    async with serving(admission, pdu_seconds=1.0) as server, connected(server.port) as peer:
        await peer.associate()
        peer.send(p_data(fragment(3, 3, store_command()), fragment(3, 0, b"half")))
        assert await peer.aborted() == (2, 0)
    assert len(admission.discarded) == 1


async def test_our_own_slowness_is_no_ones_fault():
    admission = RecordingAdmission()
    admission.gate.clear()
    data = bytes(3_000_000)
    async with (
        serving(admission, pdu_seconds=1.0, idle_seconds=1.0) as server,
        connected(server.port) as peer,
    ):
        await peer.associate()
        peer.store(data)
        await asyncio.wait_for(admission.started.wait(), raw.PATIENCE)
        await asyncio.sleep(2.0)
        admission.gate.set()
        assert await peer.status() == 0
    assert admission.instances["1.2.3.4"].endswith(data)


async def test_a_data_set_without_end_is_stopped_at_the_limit():
    admission = RecordingAdmission()
    async with (
        serving(admission, max_instance_bytes=100_000) as server,
        connected(server.port) as peer,
    ):
        await peer.associate()
        peer.send(p_data(fragment(3, 3, store_command())))
        for _ in range(10):
            peer.send(p_data(fragment(3, 0, bytes(16000))))
        assert await peer.aborted() == (0, 0)
    assert len(admission.discarded) == 1


VIOLATIONS = {
    "a PDV on a context that was not accepted": (p_data(fragment(9, 3, echo_command())), (0, 0)),
    "a data set without a command": (p_data(fragment(3, 2, b"data")), (0, 0)),
    "a data set after a command without one": (
        p_data(fragment(3, 3, store_command(data_set=0x0101)), fragment(3, 2, b"data")),
        (0, 0),
    ),
    "a command in the middle of a data set": (
        p_data(fragment(3, 3, store_command()), fragment(3, 0, b"da"), fragment(3, 3, b"")),
        (0, 0),
    ),
    "a data set on another context": (
        p_data(fragment(3, 3, store_command()), fragment(1, 2, b"data")),
        (0, 0),
    ),
    "a command on two contexts": (
        p_data(fragment(3, 1, store_command()[:20]), fragment(1, 3, store_command()[20:])),
        (0, 0),
    ),
    "a command set that can't be read": (p_data(fragment(1, 3, b"\xff" * 40)), (0, 0)),
    "an empty command set": (p_data(fragment(1, 3, b"")), (0, 0)),
    "a response to nothing": (
        p_data(
            fragment(
                1,
                3,
                command_set(short(0x0100, 0x8030), short(0x0120, 1), short(0x0800, 0x0101)),
            )
        ),
        (0, 0),
    ),
    "a command field of nowhere": (
        p_data(
            fragment(
                1, 3, command_set(short(0x0100, 0x0777), short(0x0110, 1), short(0x0800, 0x0101))
            )
        ),
        (0, 0),
    ),
    "C-CANCEL with a data set": (
        p_data(
            fragment(1, 3, command_set(short(0x0100, 0x0FFF), short(0x0120, 1), short(0x0800, 1)))
        ),
        (0, 0),
    ),
    "A-RELEASE-RQ in the middle of a message": (
        p_data(fragment(3, 3, store_command())) + pdu(5, bytes(4)),
        (0, 0),
    ),
    "an oversized PDU": (struct.pack(">BxI", 4, 0xFFFFFFFF), (2, 6)),
    "a PDV past its PDU": (pdu(4, struct.pack(">IBB", 1 << 20, 1, 3) + b"abc"), (2, 6)),
    "an unknown PDU": (pdu(0x42, b"??"), (2, 1)),
    "a second A-ASSOCIATE-RQ": (pdu(1, associate_body(b"")), (2, 2)),
}


@pytest.mark.parametrize("case", VIOLATIONS)
async def test_a_violation_aborts_and_the_next_peer_is_served(case):
    data, expected = VIOLATIONS[case]
    admission = RecordingAdmission()
    async with serving(admission) as server:
        async with connected(server.port) as peer:
            await peer.associate()
            peer.send(data)
            if case == "a data set after a command without one":
                # The command alone is a complete message, and may be answered first.
                kind, body = await peer.read_pdu()
                if kind == 4:
                    kind, body = await peer.read_pdu()
                assert (kind, (body[2], body[3])) == (7, expected)
            else:
                assert await peer.aborted() == expected
            assert await peer.read_pdu() == (0, b"")
        assert admission.instances == {}
        async with connected(server.port) as peer:
            await peer.associate()
            assert await peer.echo() == 0


async def test_a_malformed_request_is_aborted_as_invalid():
    async with serving() as server, connected(server.port) as peer:
        peer.send(pdu(1, associate_body(2 * context_item(1, CT, [IMPLICIT]))))
        assert await peer.aborted() == (2, 6)


async def test_data_before_the_answer_aborts():
    async with serving() as server, connected(server.port) as peer:
        peer.send(pdu(1, associate_body(raw.DEFAULT_CONTEXTS)) + p_data(fragment(1, 3, b"x")))
        assert await peer.aborted() == (2, 2)


async def test_an_endless_command_takes_bounded_memory():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        for _ in range(10):
            peer.send(p_data(fragment(1, 1, bytes(16000))))
        assert await peer.aborted() == (0, 0)


def one_store(data):
    pieces = [p_data(fragment(3, 3, store_command()))]
    pieces += [p_data(fragment(3, 0, data[i : i + 500])) for i in range(0, len(data), 500)]
    return [*pieces, p_data(fragment(3, 2, b""))]


@pytest.mark.parametrize("how", ["abort", "reset", "close", "half a PDU, then reset"])
async def test_a_peer_may_vanish_at_every_pdv(how):
    pieces = one_store(bytes(5000))
    admission = RecordingAdmission()
    async with serving(admission) as server:
        for count in range(len(pieces)):
            async with connected(server.port) as peer:
                await peer.associate()
                peer.send(b"".join(pieces[:count]))
                await peer.writer.drain()
                if how == "abort":
                    peer.send(pdu(7, bytes(4)))
                elif how == "reset":
                    peer.reset()
                elif how == "close":
                    peer.writer.write_eof()
                else:
                    peer.send(pieces[count][:7])
                    await asyncio.sleep(0.001)
                    peer.reset()
                with contextlib.suppress(AssertionError):
                    await peer.read_pdu()
        await raw.until(lambda: not server._shared.connections)
        assert server.associations == 0
        assert admission.instances == {}
        assert all(isinstance(error, PeerError) for error in admission.discarded)
        assert server._shared.intake.held == 0
        async with connected(server.port) as peer:
            await peer.associate()
            peer.send(b"".join(pieces))
            assert await peer.status() == 0


async def test_200_idle_associations_cost_little_and_others_are_served():
    async with serving() as server, contextlib.AsyncExitStack() as stack:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        peers = [await stack.enter_async_context(connected(server.port)) for _ in range(200)]
        for peer in peers:
            await peer.associate()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Both ends are in this process; the clients' stream readers are counted, too.
        assert (after - before) / 200 < 40_000
        assert server.associations == 200
        handles = [entry for entry in asyncio.get_running_loop()._scheduled if not entry._cancelled]
        assert len(handles) < 2 * 200 + 50
        async with connected(server.port) as peer:
            await peer.associate()
            assert await peer.echo() == 0


async def test_a_trickling_peer_does_not_slow_the_others():
    async with serving() as server, connected(server.port) as slow, connected(server.port) as fast:
        await slow.associate()
        await fast.associate()
        slow.send(p_data(fragment(1, 3, echo_command()))[:20])
        for number in range(50):
            assert await fast.echo(number) == 0


async def test_requests_sent_ahead_are_answered_in_order():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        for number in range(40):
            peer.send(p_data(fragment(1, 3, echo_command(number))))
        peer.send(pdu(5, bytes(4)))
        for number in range(40):
            answer = await peer.response()
            assert int.from_bytes(answer[0x0120], "little") == number
        assert await peer.read_pdu() == (6, bytes(4))


async def test_a_peer_that_never_reads_its_answers_is_given_up():
    async with serving(pdu_seconds=1.0) as server, connected(server.port, limit=4096) as peer:
        await peer.associate()
        command = p_data(fragment(1, 3, echo_command())) * 500
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(raw.PATIENCE):
                while True:
                    peer.send(command)
                    await peer.writer.drain()
        await raw.until(lambda: not server.associations)


async def test_an_operation_that_a_service_lacks_is_unrecognised_and_its_data_is_skipped():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        command = command_set(
            uid_element(0x0002, VERIFICATION),
            short(0x0100, 0x0020),
            short(0x0110, 5),
            short(0x0800, 1),
        )
        peer.send(p_data(fragment(1, 3, command), fragment(1, 2, bytes(500))))
        answer = await peer.response()
        assert answer[0x0900] == struct.pack("<H", 0x0211)
        assert answer[0x0100] == struct.pack("<H", 0x8020)
        assert await peer.echo() == 0


FIND = "1.2.840.10008.5.1.4.31"


def find_service(handler):
    return Service("find", FIND.__eq__, {CommandField.C_FIND: handler})


def find_command(message_id=1):
    return command_set(
        uid_element(0x0002, FIND),
        short(0x0100, 0x0020),
        short(0x0110, message_id),
        short(0x0800, 1),
    )


async def test_a_service_may_answer_many_times_with_data_sets_cut_to_the_peers_maximum():
    async def find(operation):
        query = b"".join([piece async for piece in operation.data_set])
        for _ in range(2):
            await operation.respond(0xFF00, data_set=query * 3000)
        await operation.respond(Status.SUCCESS)

    async with (
        serving(services=[find_service(find)]) as server,
        connected(server.port) as peer,
    ):
        await peer.associate(context_item(1, FIND, [EXPLICIT]), user=user_items(4096))
        peer.send(p_data(fragment(1, 3, find_command()), fragment(1, 2, b"query")))
        for _ in range(2):
            assert (await peer.response())[0x0900] == b"\x00\xff"
            data_set = b""
            while True:
                kind, body = await peer.read_pdu()
                assert kind == 4
                assert len(body) <= 4096
                data_set += body[6:]
                assert not body[5] & 1
                if body[5] & 2:
                    break
            assert data_set == b"query" * 3000
        assert await peer.status() == 0


async def test_a_cancel_is_seen_while_the_handler_runs():
    running = asyncio.Event()

    async def find(operation):
        running.set()
        await raw.until(lambda: operation.is_cancelled)
        await operation.respond(0xFE00)

    async with (
        serving(services=[find_service(find)]) as server,
        connected(server.port) as peer,
    ):
        await peer.associate(context_item(1, FIND, [EXPLICIT]))
        peer.send(p_data(fragment(1, 3, find_command(7)), fragment(1, 2, b"query")))
        await asyncio.wait_for(running.wait(), raw.PATIENCE)
        for message_id in (6, 7):
            cancel = command_set(
                short(0x0100, 0x0FFF), short(0x0120, message_id), short(0x0800, 0x0101)
            )
            peer.send(p_data(fragment(1, 3, cancel)))
        assert await peer.status() == 0xFE00


async def test_a_failing_handler_costs_one_answer_and_names_no_patient_in_the_log(caplog):
    async def find(operation):
        raise LookupError("Secret^Patient")

    async with (
        serving(services=[find_service(find)]) as server,
        connected(server.port) as peer,
    ):
        await peer.associate(context_item(1, FIND, [EXPLICIT]) + context_item(3, CT, [EXPLICIT]))
        peer.send(p_data(fragment(1, 3, find_command()), fragment(1, 2, b"query")))
        assert await peer.status() == 0x0110
        peer.store(b"data")
        assert await peer.status() == 0
    assert "C-FIND failed: LookupError in test_association.py" in caplog.text
    assert "Secret" not in caplog.text


async def test_a_silent_handler_is_answered_for():
    async def find(operation):
        pass

    async with (
        serving(services=[find_service(find)]) as server,
        connected(server.port) as peer,
    ):
        await peer.associate(context_item(1, FIND, [EXPLICIT]))
        peer.send(p_data(fragment(1, 3, find_command()), fragment(1, 2, b"query")))
        assert await peer.status() == 0x0110


async def test_log_lines_are_sentences_about_the_peer(caplog):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    unknown = context_item(5, "1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT])
    async with serving() as server:
        async with connected(server.port) as peer:
            await peer.associate(raw.DEFAULT_CONTEXTS + unknown)
            await peer.echo()
            await peer.release()
        async with connected(server.port) as peer:
            await peer.refused(called="OTHER")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        (
            "RAW at 127.0.0.1: proposed what was not accepted: "
            "1.2.840.10008.5.1.4.1.2.2.1 (not offered here)"
        ),
        "RAW at 127.0.0.1: associated (RAW_1)",
        "RAW at 127.0.0.1: released the association (requests answered: 1)",
        "127.0.0.1: the association was refused: it called 'OTHER'; this is 'EDGE'",
    ]


async def test_a_version_name_can_not_forge_a_log_line(caplog):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    user = raw.item(0x51, bytes(4)) + raw.item(0x55, b"A\nB")
    async with serving() as server, connected(server.port) as peer:
        await peer.associate(user=user)
    assert "associated (A\\nB)" in caplog.text


async def test_elements_of_the_command_that_are_odd_are_no_reason_to_fail():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        command = command_set(
            element(0x0002, VERIFICATION.encode() + b" "),
            short(0x0100, 0x30),
            short(0x0110, 1),
            short(0x0800, 0x0101),
            element(0x5110, b"retired "),
        )
        peer.send(p_data(fragment(1, 3, command)))
        assert await peer.status() == 0


SESSION = (
    pdu(1, associate_body(raw.DEFAULT_CONTEXTS, user=user_items() + raw.role_item(CT, 1, 1)))
    + p_data(fragment(1, 3, echo_command()))
    + p_data(fragment(3, 3, store_command()), fragment(3, 0, bytes(3000)))
    + p_data(fragment(3, 2, bytes(500)))
    + pdu(5, bytes(4))
)


async def test_damaged_sessions_end_and_leave_nothing_behind():
    dice = random.Random(20240229)
    admission = RecordingAdmission()
    async with serving(admission, pdu_seconds=5) as server:
        for _ in range(300):
            session = bytearray(SESSION)
            for _ in range(dice.randint(1, 4)):
                position = dice.randrange(len(session))
                if dice.random() < 0.5:
                    session[position] = dice.choice([0, 1, 2, 4, 7, 0x7F, 0x80, 0xFF])
                else:
                    session[position:position] = dice.randbytes(dice.randint(1, 20))
            async with connected(server.port) as peer:
                # The request first: what comes before its answer is a violation of its own.
                request = 6 + int.from_bytes(session[2:6], "big")
                peer.send(session[:request])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(peer.reader.read(10), 0.05)
                peer.send(session[request:])
        await raw.until(lambda: not server._shared.connections)
        assert server.associations == 0
        assert server._shared.intake.held == 0
        async with connected(server.port) as peer:
            await peer.associate()
            assert await peer.echo() == 0


async def test_a_peer_at_its_own_limit_is_refused_while_another_goes_on():
    peers = (Peer("CT1", max_associations=2), Peer("CT2"))
    async with (
        serving(unknown_peers="reject", peer=peers) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        opened = [await stack.enter_async_context(connected(server.port)) for _ in range(5)]
        await opened[0].associate(calling="CT1")
        await opened[1].associate(calling="CT1")
        assert await opened[2].refused(calling="CT1") == bytes([2, 3, 2])
        await opened[3].associate(calling="CT2")
        await opened[4].associate(calling="CT2")
        for peer in (*opened[:2], *opened[3:]):
            assert await peer.echo() == 0
        await opened[0].release()
        async with connected(server.port) as later:
            await later.associate(calling="CT1")


async def test_the_log_names_the_right_that_a_peer_lacks(caplog):
    async def find(operation):
        await operation.respond(Status.SUCCESS)

    peers = (Peer("RAW", may=("store",)), Peer("WS", may=("query",)))
    async with serving(
        services=[replace(find_service(find), right="query")], unknown_peers="reject", peer=peers
    ) as server:
        async with connected(server.port) as peer:
            await peer.associate(context_item(1, FIND, [EXPLICIT]))
        async with connected(server.port) as peer:
            await peer.associate(context_item(1, CT, [EXPLICIT]), calling="WS")
    assert f'{FIND} (its may lacks "query")' in caplog.text
    assert f'{CT} (its may lacks "store")' in caplog.text


async def test_a_flood_of_strangers_is_listed_and_logged_within_bounds(tmp_path, caplog):
    """Each calls itself another name; a peer goes on meanwhile."""
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        settings = Dimse(unknown_peers="learn", peer=(Peer("CT1"),))
        book = PeerBook(database, settings)
        async with (
            serving(unknown_peers="learn", peer=settings.peer, book=book) as server,
            connected(server.port) as known,
        ):
            await known.associate(calling="CT1")
            for number in range(200):
                async with connected(server.port) as stranger:
                    codes = await stranger.refused(calling=f"X{number}")
                    assert codes == bytes([1, 1, 3])
            assert await known.echo() == 0
        await book.strangers.write()
        rows = await database.read("SELECT ae_title, services FROM strangers ORDER BY last_seen")
    assert len(rows) == MOST_OF_A_HOST
    assert rows[-1] == ("X199", "storage, verification")
    assert sum("was refused" in record.getMessage() for record in caplog.records) <= LINES
