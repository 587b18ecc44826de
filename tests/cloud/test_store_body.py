import contextlib
import email.parser
import email.policy
import time

import pytest

from edge.cloud.archive import Outgoing
from edge.cloud.pace import Throttle, Way
from edge.cloud.store_body import StoreBody
from edge.errors import InstanceUnreadable, LineClosed, SealBroken
from tests.cloud.conftest import outgoing


async def read(body):
    return [piece async for piece in body]


async def test_content_length_is_exact_and_others_read_the_parts(slices):
    body = StoreBody([outgoing(part) for part in slices])
    message = b"".join(await read(body))
    assert body.headers["Content-Length"] == str(len(message))
    # Read by the standard library's parser, which is not ours.
    head = f"Content-Type: {body.headers['Content-Type']}\r\n\r\n".encode()
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + message)
    assert parsed.get_param("type") == "application/dicom"
    parts = list(parsed.iter_parts())
    assert [part.get_content_type() for part in parts] == ["application/dicom"] * 5
    for part, sample in zip(parts, slices, strict=True):
        assert sample.data in message
        assert len(part.get_payload(decode=True)) > 0


async def test_small_pieces_go_out_together(slices):
    pieces = await read(StoreBody([outgoing(part, pieces=100) for part in slices]))
    assert len(pieces) == 1


async def test_large_pieces_go_out_as_they_come(slices):
    (part, *_) = slices
    piece = bytes(1024 * 1024)
    pieces = await read(StoreBody([outgoing(part, piece * 3, pieces=len(piece))]))
    assert [len(it) for it in pieces].count(len(piece)) == 3


@pytest.mark.parametrize("off_by", [-1, 1, 5000])
async def test_an_instance_of_another_size_breaks_the_request_off(slices, off_by):
    part, *rest = slices
    body = StoreBody([outgoing(part, size=len(part.data) + off_by), *(outgoing(it) for it in rest)])
    with pytest.raises(InstanceUnreadable) as caught:
        await read(body)
    assert caught.value.sop_uid == part.ref.sop_uid


async def test_an_instance_that_can_not_be_read_is_named(slices):
    async def stream():
        yield b"DICM"
        raise SealBroken("its seal is broken")

    body = StoreBody([outgoing(slices[1]), Outgoing(slices[0].ref, 100, stream)])
    with pytest.raises(InstanceUnreadable, match="seal is broken") as caught:
        await read(body)
    assert caught.value.sop_uid == slices[0].ref.sop_uid


async def test_each_instance_is_opened_only_when_its_turn_comes_and_closed(slices):
    opened, closed = [], []

    def watched(part):
        async def stream():
            opened.append(part.ref)
            try:
                yield part.data
            finally:
                closed.append(part.ref)

        return Outgoing(part.ref, len(part.data), stream)

    body = StoreBody([watched(part) for part in slices])
    assert opened == []
    await read(body)
    assert opened == closed == [part.ref for part in slices]


async def test_giving_up_closes_the_instance_under_way(slices):
    closed = []

    async def stream():
        try:
            while True:
                yield bytes(100_000)
        finally:
            closed.append(True)

    body = StoreBody([Outgoing(slices[0].ref, 10**9, stream)])
    await anext(aiter(body))
    await body.aclose()
    assert closed


class Counting:
    """A gauge."""

    def __init__(self):
        self.moves = []

    def moved(self, direction, count):
        self.moves.append((direction, count))

    def busy(self, direction):
        return contextlib.nullcontext()


async def test_what_goes_out_is_paced_and_counted_framing_included(slices):
    gauge = Counting()
    body = StoreBody(
        [outgoing(part, pieces=100) for part in slices], Way(Throttle(lambda: 4000.0), gauge)
    )
    begun, pieces = time.monotonic(), await read(body)
    took = time.monotonic() - begun
    assert took > 0.7 * body.length / 4000 - 0.2
    assert max(map(len, pieces)) <= 256
    assert gauge.moves == [("up", len(piece)) for piece in pieces]
    assert len(b"".join(pieces)) == body.length


async def test_when_the_line_closes_the_request_breaks_off_and_says_so(slices):
    rates = [4000.0]
    body = StoreBody([outgoing(slices[0])] * 5, Way(Throttle(lambda: rates[-1]), Counting()))
    assert await anext(aiter(body))
    rates.append(0.0)
    with pytest.raises(LineClosed):
        await read(body)
    await body.aclose()
