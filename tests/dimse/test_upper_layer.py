import asyncio
import itertools
import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dimse import upper_layer
from edge.dimse.data_set import Intake
from edge.dimse.framing import MAX_ASSOCIATE_BYTES, AbortReason
from edge.dimse.upper_layer import UpperLayer
from edge.errors import PeerError
from tests.dimse.raw import fragment, p_data, pdu


class Connection(asyncio.Transport):
    """A fake of asyncio's transport."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.writes = 0
        self.is_gone = False
        self.is_reading = True

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        assert not self.is_gone
        self.written += data
        self.writes += 1

    def abort(self):
        self.is_gone = True

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True


class User:
    """A fake of the association: a list of what it was told."""

    def __init__(self):
        self.told = []
        self.data = b""
        self.error = None

    def on_connected(self):
        self.told.append(("connected",))

    def on_associate(self, body):
        self.told.append(("associate", body))

    def on_fragment(self, context_id, *, is_command):
        self.data = b""
        self.told.append(("fragment", context_id, is_command))

    def on_data(self, data):
        self.data += data
        if self.error:
            raise self.error

    def on_fragment_end(self, *, is_last):
        self.told.append(("data", self.data, is_last))

    def on_progress(self):
        pass

    def on_release(self):
        self.told.append(("release",))

    def on_closed(self, error):
        self.told.append(("closed", str(error)))

    def on_disconnected(self):
        self.told.append(("disconnected",))


class Bench:
    """A layer between the two fakes."""

    def __init__(self, *, established=True, max_pdu=16384):
        self.user, self.wire = User(), Connection()
        self.intake = Intake()
        self.layer = UpperLayer(self.user, self.intake, max_pdu=max_pdu, send_seconds=0.1)
        self.layer.connection_made(self.wire)
        if established:
            self.receive(pdu(1, b"request"))
            self.layer.accept(b"", fragment_size=1000)
        self.user.told.clear()

    def receive(self, data):
        buffer = self.layer.get_buffer(-1)
        while data:
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self.layer.buffer_updated(size)
            data = data[size:]

    @property
    def abort(self):
        """Source and reason of the A-ABORT that was sent."""
        kind, length, source, reason = struct.unpack(">BxIxxBB", self.wire.written)
        assert (kind, length) == (7, 4)
        return source, reason


@pytest.fixture
async def bench():
    return Bench()


MESSAGES = [
    p_data(fragment(1, 3, b"command"), fragment(1, 0, b"da"), fragment(1, 2, b"ta")),
    p_data(fragment(3, 2, b"")),
    p_data(fragment(5, 1, b"x" * 9000)) + p_data(fragment(5, 3, b"y" * 16000)),
    pdu(5, bytes(4)),
]


async def test_fragments_are_handed_on_in_order(bench):
    bench.receive(MESSAGES[0])
    assert bench.user.told == [
        ("fragment", 1, True),
        ("data", b"command", True),
        ("fragment", 1, False),
        ("data", b"da", False),
        ("fragment", 1, False),
        ("data", b"ta", True),
    ]


def run_split(cuts):
    async def run():
        bench = Bench()
        stream = b"".join(MESSAGES)
        edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
        for start, end in itertools.pairwise(edges):
            bench.receive(stream[start:end])
        return bench.user.told

    return asyncio.run(run())


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 20), max_size=40))
def test_however_tcp_cuts_the_stream_the_same_is_told(cuts):
    assert run_split(cuts) == run_split([])


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_order_or_in_an_abort(data, established):
    async def run():
        bench = Bench(established=established)
        bench.receive(data)
        bench.layer.connection_lost(None)
        assert bench.user.told[-1] == ("disconnected",)
        assert sum(entry[0] == "closed" for entry in bench.user.told) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pdu(4, b""), 6),
        (struct.pack(">BxI", 4, 0xFFFFFFFF), 6),
        (struct.pack(">BxI", 4, 16384 + 65), 6),
        (pdu(4, struct.pack(">IBB", 3000, 1, 2) + b"short"), 6),
        (pdu(4, struct.pack(">IBB", 1, 1, 2)), 6),
        (pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 2)), 6),
        (pdu(4, fragment(1, 3, b"x") + b"\0\0\0"), 6),
        (pdu(9, b""), 1),
        (b"GET / HTTP/1.1\r\n\r\n", 1),
        (b"\x16\x03\x01\x02\x00\x01", 1),
        (pdu(1, b"again"), 2),
        (pdu(2, bytes(4)), 2),
        (pdu(3, bytes(4)), 2),
        (pdu(6, bytes(4)), 2),
        (pdu(5, bytes(8)), 6),
        (struct.pack(">BxI", 7, 0xFFFFFFFF), 6),
    ],
)
async def test_a_bad_pdu_aborts_with_the_reason_of_the_standard(bench, data, reason):
    bench.receive(data)
    assert bench.abort == (2, reason)
    assert bench.user.told[-1][0] == "closed"
    told = list(bench.user.told)
    bench.receive(MESSAGES[0])
    assert bench.user.told == told


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n", "it speaks HTTP: .* http.listen"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", "it speaks HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it speaks TLS"),
        (b"SSH-2.0-OpenSSH\r\n", "a PDU of type 53 came"),
    ],
)
async def test_who_speaks_another_protocol_is_told_of_by_its_name(data, what):
    bench = Bench(established=False)
    bench.receive(data)
    assert bench.abort == (2, 1)
    ((told, error),) = bench.user.told
    assert told == "closed"
    assert re.match(what, error)


async def test_before_the_association_only_a_request_is_taken():
    for data in (MESSAGES[0], pdu(5, bytes(4)), pdu(2, b"accept")):
        bench = Bench(established=False)
        bench.receive(data)
        assert bench.abort == (2, 2)


async def test_a_second_request_is_unexpected():
    bench = Bench(established=False)
    bench.receive(pdu(1, b"one") + pdu(1, b"two"))
    assert bench.user.told[0] == ("associate", b"one")
    assert bench.abort == (2, 2)


async def test_a_huge_request_is_refused_by_its_header():
    bench = Bench(established=False)
    bench.receive(struct.pack(">BxI", 1, MAX_ASSOCIATE_BYTES + 1))
    assert bench.abort == (2, 6)


async def test_an_announced_pdu_takes_no_memory(bench):
    bench.receive(struct.pack(">BxI", 4, 16384) + struct.pack(">IBB", 16380, 1, 0))
    assert len(bench.layer._framing._head) == 0
    bench.receive(bytes(100))
    assert bench.user.data == bytes(100)


async def test_an_error_of_the_user_aborts_as_the_user(bench):
    bench.user.error = PeerError("no such thing")
    bench.receive(MESSAGES[0])
    assert bench.abort == (0, 0)
    assert bench.user.told[-1] == ("closed", "no such thing")


async def test_an_abort_of_the_peer_is_told_once(bench):
    bench.receive(pdu(7, bytes(4)))
    assert bench.wire.is_gone
    bench.layer.connection_lost(None)
    assert bench.user.told == [("closed", "the peer aborted the association"), ("disconnected",)]


async def test_a_lost_connection_is_told(bench):
    bench.layer.connection_lost(ConnectionResetError("reset"))
    assert bench.user.told[0][0] == "closed"
    assert "reset" in bench.user.told[0][1]
    with pytest.raises(PeerError):
        await bench.layer.send(1, b"late")


async def test_after_a_release_the_end_of_the_connection_is_no_news(bench):
    bench.layer.release()
    assert bench.wire.written == pdu(6, bytes(4))
    bench.layer.connection_lost(None)
    assert bench.user.told == [("disconnected",)]


async def test_a_rejection_is_told_to_the_peer_alone():
    bench = Bench(established=False)
    bench.receive(pdu(1, b"request"))
    bench.layer.reject(2, 3, 2)
    assert bench.wire.written == pdu(3, b"\0\2\3\2")
    bench.layer.connection_lost(None)
    assert ("closed" in {entry[0] for entry in bench.user.told}) is False


async def test_without_a_request_an_abort_just_closes():
    bench = Bench(established=False)
    bench.layer.abort(AbortReason.NOT_SPECIFIED, PeerError("silent"))
    assert bench.wire.written == b""
    assert bench.wire.is_gone


async def test_an_abort_reads_on_so_that_the_end_is_seen(bench):
    bench.layer.pause_reading()
    bench.layer.abort(AbortReason.NOT_SPECIFIED, PeerError("enough"))
    assert bench.wire.is_reading
    assert bench.layer._linger is not None
    bench.layer.connection_lost(None)


async def test_a_message_is_cut_to_the_peers_maximum(bench):
    await bench.layer.send(3, b"c" * 2500, b"d" * 10)
    assert bench.wire.written == b"".join(
        [
            p_data(fragment(3, 1, b"c" * 1000)),
            p_data(fragment(3, 1, b"c" * 1000)),
            p_data(fragment(3, 3, b"c" * 500)),
            p_data(fragment(3, 2, b"d" * 10)),
        ]
    )


async def pieces(*sizes):
    for size in sizes:
        yield b"d" * size


@pytest.mark.parametrize("sizes", [(2500,), (999, 1, 1500), (1000, 1000, 500), (0, 2500, 0)])
async def test_a_data_set_that_comes_in_pieces_fills_the_peers_maximum(bench, sizes):
    await bench.layer.send(3, b"c", pieces(*sizes))
    assert bench.wire.written == b"".join(
        [
            p_data(fragment(3, 3, b"c")),
            p_data(fragment(3, 0, b"d" * 1000)),
            p_data(fragment(3, 0, b"d" * 1000)),
            p_data(fragment(3, 2, b"d" * 500)),
        ]
    )


async def test_a_data_set_that_breaks_off_aborts(bench):
    async def broken():
        yield b"d" * 1500
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        await bench.layer.send(3, b"c", broken())
    assert bench.layer.is_ending
    bench.layer.connection_lost(None)


async def test_messages_never_mix(bench):
    gate = asyncio.Event()

    async def slow():
        yield b"d" * 2000
        await gate.wait()

    first = asyncio.ensure_future(bench.layer.send(3, b"c", slow()))
    second = asyncio.ensure_future(bench.layer.send(5, b"e"))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, second)
    assert bench.wire.written.endswith(p_data(fragment(5, 3, b"e")))


async def test_a_message_of_exactly_the_maximum_is_one_fragment(bench):
    await bench.layer.send(3, b"c" * 1000)
    assert bench.wire.written == p_data(fragment(3, 3, b"c" * 1000))


async def test_a_peer_that_does_not_read_is_given_up(bench):
    bench.layer.pause_writing()
    with pytest.raises(PeerError, match="did not read"):
        await bench.layer.send(3, b"answer")
    assert bench.wire.is_gone


async def test_a_slow_reader_gets_everything(bench, monkeypatch):
    monkeypatch.setattr(upper_layer, "_TOGETHER", 1000)
    bench.layer.pause_writing()
    sending = asyncio.ensure_future(bench.layer.send(3, b"c" * 2000))
    await asyncio.sleep(0)
    assert bench.wire.written == p_data(fragment(3, 1, b"c" * 1000))
    bench.layer.resume_writing()
    await sending
    assert bench.wire.written.endswith(p_data(fragment(3, 3, b"c" * 1000)))


async def test_a_command_and_a_short_data_set_are_written_at_once(bench):
    written, writes = len(bench.wire.written), bench.wire.writes
    await bench.layer.send(3, b"command", memoryview(b"data"))
    expected = p_data(fragment(3, 3, b"command")) + p_data(fragment(3, 2, b"data"))
    assert bench.wire.written[written:] == expected
    assert bench.wire.writes == writes + 1
