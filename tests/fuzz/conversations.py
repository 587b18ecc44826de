"""Whole conversations that go wrong, over real connections: a box is spoken to, and speaks itself.

The box is the product as it is, with its index and its store. After each conversation a healthy
peer is answered as ever; nothing is in the log that nobody foresaw.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from edge.config import Dimse
from edge.dicom.identifier import write_identifier
from edge.dimse import upper_layer
from edge.dimse.messages import CommandField, Element
from edge.dimse.requestor import Dialer
from edge.errors import PeerError
from edge.others import Peer
from tests.dimse import raw
from tests.fuzz import corpus, trees
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import ANSWERS, PROPOSALS, Target
from tests.journeys import box
from tests.ports import free_port

LONGEST = 30.0
"""Seconds until a conversation must be over: a hang, otherwise."""
PATIENCE = 6.0
"""Seconds that a peer which has said all listens, before it ends its side of the connection."""
ALL = ("store", "query", "retrieve", "commit", "worklist")


@dataclass(frozen=True)
class Talk:
    """A conversation, and what is wrong with it."""

    syntax: str
    asked: tuple[int, ...]
    """Which messages, in which order."""
    part: str
    """What the changes are of: the request, commands, data sets, or the stream after the answer;
    or "elements" of commands, one by one, whose lengths stay right."""
    some: list[Change]
    ends: str
    """How, and whether the peer waits for an answer before."""
    values: tuple[tuple[int, str | float | None], ...] = ()
    """That stand in data sets instead, in elements counted through."""

    def request(self) -> bytes:
        body = corpus.request_body(self.syntax)
        return raw.pdu(1, mutated(body, self.some) if self.part == "request" else body)

    def stream(self) -> bytes:
        known, sent = corpus.messages(self.syntax) + corpus.further(self.syntax), []
        for number in self.asked:
            message = known[number]
            command, data_set = message.command, message.data_set
            if message.name and self.values:
                tree = trees.turned(corpus.IDENTIFIERS[message.name], self.values)
                data_set = write_identifier(tree, self.syntax, is_lenient=True)
            if self.part == "command":
                command = mutated(command, self.some)
            if self.part == "elements":
                command = _with_elements(command, self.some)
            if self.part == "data set" and data_set:
                data_set = mutated(data_set, self.some)
            context_id = corpus.ID_OF[message.sop_class]
            sent.append(raw.p_data(raw.fragment(context_id, 3, command[:16000])))
            if message.name:
                pieces = range(0, max(len(data_set), 1), 16000)
                for at in pieces:
                    is_last = 2 if at + 16000 >= len(data_set) else 0
                    piece = data_set[at : at + 16000]
                    sent.append(raw.p_data(raw.fragment(context_id, is_last, piece)))
        stream = b"".join(sent)
        return mutated(stream, self.some) if self.part == "stream" else stream


def _with_elements(command: bytes, some: Sequence[Change]) -> bytes:
    """A command set (PS3.7 6.3.1) with other values, or without an element, or with one twice."""
    elements, at = [], 12  # behind the group's length
    while at < len(command):
        end = at + 8 + int.from_bytes(command[at + 4 : at + 8], "little")
        elements.append(command[at:end])
        at = end
    for one in some:
        if not elements:
            break
        at = len(elements) * one.where // 1000
        match one.kind:
            case "delete" | "cut":
                del elements[at]
            case "repeat":
                elements.insert(at, elements[at])
            case _:
                value = one.piece + b"\0" * (len(one.piece) % 2)
                elements[at] = elements[at][:4] + len(value).to_bytes(4, "little") + value
    return raw.command_set(*elements)


_VALUES = (
    "1.2.3",
    "1.2.3.4",
    "1.2.3.4.5",
    "1.2.3\\1.2.4",
    "IMAGE",
    "SERIES",
    "PATIENT",
    "CT",
    "SYN-FUZZ",
    "Synthetic^*",
    "IN PROGRESS",
    "COMPLETED",
    "DISCONTINUED",
    "20200101-",
    None,
    *trees.TEXTS,
    *(float(number) for number in trees.NUMBERS),
)
_TALKS = st.builds(
    Talk,
    st.sampled_from(corpus.SYNTAXES),
    # A few store first: what others ask for is there.
    st.builds(
        lambda first, asked: (*first, *asked),
        st.sampled_from(((), (), (1,))),
        st.lists(st.integers(0, 12), min_size=1, max_size=4).map(tuple),
    ),
    # What comes first is chosen most.
    st.sampled_from((*["data set"] * 3, "elements", "elements", "command", "stream", "request")),
    changes(),
    # Who is gone at once hears nothing, and most of what was asked is never begun.
    st.sampled_from((*["release"] * 6, "abort", "close", "abort later", "close later")),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(_VALUES)), max_size=3).map(tuple),
)


class Errors(logging.Handler):
    """Keeps lines that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _watched() -> Iterator[Errors]:
    errors, logger = Errors(), logging.getLogger("edge")
    logger.addHandler(errors)
    linger, upper_layer.LINGER_SECONDS = upper_layer.LINGER_SECONDS, 0.2
    try:
        yield errors
    finally:
        upper_layer.LINGER_SECONDS = linger
        logger.removeHandler(errors)


@contextmanager
def _acceptor() -> Iterator[Callable[[Any], None]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        _watched() as errors,
        asyncio.Runner() as runner,
    ):
        stack, port = AsyncExitStack(), free_port()
        peers = (
            Peer(corpus.TITLE, host="127.0.0.1", port=port, may=ALL),
            Peer("HEALTHY", may=("store",)),
            Peer("NOWHERE", host="127.0.0.1", port=1),
            # What is moved there comes in again.
            Peer("EDGE", host="127.0.0.1", port=port),
        )
        dimse = {
            "listen": f"127.0.0.1:{port}",
            "peer": peers,
            "artim_seconds": 2.0,
            "pdu_seconds": 2.0,
        }
        settings = box.settings(Path(folder), dimse=dimse)

        async def begin() -> raw.RawPeer:
            await stack.enter_async_context(box.running(settings))
            healthy = await stack.enter_async_context(raw.connected(port))
            await healthy.associate(calling="HEALTHY")
            return healthy

        healthy = runner.run(begin())

        async def meet(talk: Talk) -> bytes:
            async with asyncio.timeout(LONGEST):
                heard = await _speak(port, talk)
            assert await healthy.echo() == 0
            assert not errors.lines, errors.lines
            return heard

        try:
            yield lambda talk: runner.run(meet(talk))
        finally:
            runner.run(stack.aclose())


async def _speak(port: int, talk: Talk) -> bytes:
    """To the end; all that comes after the answer to the association request."""
    heard = b""
    async with raw.connected(port) as peer:
        peer.send(talk.request())
        if talk.part == "request":
            # A length that is longer than what comes would be waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await peer.reader.read(1)
        elif await _kind(peer) != 2:
            return heard
        peer.send(talk.stream())
        how, _, later = talk.ends.partition(" ")
        with suppress(ConnectionError):
            if later:
                await peer.writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        heard += await peer.reader.read(1 << 16)
            if how != "close":
                peer.send(raw.pdu(5 if how == "release" else 7, bytes(4)))
            await peer.writer.drain()
            if how == "close" and peer.writer.can_write_eof():
                peer.writer.write_eof()
            while piece := await _read(peer):
                heard += piece
    return heard


async def _read(peer: raw.RawPeer) -> bytes:
    """What comes next. If nothing does, the release may have been the end of a longer message:
    then it was none, and only the connection's end is one.
    """
    waiting = asyncio.ensure_future(peer.reader.read(1 << 16))
    await asyncio.wait([waiting], timeout=PATIENCE)
    if not waiting.done() and peer.writer.can_write_eof():
        peer.writer.write_eof()
    return await waiting


async def _kind(peer: raw.RawPeer) -> int:
    return (await peer.read_pdu())[0]


# The other way round: the box asks, and what it hears is wrong.


@dataclass(frozen=True)
class Reply:
    """What a peer says to an association request, and to what is asked then."""

    answer: bytes
    stream: bytes
    part: str
    some: list[Change]
    closes: bool


def _response(field: CommandField, number: int, status: int, *, has_data_set: bool) -> bytes:
    return raw.command_set(
        raw.uid_element(0x0002, corpus.STUDY_FIND),
        raw.short(0x0100, field | 0x8000),
        raw.short(0x0120, number),
        raw.short(0x0800, 1 if has_data_set else 0x0101),
        raw.short(0x0900, status),
    )


_FIND_ID = corpus.ID_OF[corpus.STUDY_FIND]
REPLIES = [
    b"".join(
        [
            raw.p_data(
                raw.fragment(
                    _FIND_ID, 3, _response(CommandField.C_FIND, 1, 0xFF00, has_data_set=True)
                )
            ),
            raw.p_data(raw.fragment(_FIND_ID, 2, corpus.encoded("studies", raw.IMPLICIT))),
            raw.p_data(
                raw.fragment(_FIND_ID, 3, _response(CommandField.C_FIND, 1, 0, has_data_set=False))
            ),
            raw.pdu(6, bytes(4)),
        ]
    )
]
_REPLIES = st.builds(
    Reply,
    st.sampled_from(
        [answer for answer in ANSWERS if b"1.2.840.10008.1.2\x21" in answer] or ANSWERS
    ),
    st.sampled_from(REPLIES),
    st.sampled_from(("answer", "stream", "stream")),
    changes(),
    st.booleans(),
)


@contextmanager
def _requestor() -> Iterator[Callable[[Any], None]]:
    with _watched() as errors, asyncio.Runner() as runner:
        yield lambda reply: runner.run(_ask(reply, errors))


async def _ask(reply: Reply, errors: Errors) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(6)
            answer, stream = reply.answer, reply.stream
            if reply.part == "answer":
                answer = mutated(answer, reply.some)
            else:
                stream = mutated(stream, reply.some)
            writer.write(raw.pdu(2, answer))
            await asyncio.sleep(0.002)
            writer.write(stream)
            if reply.closes:
                writer.write_eof()
            while await reader.read(1 << 16):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    settings = Dimse(ae_title=corpus.TITLE, pdu_seconds=0.5, artim_seconds=0.5)
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, asyncio.timeout(LONGEST):
        port = server.sockets[0].getsockname()[1]
        with suppress(PeerError):
            async with Dialer(settings).associate("127.0.0.1", port, "EDGE", PROPOSALS) as asked:
                context = asked.find(corpus.STUDY_FIND)
                if context is None:
                    return
                values = {Element.AFFECTED_SOP_CLASS_UID: corpus.STUDY_FIND, Element.PRIORITY: 0}
                answers = asked.dialogue.requests(
                    context.context_id, CommandField.C_FIND, values, b"\x08\0\x52\0\0\0\0\0"
                )
                async for one in answers:
                    assert 0 <= one.status <= 0xFFFF
    assert not errors.lines, errors.lines


CONVERSATIONS = (
    Target("acceptor", _TALKS, _acceptor, Talk, seconds=LONGEST),
    Target("requestor", _REPLIES, _requestor, Reply, seconds=LONGEST),
)
