"""What the acceptor offers: a small registry, from an abstract syntax to who handles its commands.

A service is a value: a predicate, handlers by Command Field, the right that a peer needs. A handler
gets an `Operation`, reads its data set if it has one, and answers. It need not know of PDUs,
fragments, or how an association ends: whatever it leaves unread is thrown away before its answer
goes out, and a peer that is gone shows as a `PeerError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.cache.associations import Finding
from edge.dicom.identifier import read_identifier
from edge.dicom.uids import is_uid
from edge.dimse.data_set import IncomingDataSet
from edge.dimse.dialogue import Dialogue
from edge.dimse.messages import (
    NO_DATA_SET,
    PENDING,
    RESPONSE,
    Command,
    Element,
    build_command,
)
from edge.dimse.peers import Caller
from edge.errors import NotDicom

__all__ = ["Context", "Handler", "Operation", "Ours", "Service", "find_service"]

MAX_IDENTIFIER_BYTES = 1024 * 1024
_QUICK = 64 * 1024
"""Bytes of a data set; a longer one is read in a thread of its own, for others wait meanwhile."""
MAX_COMMENT = 64
"""Characters of Error Comment (0000,0902), VR LO."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service class, as acceptor and SCP."""

    name: str
    supports: Callable[[str], bool]
    """Whether an abstract syntax belongs to it."""
    handlers: Mapping[int, Handler]
    """By `CommandField`."""
    right: str = ""
    """What a peer's ``may`` must name; empty: everyone who may associate."""
    transfer_syntaxes: frozenset[str] | None = None
    """Those it can work with; None: any, bytes are taken as they are."""
    right_to_be_sent: str | None = None
    """What ``may`` must name so that we take the SCU role (PS3.7 D.3.3.4), as in a C-GET; None: we
    never do."""
    extended: Callable[[bytes], bytes] | None = None
    """Answers a peer's service class application information (PS3.7 D.3.3.5); None: it has none."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that was accepted (PS3.8 B.1)."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    service: Service
    peer_asks: bool = True
    """The peer has the SCU role."""
    peer_is_asked: bool = False
    """The peer has the SCP role, too, or that alone."""
    extended: bytes = b""
    """Service class application information that was agreed on."""


class Ours(Protocol):
    """What a handler may do with the association beside answering: an `Association`, or a fake."""

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Those that were accepted, by their IDs."""

    @property
    def dialogue(self) -> Dialogue:
        """Asks the peer; only where it took the SCP role."""

    async def send(self, context_id: int, command: bytes, data_set: bytes = b"") -> None:
        """Send a message.

        Raises:
            PeerError: The peer is gone.
        """


@dataclass(slots=True, eq=False)
class Operation:
    """One request of a peer, and the way to answer it."""

    caller: Caller
    context: Context
    command: Command
    data_set: IncomingDataSet | None
    """None if the message has none; it may still be arriving."""
    association: Ours = field(repr=False)
    """On which it came, and is answered."""
    is_cancelled: bool = False
    """Whether the peer asked by C-CANCEL to stop (PS3.7 9.3.2.3)."""
    status: int | None = None
    """Of the final response, once it is sent."""
    comment: str = ""
    """Error Comment of that."""
    meant: str = ""
    """The AE title that it may have meant by one that is not known here; for the doctor."""
    finding: Finding | None = None
    """What the doctor should know though it was answered with success."""
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Its identifier, once that is read; for the audit."""
    concerns: Sequence[tuple[str, str]] = ()
    """SOP Instance UID and SOP Class UID of the instances that it names; for the audit."""

    async def identifier(self, max_bytes: int = MAX_IDENTIFIER_BYTES) -> dict[str, Any]:
        """The request's data set, read: DICOM JSON, keyed by tag; empty if it has none.

        Args:
            max_bytes: What is longer is refused.

        Raises:
            NotDicom: It can't be read, or is longer than an identifier may be.
            PeerError: The peer is gone.
        """
        if self.data_set is None:
            return {}
        collected = bytearray()
        async for piece in self.data_set:
            collected += piece
            if len(collected) > max_bytes:
                raise NotDicom(f"a data set is longer than {max_bytes} bytes")
        syntax = self.context.transfer_syntax
        if len(collected) > _QUICK:
            self.asked = await asyncio.to_thread(read_identifier, bytes(collected), syntax)
        else:
            self.asked = read_identifier(bytes(collected), syntax)
        return dict(self.asked)

    async def respond(
        self,
        status: int,
        *,
        values: Mapping[Element, int | str | bytes] | None = None,
        data_set: bytes = b"",
        comment: str = "",
    ) -> None:
        """Send a response; a status other than pending is the last.

        What is left of the request's data set is thrown away first: a peer does not listen while it
        sends.

        Args:
            status: Status (0000,0900).
            values: Further elements of the command set.
            data_set: In the context's transfer syntax; empty means none.
            comment: Error Comment (0000,0902), without patient data; cut to its length.

        Raises:
            PeerError: The peer is gone.
        """
        if self.status is not None:
            raise RuntimeError(f"{self.command.name} was answered before")
        if self.data_set is not None:
            await self.data_set.drain()
        if status not in PENDING:
            self.status, self.comment = status, comment
        command = self.command
        answer: dict[Element, int | str | bytes] = {
            Element.COMMAND_FIELD: command.field | RESPONSE,
            Element.MESSAGE_ID_BEING_RESPONDED_TO: command.message_id,
            Element.COMMAND_DATA_SET_TYPE: 0x0001 if data_set else NO_DATA_SET,
            Element.STATUS: status,
        }
        for affected, requested in _ECHOED:
            uid = command.text(affected) or command.text(requested)
            if is_uid(uid):
                answer[affected] = uid
        if comment:
            plain = comment.encode("ascii", "replace").decode("ascii").replace("\\", "/")
            answer[Element.ERROR_COMMENT] = plain[:MAX_COMMENT]
        if values:
            answer |= values
        await self.association.send(self.context.context_id, build_command(answer), data_set)


Handler = Callable[[Operation], Awaitable[None]]

_ECHOED = (
    (Element.AFFECTED_SOP_CLASS_UID, Element.REQUESTED_SOP_CLASS_UID),
    (Element.AFFECTED_SOP_INSTANCE_UID, Element.REQUESTED_SOP_INSTANCE_UID),
)


def find_service(services: Sequence[Service], abstract_syntax: str) -> Service | None:
    """The first service that the abstract syntax belongs to."""
    return next((service for service in services if service.supports(abstract_syntax)), None)
