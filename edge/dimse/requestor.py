"""Associations that we ask for: to send, to report, to query another, to see whether it is there.

Owns one connection to a peer from its beginning to its release, and its deadlines. Promises that
whoever leaves the block of `Dialer.associate` has left the association, too: released, or aborted
if it went wrong; and that nothing waits longer than the settings allow. What is asked goes through
`Requestor.dialogue`. No thread takes part, and no data set is ever held as a whole.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from edge.access.certificates import is_certificate, shown
from edge.config import Dimse
from edge.dimse.assembly import Assembly
from edge.dimse.casebook import CaseBook, Outgoing
from edge.dimse.data_set import IncomingDataSet, Intake
from edge.dimse.deadline import Deadline
from edge.dimse.dialogue import Dialogue
from edge.dimse.framing import AbortReason
from edge.dimse.messages import RESPONSE, Command
from edge.dimse.proposal import Agreed, Proposal, read_answer, request_pdu
from edge.dimse.tls_words import certificate_of, why_broken, why_not_trusted
from edge.dimse.upper_layer import UpperLayer
from edge.errors import EdgeError, How, PeerError
from edge.others import Peer

__all__ = ["Dialer", "Requestor"]

LOG = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Of a data set that a peer sends us; the dialogue has a bound of its own for identifiers."""
RELEASE_SECONDS = 10.0
"""So long the answer to A-RELEASE-RQ may take."""


class Requestor:
    """One association that we asked for.

    Made by `Dialer.associate`.
    """

    def __init__(
        self,
        settings: Dimse,
        intake: Intake,
        proposals: Sequence[Proposal],
        pdu: bytes,
        case: Outgoing,
    ) -> None:
        self.layer = UpperLayer(
            self,
            intake,
            max_pdu=settings.max_pdu,
            send_seconds=settings.pdu_seconds,
            is_requestor=True,
        )
        self.case = case
        self.dialogue = Dialogue(self.layer, seconds=settings.pdu_seconds, failed=case.refused)
        self.contexts: Mapping[int, Agreed] = {}
        """Presentation contexts that were accepted, by their IDs."""
        self._proposals = proposals
        self._pdu = pdu
        self._seconds = settings.pdu_seconds
        self._assembly = Assembly(self, intake, MAX_ANSWER_BYTES, self._take)
        self._deadline = Deadline(self._expired)
        self._pauses = 0
        self._is_ending = False
        loop = asyncio.get_running_loop()
        self._associated: asyncio.Future[None] = loop.create_future()
        self._ended = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether something can be asked."""
        return self.layer.is_established

    def find(self, abstract_syntax: str, transfer_syntax: str | None = None) -> Agreed | None:
        """The accepted context for an abstract syntax; in this transfer syntax, if one is named."""
        for context in self.contexts.values():
            if context.abstract_syntax == abstract_syntax and transfer_syntax in (
                None,
                context.transfer_syntax,
            ):
                return context
        return None

    # What the upper layer tells.

    def on_connected(self) -> None:
        """See `UpperLayerUser`; nothing is said before it is known who is there."""

    def on_associate(self, body: bytes) -> None:
        """See `UpperLayerUser`."""
        agreement = read_answer(body, self._proposals)
        self.case.agreed(agreement)
        self._assembly.contexts = self.contexts = agreement.contexts
        self.layer.establish(fragment_size=agreement.fragment_size)
        if not self._associated.done():
            self._associated.set_result(None)

    def on_fragment(self, context_id: int, *, is_command: bool) -> None:
        """See `UpperLayerUser`."""
        self._assembly.on_fragment(context_id, is_command=is_command)

    def on_data(self, data: memoryview) -> None:
        """See `UpperLayerUser`."""
        self._assembly.on_data(data)

    def on_fragment_end(self, *, is_last: bool) -> None:
        """See `UpperLayerUser`."""
        self._assembly.on_fragment_end(is_last=is_last)

    def on_progress(self) -> None:
        """See `UpperLayerUser`; moves the deadline of a message that comes."""
        if (self._assembly.is_under_way or self.layer.is_in_pdu) and not self._pauses:
            why = f"a message came to a halt for {self._seconds:g} s"
            self._deadline.set(self._seconds, why)
        else:
            self._deadline.clear()

    def on_release(self) -> None:
        """See `UpperLayerUser`: the answer to ours, or the peer wants no more."""
        if self.layer.is_established:
            error = PeerError("the peer released the association")
            if self.dialogue.is_waiting:
                self.case.lost(error)
            self.layer.release()
            self._fail(error)
        self._ended.set()

    def on_closed(self, error: PeerError) -> None:
        """See `UpperLayerUser`."""
        if not self._is_ending:
            self.case.lost(error)
        self._fail(error)

    def on_disconnected(self) -> None:
        """See `UpperLayerUser`."""
        self._deadline.close()
        self._ended.set()

    # `Flow`.

    def pause_reading(self) -> None:
        """Let the peer wait for us."""
        self._pauses += 1
        self._deadline.clear()
        self.layer.pause_reading()

    def resume_reading(self) -> None:
        """Undo one `pause_reading`."""
        self._pauses -= 1
        if not self._pauses:
            self.layer.resume_reading()
            self.on_progress()

    # Its life.

    async def begin(self, seconds: float) -> None:
        """Ask for the association, and wait until it is there.

        Raises:
            PeerError: The peer will not, or says nothing for so long.
        """
        if not self._associated.done():
            self.layer.request(self._pdu)
        try:
            async with asyncio.timeout(seconds):
                await self._associated
        except TimeoutError as error:
            said = f"the peer did not answer the association request within {seconds:g} s"
            why = PeerError(said, how=How.SILENT)
            self.layer.disconnect(why)
            raise why from error

    async def end(self) -> None:
        """Release it, and wait for the peer; drop it if that takes long."""
        self._is_ending = True
        if self.layer.is_established:
            self.layer.request_release()
            try:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                LOG.info("a peer did not answer a release")
        self.layer.disconnect()
        self._deadline.close()

    def break_off(self, why: str) -> None:
        """Abort it."""
        self.layer.abort(AbortReason.USER, PeerError(why, how=How.OURS))
        self._deadline.close()

    def _take(self, _: int, command: Command, data_set: IncomingDataSet | None) -> None:
        if not command.field & RESPONSE:
            raise PeerError(f"{command.name} came, and was not asked for")
        self.dialogue.on_response(command, data_set)

    def _fail(self, error: PeerError) -> None:
        self._deadline.close()
        self._assembly.fail(error)
        self.dialogue.fail(error)
        if not self._associated.done():
            self._associated.set_exception(error)
            self._associated.exception()  # it is known, also if nobody awaits it

    def _expired(self, why: str) -> None:
        self.layer.abort(AbortReason.NOT_SPECIFIED, PeerError(why, how=How.STALLED))


class ClientTls(Protocol):
    """Has what TLS is spoken with now: a `DicomTls`, or a fake."""

    async def client(self, *, check_hostname: bool) -> ssl.SSLContext:
        """For the next connection; whether its certificate must be for the host."""


class Dialer:
    """Asks others for associations.

    Args:
        settings: Our AE title, PDU length and deadlines.
        tls: What TLS is spoken with, to peers that want it; None: to none.
        casebook: Has what goes wrong written down.
    """

    def __init__(
        self,
        settings: Dimse,
        *,
        tls: ClientTls | None = None,
        casebook: CaseBook | None = None,
    ) -> None:
        self._settings = settings
        self.casebook = casebook or CaseBook(settings)
        self._tls = tls
        self._intake = Intake()

    def call(
        self, peer: Peer, proposals: Sequence[Proposal], *, calling: str = ""
    ) -> AbstractAsyncContextManager[Requestor]:
        """Have an association with a known peer, the way that is said of it; see `associate`."""
        return self.associate(
            peer.host,
            peer.port,
            peer.ae_title.strip(),
            proposals,
            calling=calling,
            encrypted=peer.tls,
            certificate=peer.certificate,
        )

    @asynccontextmanager
    async def associate(
        self,
        host: str,
        port: int,
        called: str,
        proposals: Sequence[Proposal],
        *,
        calling: str = "",
        encrypted: bool = False,
        certificate: str = "",
    ) -> AsyncIterator[Requestor]:
        """Have an association with a peer; leaving the block releases it, an error aborts it.

        Args:
            host: Name or address.
            port: Where it listens.
            called: Its AE title.
            proposals: Presentation contexts.
            calling: Our AE title, if it is not the configured one.
            encrypted: Speak TLS (PS3.15 B).
            certificate: That the peer must show then, see ``peering``; empty: one for *host*.

        Raises:
            PeerRefused: The peer rejects it.
            PeerError: The peer can't be reached, is not a DICOM peer, or takes too long.
        """
        settings = self._settings
        calling = calling or settings.ae_title
        pdu = request_pdu(proposals, calling=calling, called=called, max_pdu=settings.max_pdu)
        case = self.casebook.outgoing(host, port, called, proposals)
        association = Requestor(settings, self._intake, proposals, pdu, case)
        try:
            try:
                await self._connect(association, host, port, encrypted, certificate)
            except EdgeError as error:
                case.lost(error)
                raise
            await association.begin(settings.artim_seconds)
            yield association
        except BaseException:
            association.break_off("given up on our side")
            raise
        await association.end()
        case.released()

    async def _connect(
        self, association: Requestor, host: str, port: int, encrypted: bool, certificate: str
    ) -> None:
        tls = None
        if encrypted:
            if self._tls is None:
                raise PeerError("a peer wants TLS, and none is configured here", how=How.TLS)
            tls = await self._tls.client(check_hostname=not certificate)
        seconds = self._settings.artim_seconds
        where = f"{host}:{port}"
        try:
            async with asyncio.timeout(seconds):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: association.layer, host, port, ssl=tls
                )
        except TimeoutError as error:
            raise PeerError(
                f"nothing answers at {where} within {seconds:g} s",
                hint="is the address right, is it switched on, does a firewall stand between?",
                how=How.UNREACHABLE,
            ) from error
        except OSError as error:
            raise _not_connected(where, error, encrypted=encrypted) from error
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = certificate_of(transport)
        if encrypted and certificate and not (found and is_certificate(found, certificate)):
            raise PeerError(
                f"TLS with {where} failed: it shows another certificate than is said of the peer:"
                f" {shown(found) if found else 'none'}",
                hint="if that is its new certificate, say so in certificate = ... of the peer",
                how=How.TLS,
            )


def _not_connected(where: str, error: OSError, *, encrypted: bool) -> PeerError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why, hint = why_not_trusted(error)
        return PeerError(f"TLS with {where} failed: {why}", hint=hint, how=How.TLS)
    if isinstance(error, ssl.SSLError) or (
        encrypted and isinstance(error, ConnectionResetError | ConnectionAbortedError)
    ):
        why, hint = why_broken(error)
        return PeerError(f"TLS with {where} failed: {why}", hint=hint, how=How.TLS)
    if isinstance(error, socket.gaierror):
        return PeerError(
            f"{where} can't be reached: no name service knows that name",
            hint="look for a typing error, or name the peer's address in its place",
            how=How.UNREACHABLE,
        )
    if isinstance(error, ConnectionRefusedError):
        return PeerError(
            f"{where} can't be reached: nothing listens on that port",
            hint="check the port, and whether the peer's DICOM service runs",
            how=How.UNREACHABLE,
        )
    return PeerError(
        f"{where} can't be reached: {error.strerror or error}",
        hint="check host and port of the peer, and the network between",
        how=How.UNREACHABLE,
    )
