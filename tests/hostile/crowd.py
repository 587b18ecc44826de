"""A crowd that means no good, at the DICOM port of an edge, as a process of its own.

``python -m tests.hostile.crowd PORT``: 200 associations that do nothing, a peer at one byte a
second, and others that break the protocol in every way, again and again. It says ``ready`` when all
are at work, and how often they were, once its standard input ends.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.dimse import raw

IDLE = 200
PAUSE = 0.05
"""Seconds between two attempts of one kind: a peer that does nothing else is busy enough so."""
STORE = raw.p_data(raw.fragment(3, 3, raw.store_command("1.2.3.4.5.6")))

Deed = Callable[[raw.RawPeer], Awaitable[None]]
done: Counter[str] = Counter()


async def large_request(peer: raw.RawPeer) -> None:
    """65 KB of A-ASSOCIATE-RQ, all of it items."""
    items = b"".join(
        raw.context_item(2 * number + 1, raw.CT, [raw.EXPLICIT] * 14) for number in range(128)
    )
    peer.send(raw.pdu(1, raw.associate_body(items + raw.item(0x99, b"") * 2000)))
    await peer.read_pdu()


async def past_the_end(peer: raw.RawPeer) -> None:
    """A PDV that is longer than its PDU."""
    await peer.associate()
    peer.send(raw.pdu(4, struct.pack(">IBB", 3000, 1, 3) + b"short"))
    await peer.read_pdu()


async def declared(peer: raw.RawPeer) -> None:
    """4 GB are declared, 10 bytes sent, and nothing more."""
    await peer.associate()
    peer.send(struct.pack(">BxI", 4, 0xFFFFFFFF) + bytes(10))
    await peer.read_pdu()


async def declared_in_the_data_set(peer: raw.RawPeer) -> None:
    """Likewise, inside a data set whose fragments are right."""
    await peer.associate()
    element = struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OW", 0xFFFFFFF0) + bytes(10)
    peer.send(STORE + raw.p_data(raw.fragment(3, 2, element)))
    await peer.status()


async def never_the_last(peer: raw.RawPeer) -> None:
    """Fragments of a command of which none is the last."""
    await peer.associate()
    for _ in range(8):
        peer.send(raw.p_data(raw.fragment(1, 1, bytes(16000))))
    await peer.read_pdu()


async def aborts(peer: raw.RawPeer) -> None:
    """A-ABORT at some PDV of a data set."""
    await peer.associate()
    pieces = [raw.p_data(raw.fragment(3, 0, bytes(4000)))] * (done["aborts"] % 12)
    peer.send(STORE + b"".join(pieces) + raw.pdu(7, bytes(4)))
    await peer.writer.drain()


async def resets(peer: raw.RawPeer) -> None:
    """RST at some PDV of a data set."""
    await peer.associate()
    pieces = [raw.p_data(raw.fragment(3, 0, bytes(4000)))] * (done["resets"] % 12)
    peer.send(STORE + b"".join(pieces))
    await peer.writer.drain()
    peer.reset()


DEEDS: tuple[Deed, ...] = (
    large_request,
    past_the_end,
    declared,
    declared_in_the_data_set,
    never_the_last,
    aborts,
    resets,
)


async def again_and_again(port: int, deed: Deed) -> None:
    while True:
        try:
            async with raw.connected(port) as peer:
                await deed(peer)
            done[deed.__name__] += 1
        except (OSError, AssertionError):
            done[f"{deed.__name__}, cut short"] += 1
        await asyncio.sleep(PAUSE)


async def trickle(port: int) -> None:
    """One byte a second of a message, for as long as it is let."""
    while True:
        async with raw.connected(port) as peer:
            await peer.associate()
            for byte in STORE:
                peer.send(bytes([byte]))
                done["bytes, one a second"] += 1
                await asyncio.sleep(1)


async def sit(port: int) -> raw.RawPeer:
    peer = raw.RawPeer(*await asyncio.open_connection("127.0.0.1", port))
    await peer.associate()
    return peer


async def main(port: int) -> None:
    sitting = [await sit(port) for _ in range(IDLE)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(again_and_again(port, deed)) for deed in DEEDS]
        tasks.append(group.create_task(trickle(port)))
        while any(done[deed.__name__] < 2 for deed in DEEDS):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    alive = sum(not peer.reader.at_eof() for peer in sitting)
    print(f"{alive} of {IDLE} still sit there; {dict(done)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
