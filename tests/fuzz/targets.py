"""What is fuzzed, one by one: readers that need no connection.

A target takes a wrong thing and must answer it with its own error, or with a result. Any other
exception, a second without an end, or memory without one is a finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from edge.dicom.identifier import read_identifier, write_identifier
from edge.dicom.instance import Level
from edge.dicom.matching import matcher_of
from edge.dicom.procedure import new_step, scheduled_steps
from edge.dicom.scheduled import steps_of
from edge.dicom.worklist_query import WorklistQuery
from edge.dimse import retrieve, storage_commitment
from edge.dimse.data_set import Intake
from edge.dimse.messages import Element, parse_command
from edge.dimse.negotiation import asked_for, negotiate, read_request
from edge.dimse.peers import Caller
from edge.dimse.proposal import Proposal, read_answer
from edge.dimse.query_model import FIND_MODELS, Extension, Knowledge, read
from edge.dimse.services import Service
from edge.dimse.upper_layer import UpperLayer
from edge.errors import InvalidInstance, NotDicom, PeerError, QueryError, StepRefused
from tests.dimse import raw
from tests.dimse.test_upper_layer import Connection, User
from tests.fuzz import corpus
from tests.fuzz.mutation import changes, mutated, mutations

SLOWEST = 5.0
"""Seconds of a reader for some thousand bytes, on a machine that has other things to do."""
EVERYTHING = Service("everything", lambda uid: True, {}, right_to_be_sent="retrieve")
CALLER = Caller("FUZZ", "127.0.0.1", "EDGE", frozenset({"store", "retrieve"}))


@dataclass(frozen=True)
class Target:
    """One."""

    name: str
    examples: st.SearchStrategy[Any]
    opened: Callable[[], Any]
    """A context manager that gives what is called with each example."""
    kind: Any = bytes
    """The type of an example, as its file is read."""
    seconds: float = SLOWEST
    """Of the processor, for one example, on a machine that has other things to do."""
    megabytes: float = 128.0
    """Of memory, for one example."""
    at_a_time: int = 300
    """Examples of a round of the long run; each round begins anew."""


@contextmanager
def _plain(check: Callable[[Any], None]) -> Iterator[Callable[[Any], None]]:
    yield check


def reader(
    name: str,
    examples: st.SearchStrategy[Any],
    check: Callable[[Any], None],
    kind: Any = bytes,
    *,
    at_a_time: int = 300,
) -> Target:
    """A target that needs nothing but its examples."""
    return Target(name, examples, lambda: _plain(check), kind, at_a_time=at_a_time)


# The framing of PDUs, as acceptor and as requestor.

STREAM = b"".join(
    [
        raw.p_data(raw.fragment(1, 3, raw.echo_command())),
        raw.p_data(raw.fragment(3, 1, b"com"), raw.fragment(3, 3, b"mand")),
        raw.p_data(raw.fragment(3, 0, bytes(700)), raw.fragment(3, 2, b"")),
        raw.pdu(5, bytes(4)),
    ]
)
STREAMS = {
    False: [raw.pdu(1, corpus.REQUESTS[0]) + STREAM, STREAM, raw.pdu(7, bytes(4))],
    True: [
        raw.pdu(2, corpus.REQUESTS[0]) + STREAM,
        raw.pdu(3, bytes(4)),
        STREAM,
        raw.pdu(6, bytes(4)),
    ],
}


def _framing(example: tuple[bool, bool, bytes, list[int]]) -> None:
    as_requestor, established, data, cuts = example

    async def run() -> None:
        user, wire = User(), Connection()
        layer = UpperLayer(
            user, Intake(), max_pdu=16384, send_seconds=1.0, is_requestor=as_requestor
        )
        layer.connection_made(wire)
        if as_requestor:
            layer.request(b"")
        elif established:
            feed(layer, raw.pdu(1, b"x"))
            layer.accept(b"", fragment_size=1000)
        if established and as_requestor:
            layer.establish(fragment_size=1000)
        start = 0
        for end in [*sorted(cut * len(data) // 1000 for cut in cuts), len(data)]:
            feed(layer, data[start:end])
            start = end
            assert len(layer._framing._head) <= 128 * 1024
        layer.connection_lost(None)
        told = [entry[0] for entry in user.told]
        assert told[-1] == "disconnected"
        assert told.count("closed") <= 1

    asyncio.run(run())


def feed(layer: UpperLayer, data: bytes) -> None:
    buffer = layer.get_buffer(-1)
    while data:
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        layer.buffer_updated(size)
        data = data[size:]


_FRAMINGS = st.booleans().flatmap(
    lambda as_requestor: st.tuples(
        st.just(as_requestor),
        st.booleans(),
        mutations(STREAMS[as_requestor]),
        st.lists(st.integers(0, 999), max_size=4),
    )
)


# Association requests, and the answers to ours.

PROPOSALS = [Proposal(uid, (raw.IMPLICIT, raw.EXPLICIT)) for uid in corpus.CLASSES]
ANSWERS = [
    negotiate(read_request(body), [EVERYTHING], CALLER, max_pdu=131072).pdu[6:]
    for body in corpus.REQUESTS
]


def _request(body: bytes) -> None:
    try:
        request = read_request(body)
    except PeerError:
        return
    request.refusal()
    asked_for(request, [EVERYTHING])
    accepted = negotiate(request, [EVERYTHING], CALLER, max_pdu=131072)
    assert len(accepted.contexts) <= len(request.contexts) <= 128
    # What we answer can be read, whatever was asked.
    proposed = {one.context_id: one for one in request.contexts}
    for context_id, context in accepted.contexts.items():
        assert context.transfer_syntax in proposed[context_id].transfer_syntaxes


def _answer(body: bytes) -> None:
    try:
        agreement = read_answer(body, PROPOSALS)
    except PeerError:
        return
    assert len(agreement.contexts) <= len(PROPOSALS)
    assert agreement.fragment_size >= 2
    assert agreement.implementation.isprintable()


def _command(data: bytes) -> None:
    try:
        command = parse_command(data)
    except PeerError:
        return
    assert command.name
    for element in Element:
        assert isinstance(command.text(element), str)
        command.number(element)


# Identifiers, and what services make of them.


def _identifier(example: tuple[str, bytes]) -> None:
    syntax, data = example
    try:
        found = read_identifier(data, syntax)
    except NotDicom:
        return
    knowledge = Knowledge(lambda path, level: True, lambda tag, level: True)
    for levels in FIND_MODELS.values():
        for extension in (Extension(), Extension(True, True, True, True)):
            _or(QueryError, lambda: read(found, levels, extension, knowledge))  # noqa: B023
    _or(QueryError, lambda: matcher_of(found))
    _or(QueryError, lambda: WorklistQuery(found).fit(found))
    _or(retrieve.Refused, lambda: retrieve._read(found, tuple(Level)))
    _or(InvalidInstance, lambda: steps_of(found))
    _or(StepRefused, lambda: scheduled_steps(new_step(found)))
    _or(InvalidInstance, lambda: write_identifier(found, syntax))
    _or(storage_commitment._Refused, lambda: storage_commitment._read(data, syntax))


def _or(error: type[Exception], act: Callable[[], object]) -> None:
    with suppress(error):
        act()


def _encoded(syntax: str, name: str, some: list, *, packed: bool) -> tuple[str, bytes]:
    data = corpus.encoded(name, syntax)
    if packed and syntax == "1.2.840.10008.1.2.1.99":
        return syntax, corpus.deflated(mutated(corpus.inflated(data), some))
    return syntax, mutated(data, some)


_IDENTIFIERS = st.one_of(
    st.builds(
        _encoded,
        st.sampled_from(corpus.SYNTAXES),
        st.sampled_from(sorted(corpus.IDENTIFIERS)),
        changes(),
        packed=st.sampled_from((True, True, False)),
    ),
    st.tuples(st.sampled_from(corpus.SYNTAXES), st.binary(max_size=400)),
)

READERS = (
    reader("framing", _FRAMINGS, _framing, tuple[bool, bool, bytes, list[int]]),
    reader("request", mutations(corpus.REQUESTS), _request),
    reader("answer", mutations(ANSWERS), _answer),
    reader("command", mutations(corpus.COMMANDS), _command),
    reader("identifier", _IDENTIFIERS, _identifier, tuple[str, bytes]),
)
