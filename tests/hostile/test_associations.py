"""Associations that ask for too much, or send one thing twice at once.

Each is answered, rejected or aborted within seconds, in little memory, and a healthy peer is served
before and after it.
"""

from __future__ import annotations

import asyncio
import struct
import time

import pytest

from tests.bench.servers import CALLING
from tests.dimse import raw
from tests.fuzz import corpus

ROOM = 65_000
"""Bytes of an A-ASSOCIATE-RQ."""
SOON = 10.0
"""Seconds, on a machine that does other things, too."""


def filled(piece: bytes) -> bytes:
    """So many of them as an association request may hold."""
    return piece * (ROOM // len(piece))


USER = raw.user_items()
LARGE = {
    "transfer syntaxes of one context": raw.associate_body(
        raw.item(
            0x20, b"\1\0\0\0" + raw.item(0x30, raw.CT.encode()) + filled(raw.item(0x40, b"1.2"))
        )
    ),
    "transfer syntaxes without a name": raw.associate_body(
        raw.item(0x20, b"\1\0\0\0" + raw.item(0x30, raw.CT.encode()) + filled(raw.item(0x40, b"")))
    ),
    "contexts": raw.associate_body(
        b"".join(
            raw.item(0x20, bytes([2 * number % 256 | 1, 0, 0, 0]) + raw.item(0x30, b"1.2"))
            for number in range(ROOM // 19)
        )
    ),
    "empty contexts": raw.associate_body(filled(raw.item(0x20, b"\1\0\0\0"))),
    "items that nobody knows": raw.associate_body(filled(raw.item(0x99, b""))),
    "user items that nobody knows": raw.associate_body(
        raw.context_item(1, raw.CT, [raw.EXPLICIT]), user=USER + filled(raw.item(0x77, b""))
    ),
    "roles": raw.associate_body(
        raw.context_item(1, raw.CT, [raw.EXPLICIT]), user=USER + filled(raw.role_item("1.2", 1, 1))
    ),
    "extended negotiation": raw.associate_body(
        raw.context_item(1, raw.CT, [raw.EXPLICIT]),
        user=USER + filled(raw.item(0x56, b"\0\x031.2" + b"\1" * 4)),
    ),
    "a user identity": raw.associate_body(
        raw.context_item(1, raw.CT, [raw.EXPLICIT]),
        user=USER + raw.item(0x58, b"\1\1" + struct.pack(">H", 60_000) + bytes(60_000) + b"\0\0"),
    ),
    "one item that claims more": raw.associate_body(
        struct.pack(">BxH", 0x20, 0xFFFF) + bytes(ROOM)
    ),
    "zeros": bytes(ROOM),
}


@pytest.mark.parametrize("kind", LARGE)
def test_an_association_request_of_65_kilobytes_takes_no_gigabyte(kind, edge):
    async def ask() -> None:
        async with raw.connected(edge.dicom_port) as peer:
            for _ in range(3):
                peer.send(raw.pdu(1, LARGE[kind]))
            # An answer, or the end of it; not silence.
            async with asyncio.timeout(SOON):
                await peer.reader.read(1)
        await _is_healthy(edge)

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 2 * SOON


@pytest.mark.parametrize("length", [2**18, 2**24, 2**32 - 1])
def test_an_association_request_that_claims_more_is_not_waited_for(length, edge):
    async def ask() -> None:
        async with raw.connected(edge.dicom_port) as peer:
            peer.send(struct.pack(">BxI", 1, length) + bytes(1000))
            async with asyncio.timeout(SOON):
                await peer.reader.read(1)
        await _is_healthy(edge)

    asyncio.run(ask())


@pytest.mark.parametrize(
    "pdv",
    [
        b"",
        struct.pack(">I", 0),
        struct.pack(">IB", 1, 1),
        struct.pack(">IBB", 2, 1, 3),
        struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + b"x",
        struct.pack(">IBB", 3000, 1, 3) + b"short",
        struct.pack(">IBB", 6, 2, 3) + b"even",
        struct.pack(">IBB", 6, 255, 3) + b"none",
        struct.pack(">IBB", 6, 1, 255) + b"bits",
        struct.pack(">IBB", 6, 1, 3) + b"good" + b"\0\0",
    ],
    ids=bytes.hex,
)
def test_a_pdv_that_does_not_fit_ends_the_association(pdv, edge):
    async def ask() -> None:
        async with raw.connected(edge.dicom_port) as peer:
            await peer.associate(calling=CALLING)
            peer.send(raw.pdu(4, pdv))
            async with asyncio.timeout(SOON):
                kind, _ = await peer.read_pdu()
            assert kind == 7  # A-ABORT
        await _is_healthy(edge)

    asyncio.run(ask())


def test_the_same_instance_on_many_associations_at_once_is_one(edge, service):
    data = corpus.encoded("instance", raw.EXPLICIT).replace(b"1.2.3.4.5\0", b"1.2.3.4.6\0")

    async def send(number: int) -> int:
        async with raw.connected(edge.dicom_port) as peer:
            await peer.associate(calling=CALLING)
            status = 0
            for _ in range(3):
                # Of every fourth one, the bytes are others, under the same name.
                peer.store(data.replace(b"Fuzz", b"Fuz%d" % (number % 4)), "1.2.3.4.6")
                status |= await peer.status()
            await peer.release()
            return status

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*map(send, range(12)))

    # All are kept, whatever they are: one is the instance, others are in quarantine.
    assert set(asyncio.run(all_of_them())) == {0}
    assert len(service.search("/instances", {"SOPInstanceUID": "1.2.3.4.6"})) == 1


async def _is_healthy(edge) -> None:
    async with raw.connected(edge.dicom_port) as peer:
        await peer.associate(calling=CALLING)
        assert await peer.echo() == 0
        await peer.release()
