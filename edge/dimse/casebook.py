"""Has the doctor write down what goes wrong with associations; the hooks of both kinds of them.

The audit hears by the same hooks who associates, who is turned away, and what is asked for.

Promises to wait for nothing, and to cost nothing where all is well. Words come from `doctor` and
its neighbours, the bound and the book from `Associations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from edge.access.audit.entry import Actor
from edge.cache.associations import Associations, Direction, Finding, Other
from edge.cache.tally import Tally, counting
from edge.config import Dimse
from edge.dimse import doctor, doctor_lost, doctor_ours, doctor_statuses
from edge.dimse.messages import Element, Status
from edge.dimse.negotiation import Accepted, AssociateRequest
from edge.dimse.peers import Caller, Refusal
from edge.dimse.proposal import Agreement, Proposal
from edge.dimse.services import Operation
from edge.errors import EdgeError, How, PeerError

__all__ = ["CaseBook", "Incoming", "Outgoing", "Witness"]


class Witness(Protocol):
    """Writes down who asks for what: a `DimseWitness`, or a fake."""

    def refused(self, calling: str, called: str, host: str, refusal: Refusal) -> None:
        """An association was refused."""

    def handshake_failed(self, host: str, why: str) -> None:
        """TLS could not be agreed on."""

    def connected(self, caller: Caller, accepted: Accepted, certificate: bytes | None) -> Actor:
        """An association was accepted; who it is."""

    def begins(self, actor: Actor, operation: Operation) -> Tally:
        """An operation begins; what counts what it is about."""

    def ended(self, actor: Actor, operation: Operation, tally: Tally) -> None:
        """It was answered, or was not."""


class CaseBook:
    """Opens a case for each association.

    Args:
        settings: ``[dimse]``.
        book: Where it is kept; None: nowhere.
        witness: Has it in the audit; None: it is in none.
    """

    def __init__(
        self, settings: Dimse, book: Associations | None = None, witness: Witness | None = None
    ) -> None:
        self.settings = settings
        self.witness = witness
        self._book = book

    def incoming(self, host: str, *, is_encrypted: bool) -> Incoming:
        """Somebody connected."""
        return Incoming(self, host, is_encrypted=is_encrypted)

    def outgoing(
        self, host: str, port: int, called: str, proposals: Sequence[Proposal]
    ) -> Outgoing:
        """We call somebody."""
        return Outgoing(self, host, port, called, proposals)

    def not_committed(self, ae_title: str, reasons: Mapping[int, int]) -> None:
        """A peer was told that images are not committed: how many for which Failure Reason."""
        other = Other(Direction.IN, ae_title, is_known=True)
        self.note(other, doctor_ours.not_committed(reasons))

    def nowhere(self, ae_title: str, abstract_syntax: str) -> None:
        """A peer was to be called, and nobody says where it is."""
        purpose = doctor_ours.purpose_of([abstract_syntax])
        other = Other(Direction.OUT, ae_title, is_known=True, called=ae_title)
        self.note(other, doctor_ours.nowhere(purpose, ae_title))

    def note(self, other: Other, finding: Finding | None) -> None:
        """Write it down, if it is anything."""
        if finding is not None and self._book is not None:
            self._book.note(other, finding)


class Incoming:
    """The case of one association that a peer asked for."""

    def __init__(self, book: CaseBook, host: str, *, is_encrypted: bool) -> None:
        self._book = book
        self._is_encrypted = is_encrypted
        self._other = Other(Direction.IN, host=host)
        self._calling = ""
        self._called = ""
        self._was_requested = False
        self._has_asked = False
        self._is_useless = False
        self._is_fine = True
        self._caller: Caller | None = None
        self._certificate: bytes | None = None
        self._actor: Actor | None = None

    def asked(self, request: AssociateRequest) -> None:
        """A-ASSOCIATE-RQ came."""
        self._was_requested = True
        self._calling, self._called = request.calling, request.called
        self._other = Other(
            Direction.IN,
            doctor.plain(request.calling),
            self._other.host,
            called=doctor.plain(request.called),
            implementation=request.implementation,
        )

    def identified(self, caller: Caller, certificate: bytes | None = None) -> None:
        """It is known who that is, and which certificate it showed."""
        self._caller, self._certificate = caller, certificate
        it = self._other
        self._other = Other(
            it.direction, it.ae_title, it.host, not caller.is_stranger, it.called, it.implementation
        )

    def rejected(self, refusal: Refusal) -> None:
        """The association was refused."""
        if (witness := self._book.witness) is not None:
            witness.refused(self._calling, self._called, self._other.host, refusal)
        finding = doctor.rejected(
            refusal,
            self._book.settings,
            calling=self._calling,
            called=self._called,
            host=self._other.host,
        )
        self._note(finding)

    def accepted(self, accepted: Accepted) -> None:
        """It was accepted, perhaps not wholly."""
        if (witness := self._book.witness) is not None and self._caller is not None:
            self._actor = witness.connected(self._caller, accepted, self._certificate)
        self._is_useless = not accepted.contexts
        if accepted.not_accepted:
            findings = doctor.not_accepted(
                accepted.not_accepted,
                {context.abstract_syntax for context in accepted.contexts.values()},
                ae_title=self._other.ae_title,
                is_stranger=not self._other.is_known,
            )
            for finding in findings:
                self._note(finding)
        elif not accepted.contexts:
            self._note(doctor.nothing_proposed())

    @contextmanager
    def performed(self, operation: Operation) -> Iterator[None]:
        """While a request of its is performed and answered."""
        witness, actor = self._book.witness, self._actor
        if witness is None or actor is None:
            yield
            return
        with counting(witness.begins(actor, operation)) as tally:
            try:
                yield
            finally:
                witness.ended(actor, operation, tally)

    def answered(self, operation: Operation) -> None:
        """A request of its was answered."""
        self._has_asked = True
        name = operation.command.name
        if operation.status == Status.DESTINATION_UNKNOWN:
            named = operation.command.text(Element.MOVE_DESTINATION)
            self._note(doctor_statuses.destination_unknown(named, operation.meant))
        elif operation.status:
            self._note(doctor_statuses.answered_by_us(name, operation.status, operation.comment))
        else:
            self._note(operation.finding)

    def refused_ours(self, name: str, status: int) -> None:
        """It answered a request of ours on its association without success."""
        self._note(doctor_statuses.answered_by_it(name, status, "on its own association"))

    def lost(self, error: PeerError, *, during: str) -> None:
        """It ended without a release."""
        if error.how is How.TLS and (witness := self._book.witness) is not None:
            witness.handshake_failed(self._other.host, str(error))
        if self._is_useless and error.how in (How.ABORTED, How.BROKEN):
            return  # as was to be expected
        finding = doctor_lost.lost(
            error,
            self._book.settings,
            during=during,
            was_requested=self._was_requested,
            has_asked=self._has_asked,
            is_encrypted=self._is_encrypted,
        )
        self._note(finding)

    def released(self) -> None:
        """It came to its end as it should."""
        if self._is_fine and self._other.is_known:
            self._book.note(self._other, doctor.fine())

    def _note(self, finding: Finding | None) -> None:
        if finding is not None:
            self._is_fine &= finding.is_harmless
            self._book.note(self._other, finding)


class Outgoing:
    """The case of one association that we asked for."""

    def __init__(
        self, book: CaseBook, host: str, port: int, called: str, proposals: Sequence[Proposal]
    ) -> None:
        self._book = book
        self._called = called
        self._purpose = doctor_ours.purpose_of(each.abstract_syntax for each in proposals)
        self._other = Other(Direction.OUT, called, f"{host}:{port}", is_known=True, called=called)
        self._is_fine = True

    def agreed(self, agreement: Agreement) -> None:
        """It was accepted, perhaps not wholly."""
        it = self._other
        self._other = Other(
            it.direction, it.ae_title, it.host, it.is_known, it.called, agreement.implementation
        )
        if agreement.refused:
            self._note(doctor_ours.not_agreed(agreement.refused, self._purpose))

    def refused(self, name: str, status: int) -> None:
        """A request of ours was answered without success."""
        self._note(doctor_statuses.answered_by_it(name, status, self._purpose))

    def lost(self, error: EdgeError) -> None:
        """There was none, or it ended before its time."""
        settings = self._book.settings
        self._note(
            doctor_ours.given_up(error, settings, purpose=self._purpose, called=self._called)
        )

    def released(self) -> None:
        """It came to its end as it should."""
        if self._is_fine:
            self._book.note(self._other, doctor.fine())

    def _note(self, finding: Finding | None) -> None:
        if finding is not None:
            self._is_fine &= finding.is_harmless
            self._book.note(self._other, finding)
