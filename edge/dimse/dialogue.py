"""Requests of ours on an association, whoever asked for it, and the answers to them.

Owns the message IDs that we give, and who waits for which answer: C-STORE on the way of a C-GET,
N-EVENT-REPORT, and all that a `Requestor` asks. Promises that whoever waits gets an answer or a
`PeerError` within the time that was given. An answer's data set is an identifier: it is collected,
within a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from edge.dimse.data_set import IncomingDataSet
from edge.dimse.framing import AbortReason
from edge.dimse.messages import (
    NO_DATA_SET,
    PENDING,
    RESPONSE,
    Command,
    CommandField,
    Element,
    build_command,
    name_of,
)
from edge.dimse.upper_layer import UpperLayer
from edge.errors import How, PeerError

__all__ = ["Dialogue", "Response"]

MAX_IDENTIFIER_BYTES = 4 * 1024 * 1024
"""Of the data set of an answer."""
_STOPPING = 10.0
"""Seconds that a peer has to end what was cancelled."""
_LAST_ID = 0xFFFF


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    """Status (0000,0900)."""
    command: Command
    data_set: bytes
    """In the context's transfer syntax; empty: none came."""

    @property
    def is_pending(self) -> bool:
        """Whether more answers follow."""
        return self.status in PENDING

    @property
    def comment(self) -> str:
        """Error Comment (0000,0902): the peer's words. They may name a patient."""
        return self.command.text(Element.ERROR_COMMENT)


_Answer = tuple[Command, IncomingDataSet | None]


class Dialogue:
    """What we ask on one association.

    Args:
        layer: Its connection.
        seconds: How long an answer may take, where nothing else is said.
        failed: Is told of last answers that are no success: the request's name, the status.
    """

    def __init__(
        self,
        layer: UpperLayer,
        *,
        seconds: float,
        failed: Callable[[str, int], object] | None = None,
    ) -> None:
        self._layer = layer
        self._failed = failed
        self._seconds = seconds
        self._last_id = 0
        self._waiting: dict[int, asyncio.Queue[_Answer | PeerError]] = {}
        self._error: PeerError | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._waiting)

    async def request(
        self,
        context_id: int,
        field: CommandField,
        values: Mapping[Element, int | str | bytes],
        data_set: bytes | memoryview | AsyncIterable[bytes] = b"",
        *,
        seconds: float | None = None,
    ) -> Response:
        """Ask for what has one answer; see `requests`."""
        asked = self.requests(context_id, field, values, data_set, seconds=seconds)
        async with aclosing(asked) as responses:
            async for response in responses:
                if response.is_pending:
                    break
                return response
        raise PeerError(f"the peer answers {name_of(field)} with pending, and has one answer only")

    async def requests(
        self,
        context_id: int,
        field: CommandField,
        values: Mapping[Element, int | str | bytes],
        data_set: bytes | memoryview | AsyncIterable[bytes] = b"",
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[Response]:
        """Ask for what has many answers: the pending ones, then the last.

        Whoever closes this before the last one has the peer stop, too (C-CANCEL), if the request is
        one that can be cancelled. An error ends the association.

        Args:
            context_id: Presentation context.
            field: What is asked.
            values: Elements of the command set beside field, Message ID and Data Set Type.
            data_set: In the context's transfer syntax; empty bytes: none.
            seconds: Until the next answer.

        Raises:
            PeerError: The peer is gone, breaks the protocol, or takes longer.
        """
        if self._error is not None:
            raise self._error
        patience = self._seconds if seconds is None else seconds
        message_id = self._next_id()
        answers = self._waiting[message_id] = asyncio.Queue()
        has_data_set = not isinstance(data_set, bytes | memoryview) or bool(data_set)
        command = build_command(
            {
                **values,
                Element.COMMAND_FIELD: field,
                Element.MESSAGE_ID: message_id,
                Element.COMMAND_DATA_SET_TYPE: 0x0001 if has_data_set else NO_DATA_SET,
            }
        )
        is_complete = False
        try:
            await self._layer.send(context_id, command, data_set)
            while not is_complete:
                response = await self._next(answers, field, patience)
                is_complete = not response.is_pending
                if is_complete and response.status and self._failed is not None:
                    self._failed(name_of(field), response.status)
                yield response
        except GeneratorExit:
            if not is_complete:
                await self._stop(context_id, message_id, field)
            raise
        except BaseException as error:
            # What the peer still says about it could not be told from an answer to another.
            given_up = PeerError("it was given up here", how=How.OURS)
            why = error if isinstance(error, PeerError) else given_up
            self._layer.abort(AbortReason.USER, why)
            raise
        finally:
            del self._waiting[message_id]

    def on_response(self, command: Command, data_set: IncomingDataSet | None) -> None:
        """An answer came.

        Raises:
            PeerError: Nobody asked.
        """
        answers = self._waiting.get(command.message_id)
        if answers is None:
            raise PeerError(f"{command.name} came, and was not asked for")
        answers.put_nowait((command, data_set))

    def fail(self, error: PeerError) -> None:
        """Nothing more will come."""
        self._error = error
        for answers in self._waiting.values():
            answers.put_nowait(error)

    async def _next(
        self, answers: asyncio.Queue[_Answer | PeerError], field: CommandField, seconds: float
    ) -> Response:
        try:
            async with asyncio.timeout(seconds):
                answer = await answers.get()
                if isinstance(answer, PeerError):
                    raise answer
                command, incoming = answer
                collected = await _collected(incoming)
        except TimeoutError as error:
            name = name_of(field)
            why = f"the peer did not answer {name} within {seconds:g} s"
            raise PeerError(why, how=How.SILENT) from error
        if command.field != field | RESPONSE:
            raise PeerError(f"{command.name} answers another request")
        status = command.number(Element.STATUS)
        if status is None:
            raise PeerError(f"{command.name} has no status")
        return Response(status, command, collected)

    async def _stop(self, context_id: int, message_id: int, field: CommandField) -> None:
        """C-CANCEL, and await the last answer; or abort, where there is no such thing."""
        if field not in _CANCELLABLE:
            given_up = PeerError("a request was given up here", how=How.OURS)
            self._layer.abort(AbortReason.USER, given_up)
            return
        command = build_command(
            {
                Element.COMMAND_FIELD: CommandField.C_CANCEL,
                Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
                Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            }
        )
        try:
            async with asyncio.timeout(_STOPPING):
                await self._layer.send(context_id, command)
                while (await self._next(self._waiting[message_id], field, _STOPPING)).is_pending:
                    pass
        except (PeerError, TimeoutError):
            why = PeerError("it did not stop when it was asked to", how=How.SILENT)
            self._layer.abort(AbortReason.USER, why)

    def _next_id(self) -> int:
        self._last_id = self._last_id % _LAST_ID + 1
        while self._last_id in self._waiting:
            self._last_id = self._last_id % _LAST_ID + 1
        return self._last_id


_CANCELLABLE = (CommandField.C_FIND, CommandField.C_MOVE, CommandField.C_GET)


async def _collected(incoming: IncomingDataSet | None) -> bytes:
    if incoming is None:
        return b""
    collected = bytearray()
    async for piece in incoming:
        collected += piece
        if len(collected) > MAX_IDENTIFIER_BYTES:
            raise PeerError(f"an answer is longer than {MAX_IDENTIFIER_BYTES} bytes")
    return bytes(collected)
