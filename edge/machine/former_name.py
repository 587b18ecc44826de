"""The machine answers to a former name on the LAN, too, while pages are open under it.

Multicast DNS (RFC 6762) by hand, for what answers to the machine's own name knows that one alone.
Owns the answers for ``NAME.local`` with names that were the box's until it was renamed: its IPv4
address on the way to who asks, and that there is no other. Promises to keep a name from nobody:
who probes for one (8.1), such as another new box, has it from then on, and no answer comes from
here any more. Nothing is said unasked, and an answer is hardly longer than the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FormerName", "Question", "answer_to", "questions_in"]

log = logging.getLogger(__name__)

GROUP: Final = "224.0.0.251"
PORT: Final = 5353
_INTERFACES: Final = Path("/sys/class/net")
_LOOK: Final = 10.0
"""Seconds between two looks at what is to be answered, and on which interfaces."""
_TTL: Final = 120
_LEGACY_TTL: Final = 10
"""For who is no multicast resolver (6.7)."""
_MOST: Final = 9000
"""Bytes of a message (17)."""
_MOST_LABELS, _MOST_HOPS = 127, 16
"""Parts of a name (RFC 1035 2.3.4), and pointers to follow: a message can't keep us busy."""
_A, _AAAA, _NSEC, _ANY, _IN = 1, 28, 47, 255, 1
_TOP_BIT: Final = 0x8000
"""Of a class: of a question, that its answer may come to who asked alone (5.4); of a record, that
it is all there is (10.2)."""
_AUTHORITATIVE: Final = 0x8400
_HEADER: Final = struct.Struct("!6H")


@dataclass(frozen=True, slots=True)
class Question:
    """One of a message."""

    name: str
    """In small letters, without a dot at its end."""
    kind: int
    group: int
    """Its class."""


def questions_in(message: bytes) -> tuple[list[Question], bool]:
    """What is asked, and whether it is a probe: of who is about to take the names.

    Raises:
        ValueError: It is no query that can be understood.
    """
    try:
        _, flags, count, _, claims, _ = _HEADER.unpack_from(message)
        if flags & 0xF800:
            raise ValueError("no query")
        found, at = [], _HEADER.size
        for _ in range(count):
            name, at = _name_at(message, at)
            kind, group = struct.unpack_from("!2H", message, at)
            found.append(Question(name, kind, group))
            at += 4
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("cut short") from error
    return found, claims > 0


def _name_at(message: bytes, at: int) -> tuple[str, int]:
    """A name and where it ends; parts may stand earlier (RFC 1035 4.1.4), each further ahead."""
    labels: list[str] = []
    end, last, hops = 0, at, 0
    while length := message[at]:
        if length >= 0xC0:
            (pointer,) = struct.unpack_from("!H", message, at)
            end = end or at + 2
            at, hops = pointer & 0x3FFF, hops + 1
            if at >= last or hops > _MOST_HOPS:
                raise ValueError("a name in a circle")
            last = at
            continue
        label = message[at + 1 : at + 1 + length]
        if len(label) < length or length > 63:
            raise ValueError("cut short")
        labels.append(label.decode())
        if len(labels) > _MOST_LABELS:
            raise ValueError("a name in a circle")
        at += 1 + length
    return ".".join(labels).lower(), end or at + 1


def answer_to(
    message: bytes, names: Collection[str], address: str, *, is_legacy: bool
) -> bytes | None:
    """What is said to a query; None: it is about nothing that is answered here.

    Args:
        message: The query.
        names: That are answered to, in small letters.
        address: Of this machine.
        is_legacy: Who asked is no multicast resolver, and wants the question again.

    Raises:
        ValueError: It is no query that can be understood.
    """
    asked, _ = questions_in(message)
    asked = [one for one in asked if one.name in names and one.group & ~_TOP_BIT in (_IN, _ANY)]
    records = [_record(one, address, is_legacy=is_legacy) for one in asked]
    if not records:
        return None
    (number,) = struct.unpack_from("!H", message)
    again = [_wire(one.name) + struct.pack("!2H", one.kind, _IN) for one in asked]
    counts = (len(again), len(records)) if is_legacy else (0, len(records))
    head = _HEADER.pack(number if is_legacy else 0, _AUTHORITATIVE, *counts, 0, 0)
    return head + b"".join(again if is_legacy else ()) + b"".join(records)


def _record(question: Question, address: str, *, is_legacy: bool) -> bytes:
    name = _wire(question.name)
    if question.kind in (_A, _ANY):
        kind, data = _A, socket.inet_aton(address)
    else:  # that there is an address of IPv4, and nothing else (6.1)
        kind, data = _NSEC, name + bytes((0, 1, 0x80 >> _A))
    group, ttl = (_IN, _LEGACY_TTL) if is_legacy else (_IN | _TOP_BIT, _TTL)
    return name + struct.pack("!2HIH", kind, group, ttl, len(data)) + data


def _wire(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


class FormerName(asyncio.DatagramProtocol):
    """It, as a part of the service.

    Args:
        names: That are former now, in small letters.
        port: To listen on.
        every: Seconds between two looks.
    """

    def __init__(
        self, names: Callable[[], Collection[str]], *, port: int = PORT, every: float = _LOOK
    ) -> None:
        self._names = names
        self._port = port
        self._every = every
        self._given: set[str] = set()
        """Somebody else wants them."""
        self._transport: asyncio.DatagramTransport | None = None

    async def run(self) -> None:
        """Until cancelled; listens as long as there is a name."""
        while self._answered():
            try:
                await self._listen()
            except OSError as error:
                log.warning("the former name is not answered on the LAN: %s", error)
                break
        await asyncio.Event().wait()

    async def _listen(self) -> None:
        listening = _listening(self._port)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=listening)
        self._transport = transport
        log.info("on the LAN, %s is answered for some hours yet", ", ".join(self._answered()))
        try:
            while self._answered():
                await asyncio.to_thread(_join, listening)
                await asyncio.sleep(self._every)
        finally:
            self._transport = None
            transport.close()

    def _answered(self) -> Sequence[str]:
        return sorted(set(self._names()) - self._given)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A message came."""
        names = set(self._answered())
        if not names or len(data) > _MOST:
            return
        try:
            asked, is_probe = questions_in(data)
            if is_probe:
                if wanted := names & {one.name for one in asked}:
                    log.info("on the LAN, somebody else takes %s", ", ".join(wanted))
                    self._given |= wanted
                return
            is_legacy = addr[1] != PORT
            address = _address_to(addr[0])
            answer = answer_to(data, names, address, is_legacy=is_legacy)
        except (ValueError, OSError):  # anybody can send anything
            return
        if answer is not None and self._transport is not None:
            self._send(answer, address, addr if is_legacy else (GROUP, self._port))

    def _send(self, answer: bytes, address: str, to: tuple[str, int]) -> None:
        assert self._transport is not None
        sending = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            self._transport.sendto(answer, to)


def _listening(port: int) -> socket.socket:
    """What also answers to the machine's own name listens there, and allows others (15.1)."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        made.setblocking(False)
        made.bind(("", port))
    except OSError:
        made.close()
        raise
    return made


def _join(listening: socket.socket) -> None:
    """Hear what is sent to the group, on every interface that there is now. Blocks.

    The kernel is asked by files: the service has no sockets of the family that lists interfaces.
    """
    for place in _INTERFACES.glob("*/ifindex"):
        with contextlib.suppress(OSError, ValueError):  # it is in already, can't, or is gone
            number = int(place.read_text())
            member = struct.pack("4s4si", socket.inet_aton(GROUP), bytes(4), number)
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)


def _address_to(host: str) -> str:
    """Of this machine, on the way to another."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((host, 9))  # of UDP: nothing is sent by that
        return str(asking.getsockname()[0])
