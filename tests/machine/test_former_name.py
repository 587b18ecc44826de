"""Answers to a former name on the LAN, by messages as they stand in RFC 6762."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from edge.machine.former_name import FormerName, Question, answer_to, questions_in
from tests.dimse.raw import until

NAME = "edge.local"
WIRE = b"\x04edge\x05local\x00"
A, AAAA, ANY, IN, TOP = 1, 28, 255, 1, 0x8000


def query(*questions, claims=0, flags=0, number=7):
    head = struct.pack("!6H", number, flags, len(questions), 0, claims, 0)
    return head + b"".join(name + struct.pack("!2H", *what) for name, *what in questions)


def test_an_address_is_told_to_everybody():
    said = answer_to(query((WIRE, A, IN)), {NAME}, "192.168.1.5", is_legacy=False)
    assert said == (
        struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
        + WIRE
        + struct.pack("!2HIH", A, IN | TOP, 120, 4)
        + bytes((192, 168, 1, 5))
    )


def test_who_is_no_multicast_resolver_gets_his_question_again():
    said = answer_to(query((WIRE, A, IN)), {NAME}, "192.168.1.5", is_legacy=True)
    assert said == (
        struct.pack("!6H", 7, 0x8400, 1, 1, 0, 0)
        + WIRE
        + struct.pack("!2H", A, IN)
        + WIRE
        + struct.pack("!2HIH", A, IN, 10, 4)
        + bytes((192, 168, 1, 5))
    )


def test_there_is_no_address_of_ipv6_and_that_is_said():
    said = answer_to(query((WIRE, AAAA, IN | TOP)), {NAME}, "192.168.1.5", is_legacy=False)
    assert said.endswith(struct.pack("!2HIH", 47, IN | TOP, 120, 15) + WIRE + b"\x00\x01\x40")


@pytest.mark.parametrize(
    "asked",
    [
        query((b"\x05other\x05local\x00", A, IN)),
        query((WIRE, A, 3)),
        query(),
    ],
    ids=["another name", "another class", "nothing"],
)
def test_what_is_not_ours_is_left_to_others(asked):
    assert answer_to(asked, {NAME}, "192.168.1.5", is_legacy=False) is None


def test_names_are_read_in_any_letters_and_by_reference():
    message = query((b"\x04EDGE\x05Local\x00", A, IN), (b"\xc0\x0c", AAAA, IN))
    assert questions_in(message) == ([Question(NAME, A, IN), Question(NAME, AAAA, IN)], False)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        query((WIRE, A, IN))[:-1],
        query((WIRE, A, IN))[:15],
        query((b"\xc0\x0c", A, IN)),
        query((b"\x01a\xc0\x0c", A, IN)),
        query((b"\xc0\xff", A, IN)),
        query((b"\x41" + b"a" * 65 + b"\x00", A, IN)),
        query((b"\x01\xff\x00", A, IN)),
        query((WIRE, A, IN), flags=0x8400),
    ],
)
def test_what_can_not_be_understood_is_refused(message):
    with pytest.raises(ValueError, match=r"cut short|no query|in a circle|decode"):
        questions_in(message)


@pytest.mark.parametrize(("pointers", "is_understood"), [(16, True), (17, False)])
def test_pointers_that_lead_to_pointers_are_followed_so_far(pointers, is_understood):
    places = [12, *range(19, 19 + 6 * pointers, 6)]
    asked = [(b"\x01a\0", A, IN)]
    asked += [(struct.pack("!H", 0xC000 | place), A, IN) for place in places[:-1]]
    if is_understood:
        assert {one.name for one in questions_in(query(*asked))[0]} == {"a"}
    else:
        with pytest.raises(ValueError, match="in a circle"):
            questions_in(query(*asked))


def test_a_name_of_more_parts_than_there_can_be_is_refused():
    with pytest.raises(ValueError, match="in a circle"):
        questions_in(query((b"\x01a" * 200 + b"\0", A, IN)))


@contextlib.asynccontextmanager
async def answering(names, port):
    part = FormerName(lambda: names, port=port, every=0.01)
    task = asyncio.create_task(part.run())
    try:
        await until(lambda: part._transport is not None)
        yield part
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def asking():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(30)
        yield made


async def test_it_answers_beside_another_who_listens_there_and_until_the_name_is_over(free_port):
    port, names = free_port(), {NAME}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, asking() as client:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("", port))
        async with answering(names, port) as part:
            client.sendto(b"nothing", ("127.0.0.1", port))
            client.sendto(query((WIRE, A, IN)), ("127.0.0.1", port))
            said = await asyncio.to_thread(client.recv, 9000)
            assert said.endswith(bytes((127, 0, 0, 1)))
            names.clear()
            await until(lambda: part._transport is None)


async def test_who_probes_for_the_name_has_it(free_port):
    port = free_port()
    with asking() as client:
        async with answering({NAME}, port) as part:
            client.sendto(query((WIRE, ANY, IN), claims=1), ("127.0.0.1", port))
            await until(lambda: part._transport is None)


async def test_where_nobody_may_listen_the_service_goes_on():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alone:
        alone.bind(("", 0))  # and allows no other
        part = FormerName(lambda: {NAME}, port=alone.getsockname()[1])
        task = asyncio.create_task(part.run())
        done, _ = await asyncio.wait([task], timeout=0.2)
        assert not done
        assert part._transport is None
        task.cancel()
