"""Messages, from the fragments that arrive (PS3.7 6.3, PS3.8 E): a command set, then its data set.

Owns the message under way. A command set is collected, within its bound; a data set is handed on
while it arrives (`IncomingDataSet`). Knows neither deadlines nor what a message is for.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from edge.dimse.data_set import Flow, IncomingDataSet, Intake
from edge.dimse.messages import MAX_COMMAND_BYTES, Command, parse_command
from edge.errors import PeerError

__all__ = ["Assembly", "Taken"]

Taken = Callable[[int, Command, IncomingDataSet | None], None]
"""Gets each message as soon as its command set is complete: presentation context, command, and
the data set that follows."""


class Assembly:
    """What comes over one association.

    Args:
        flow: Is stopped while nobody takes what came.
        intake: The common account of memory.
        max_bytes: A longer data set is a `PeerError`.
        taken: Gets the messages.
    """

    def __init__(self, flow: Flow, intake: Intake, max_bytes: int, taken: Taken) -> None:
        self.contexts: Container[int] = ()
        """IDs of the presentation contexts that were accepted."""
        self._flow = flow
        self._intake = intake
        self._max_bytes = max_bytes
        self._taken = taken
        self._command: bytearray | None = None
        self._data_set: IncomingDataSet | None = None
        self._context_id = 0
        self._is_command = False

    @property
    def is_under_way(self) -> bool:
        """Whether a message has begun to arrive and is not complete."""
        return self._command is not None or self._data_set is not None

    @property
    def received(self) -> int:
        """Bytes that came of the data set under way."""
        return self._data_set.received if self._data_set is not None else 0

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """A PDV begins. Fragments of one message share a context (PS3.8 E.2).

        Raises:
            PeerError: It belongs to no message that could be under way.
        """
        if context_id not in self.contexts:
            raise PeerError(f"a PDV came on presentation context {context_id}: not accepted")
        if self.is_under_way and context_id != self._context_id:
            raise PeerError("a message changed its presentation context")
        if is_command and self._data_set is not None:
            raise PeerError("a command came in the middle of a data set")
        if not is_command and self._data_set is None:
            raise PeerError("a data set came without a command")
        if not self.is_under_way:
            self._command = bytearray()
            self._context_id = context_id
        self._is_command = is_command

    def on_data(self, data: memoryview) -> None:
        """Its next bytes.

        Raises:
            PeerError: There are too many.
        """
        if not self._is_command:
            if self._data_set is not None:
                self._data_set.feed(data)
        elif self._command is not None:
            self._command += data
            if len(self._command) > MAX_COMMAND_BYTES:
                raise PeerError(f"a command set is longer than {MAX_COMMAND_BYTES} bytes")

    def on_fragment_end(self, *, is_last: bool) -> None:
        """It is complete.

        Raises:
            PeerError: It was the end of a command set that can't be read, or that nobody wants.
        """
        if not is_last:
            return
        if self._command is not None:
            data, self._command = self._command, None
            command = parse_command(data)
            if command.has_data_set:
                self._data_set = IncomingDataSet(self._flow, self._intake, self._max_bytes)
            self._taken(self._context_id, command, self._data_set)
        elif self._data_set is not None:
            self._data_set.end()
            self._data_set = None

    def fail(self, error: PeerError) -> None:
        """Nothing more will come."""
        if self._data_set is not None:
            self._data_set.fail(error)
