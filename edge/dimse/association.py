"""One association, from the connection to its end: who it is, what it may, what it asks.

Owns the order of things: A-ASSOCIATE within the ARTIM time (PS3.8 9.1.5), then one request after
the other, each dispatched to its service and answered, then release or abort. Owns every deadline:
a peer that is silent, slow or endless is let go, while the time that we ourselves need never counts
against it. A failing handler costs one answer 0110, never the association; a `PeerError` ends the
association, never the server. Log lines name AE titles, addresses and counts, no patients, and no
UID of an instance.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping

from edge.dimse.assembly import Assembly
from edge.dimse.data_set import IncomingDataSet
from edge.dimse.deadline import Deadline, Pace
from edge.dimse.dialogue import Dialogue
from edge.dimse.framing import AbortReason
from edge.dimse.messages import RESPONSE, Command, CommandField, Status
from edge.dimse.negotiation import asked_for, negotiate, read_request
from edge.dimse.peers import Caller, Cause, Refusal
from edge.dimse.quiet import kind_and_place
from edge.dimse.services import Context, Operation
from edge.dimse.shared import Shared
from edge.dimse.tls_words import certificate_of, why_refused
from edge.dimse.upper_layer import UpperLayer
from edge.errors import How, PeerError

__all__ = ["Association"]

LOG = logging.getLogger(__name__)

MAX_WAITING = 8
"""Requests that a peer may send ahead, although we negotiate one at a time (PS3.7 D.3.3.3)."""


class Association:
    """The acceptor's side of one association; `layer` is its connection.

    Args:
        shared: What it shares with the others.
        host: The address that the connection comes from.
        is_encrypted: TLS is spoken on it.
    """

    def __init__(self, shared: Shared, host: str, *, is_encrypted: bool = False) -> None:
        settings = shared.settings
        self.layer = UpperLayer(
            self, shared.intake, max_pdu=settings.max_pdu, send_seconds=settings.pdu_seconds
        )
        self._case = shared.casebook.incoming(host, is_encrypted=is_encrypted)
        self.dialogue = Dialogue(
            self.layer, seconds=settings.pdu_seconds, failed=self._case.refused_ours
        )
        self.contexts: Mapping[int, Context] = {}
        self._shared = shared
        self._settings = settings
        self._deadline = Deadline(self._expired)
        self.host = self._name = host
        self._is_encrypted = is_encrypted
        self._certificate: bytes | None = None
        self.heard = 0.0
        """When a PDU last came, seconds of the loop's clock."""
        self.worked = 0.0
        """When it began, or a request but C-ECHO was last answered; likewise."""
        self._task: asyncio.Task[None] | None = None
        self._caller: Caller | None = None
        # What came and waits: the A-ASSOCIATE-RQ, then requests, then None for A-RELEASE-RQ.
        self._inbox: asyncio.Queue[bytes | Operation | PeerError | None] = asyncio.Queue()
        # Requests that are not answered yet: what C-CANCEL can be about.
        self._open: list[Operation] = []
        self._is_requested = False
        self._answered = 0
        self._failed = 0
        self._pauses = 0
        self._is_ahead = False
        self._assembly = Assembly(self, shared.intake, shared.max_instance_bytes, self._take)
        self._pace = Pace(settings.pdu_seconds)

    # What the upper layer tells.

    def on_connected(self) -> None:
        """See `UpperLayerUser`; the ARTIM timer starts."""
        self._deadline.set(
            self._settings.artim_seconds,
            f"no complete A-ASSOCIATE-RQ came within {self._settings.artim_seconds:g} s",
        )

    def on_associate(self, body: bytes) -> None:
        """See `UpperLayerUser`; the ARTIM timer stops."""
        self._deadline.clear()
        self._is_requested = True
        self._inbox.put_nowait(body)

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """See `UpperLayerUser`."""
        if not self._assembly.is_under_way:
            self._pace.restart(0)
        self._assembly.on_fragment(context_id, is_command=is_command)

    def on_data(self, data: memoryview) -> None:
        """See `UpperLayerUser`."""
        self._assembly.on_data(data)

    def on_fragment_end(self, *, is_last: bool) -> None:
        """See `UpperLayerUser`."""
        self._assembly.on_fragment_end(is_last=is_last)

    def on_progress(self) -> None:
        """See `UpperLayerUser`; moves the deadline."""
        self.heard = asyncio.get_running_loop().time()
        if not self.layer.is_established or self._pauses:
            return
        seconds = self._settings.pdu_seconds
        if self._assembly.is_under_way:
            self._pace.check(self._assembly.received)
            self._deadline.set(seconds, f"a message came to a halt for {seconds:g} s")
        elif self.layer.is_in_pdu:
            self._deadline.set(seconds, f"a PDU was not complete after {seconds:g} s")
        elif self._open or not self._inbox.empty():
            self._deadline.clear()
        else:
            seconds = self._settings.idle_seconds
            self._deadline.set(seconds, f"nothing came for {seconds:g} s")

    def on_release(self) -> None:
        """See `UpperLayerUser`; requests that came before are answered first."""
        if self._assembly.is_under_way:
            raise PeerError("A-RELEASE-RQ came in the middle of a message")
        self._inbox.put_nowait(None)

    def on_closed(self, error: PeerError) -> None:
        """See `UpperLayerUser`."""
        self._deadline.close()
        self._assembly.fail(error)
        self.dialogue.fail(error)
        self._inbox.put_nowait(error)

    def on_disconnected(self) -> None:
        """See `UpperLayerUser`."""
        self._deadline.close()
        self._shared.connections.leave(self)

    # What the other connections want of it (`Member`).

    @property
    def ae_title(self) -> str:
        """By which the peer calls itself, once it is known."""
        return self._caller.ae_title if self._caller else ""

    @property
    def own_limit(self) -> int:
        """See `Member`."""
        return self._caller.max_associations if self._caller else 0

    @property
    def is_stranger(self) -> bool:
        """Whether nobody named the peer."""
        return self._caller is None or self._caller.is_stranger

    @property
    def is_busy(self) -> bool:
        """Whether a request is arriving or being answered."""
        return bool(self._open) or self._assembly.is_under_way

    @property
    def is_ending(self) -> bool:
        """Whether the peer was told that this is the end."""
        return self.layer.is_ending

    def give_way(self, why: str) -> None:
        """End, since the connection is needed for another."""
        error = PeerError(why, how=How.GAVE_WAY)
        if not self.layer.is_connected:
            # In its TLS handshake; there is nobody to tell.
            assert self._task is not None
            self._task.cancel()
        elif self.layer.is_established:
            self.layer.abort(AbortReason.NOT_SPECIFIED, error)
        else:
            self.layer.disconnect(error)

    # Reading, stopped and started by the data set under way (`Flow`) and by too many requests.

    def pause_reading(self) -> None:
        """Let the peer wait for us; no deadline runs meanwhile."""
        self._pauses += 1
        self._deadline.clear()
        self.layer.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`."""
        self._pauses -= 1
        if not self._pauses:
            self._pace.restart(self._assembly.received)
            self.layer.resume_reading()
            self.on_progress()

    # The life of the association.

    async def run(self, connection: socket.socket) -> None:
        """Live until the association ends, whatever ends it.

        Args:
            connection: As it was accepted; it is closed in the end.
        """
        connections = self._shared.connections
        self._task = asyncio.current_task()
        connections.enter(self)
        try:
            await self._connect(connection)
            if await self._negotiated():
                await self._serve()
        except PeerError as error:
            self.layer.abort(AbortReason.USER, error)
            # A connection that never asked for anything is a port scan or a health check.
            level = logging.WARNING if self._is_requested else logging.INFO
            self._log(level, "the association was lost: %s%s", error, self._tally())
            self._case.lost(error, during=self._open[0].command.name if self._open else "")
        except asyncio.CancelledError:
            self.layer.abort(AbortReason.USER, PeerError("this server stops", how=How.OURS))
            raise
        except Exception as error:  # noqa: BLE001 - it must not take the other associations along
            self.layer.abort(AbortReason.USER, PeerError("this server failed", how=How.OURS))
            LOG.error("%s: the association failed: %s", self._name, kind_and_place(error))
        finally:
            self._deadline.close()
            connections.dissociate(self)
            if not self.layer.is_connected:
                connections.leave(self)
            for operation in self._open:
                if operation.data_set is not None:
                    operation.data_set.discard()

    async def _connect(self, connection: socket.socket) -> None:
        """Hand the connection to the upper layer, after its TLS handshake if there is one."""
        tls = None
        if self._is_encrypted:
            assert self._shared.tls is not None
            tls = self._shared.tls.server
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self.layer,
                connection,
                ssl=tls,
                ssl_handshake_timeout=self._settings.artim_seconds if tls else None,
            )
        except OSError as error:
            why = f"the TLS handshake failed: {why_refused(error)}"
            raise PeerError(why, how=How.TLS) from error
        self._certificate = certificate_of(transport)

    async def _negotiated(self) -> bool:
        """Answer the A-ASSOCIATE-RQ; whether it was accepted."""
        body = await self._inbox.get()
        if isinstance(body, PeerError):
            raise body
        assert isinstance(body, bytes)
        try:
            request = read_request(body)
        except PeerError as error:
            self.layer.abort(AbortReason.INVALID_PARAMETER, error)
            raise
        self._case.asked(request)
        caller = request.refusal() or await self._shared.peers.identify(
            calling=request.calling,
            called=request.called,
            host=self.host,
            certificate=self._certificate,
            is_encrypted=self._is_encrypted,
            services=asked_for(request, self._shared.services),
        )
        if not isinstance(caller, Refusal):
            self._name, self._caller = str(caller), caller
            self._case.identified(caller, self._certificate)
            if why := self._shared.connections.admit(self):
                # Local limit exceeded, transient: the peer is welcome later (PS3.8 9.3.4).
                caller = Refusal(2, 3, 2, why, Cause.LIMIT)
        if isinstance(caller, Refusal):
            self._log(logging.WARNING, "the association was refused: %s", caller.why)
            self._case.rejected(caller)
            self.layer.reject(caller.result, caller.source, caller.reason)
            return False
        accepted = negotiate(request, self._shared.services, caller, max_pdu=self._settings.max_pdu)
        if accepted.refused:
            shown = ", ".join(accepted.refused[:5])
            more = f" and {len(accepted.refused) - 5} more" if len(accepted.refused) > 5 else ""
            self._log(logging.WARNING, "proposed what was not accepted: %s%s", shown, more)
        self._case.accepted(accepted)
        self.worked = asyncio.get_running_loop().time()
        self._assembly.contexts = self.contexts = accepted.contexts
        self.layer.accept(accepted.pdu, fragment_size=accepted.fragment_size)
        self._log(logging.INFO, "associated (%s)", request.implementation or "no version name")
        return True

    async def _serve(self) -> None:
        while True:
            self.on_progress()
            operation = await self._inbox.get()
            if isinstance(operation, PeerError):
                raise operation
            if operation is None:
                self._log(logging.INFO, "released the association%s", self._tally())
                self.dialogue.fail(PeerError("the peer released the association"))
                self.layer.release()
                self._case.released()
                return
            assert isinstance(operation, Operation)
            if self._is_ahead:
                self._is_ahead = False
                self.resume_reading()
            await self._perform(operation)

    async def _perform(self, operation: Operation) -> None:
        """Have the request handled, and see that it is answered once."""
        command, service = operation.command, operation.context.service
        handler = service.handlers.get(command.field) if operation.context.peer_asks else None
        if handler is None:
            LOG.warning("%s: %s is no operation of %s", self._name, command.name, service.name)
            await operation.respond(Status.UNRECOGNISED_OPERATION)
        else:
            with self._case.performed(operation):
                try:
                    await handler(operation)
                except PeerError:
                    raise
                except Exception as error:  # noqa: BLE001 - one request failed, the next may not
                    LOG.error("%s: %s failed: %s", self._name, command.name, kind_and_place(error))
                if operation.status is None:
                    await operation.respond(Status.PROCESSING_FAILURE)
        self._open.remove(operation)
        if command.field != CommandField.C_ECHO:
            self.worked = asyncio.get_running_loop().time()
        self._case.answered(operation)
        self._answered += 1
        self._failed += operation.status != Status.SUCCESS

    # Messages.

    def _take(self, context_id: int, command: Command, data_set: IncomingDataSet | None) -> None:
        if command.field == CommandField.C_CANCEL:
            if data_set is not None:
                raise PeerError("C-CANCEL came with a data set")
            for operation in self._open:
                operation.is_cancelled |= operation.command.message_id == command.message_id
            return
        if command.field & RESPONSE:
            self.dialogue.on_response(command, data_set)
            return
        if command.field not in _REQUESTS:
            raise PeerError(f"{command.name} came, and was not asked for")
        assert self._caller is not None
        operation = Operation(self._caller, self.contexts[context_id], command, data_set, self)
        self._open.append(operation)
        self._inbox.put_nowait(operation)
        if self._inbox.qsize() >= MAX_WAITING and not self._is_ahead:
            self._is_ahead = True
            self.pause_reading()

    async def send(self, context_id: int, command: bytes, data_set: bytes = b"") -> None:
        """See `Ours`."""
        await self.layer.send(context_id, command, data_set)

    # Deadlines.

    def _expired(self, why: str) -> None:
        how = How.STALLED if self.layer.is_established else How.SILENT
        if self.layer.is_established and not (self.is_busy or self.layer.is_in_pdu):
            how = How.IDLE
        self.layer.abort(AbortReason.NOT_SPECIFIED, PeerError(why, how=how))

    def _log(self, level: int, message: str, *values: object) -> None:
        """A line about this peer; strangers get few of them."""
        line = f"%s: {message}"
        if self.is_stranger:
            self._shared.log.log(self.host, level, line, self._name, *values)
        else:
            LOG.log(level, line, self._name, *values)

    def _tally(self) -> str:
        if not self._answered:
            return ""
        failed = f", {self._failed} without success" if self._failed else ""
        return f" (requests answered: {self._answered}{failed})"


_REQUESTS = frozenset(CommandField)
