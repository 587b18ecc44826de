"""A-ASSOCIATE as requestor: what we propose, and what the peer made of it (PS3.8 9.3.2, 9.3.3).

Owns the writing of an A-ASSOCIATE-RQ and the reading of an A-ASSOCIATE-AC, both through
pynetdicom's codecs; the PDU was bounded before it comes here.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import build_context

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.dimse.negotiation import APPLICATION_CONTEXT, MAX_CONTEXTS, MAX_SENT_PDU
from edge.errors import PeerError

__all__ = ["Agreed", "Agreement", "NotAgreed", "Proposal", "read_answer", "request_pdu"]

_PDU_HEADER = struct.Struct(">BxI")
_ASSOCIATE_AC = 2
_PDV_HEADER = 6
_SMALLEST_PDU = _PDV_HEADER + 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context to propose; several of one abstract syntax are allowed."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    as_scp: bool = False
    """We take the SCP role too (PS3.7 D.3.3.4), as for a C-GET."""
    as_scu: bool = True
    """We take the SCU role; without it, the SCP role alone is proposed, as for N-EVENT-REPORT."""
    extended: bytes = b""
    """Service class application information (PS3.7 D.3.3.5)."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """A presentation context that the peer accepted."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class NotAgreed:
    """An abstract syntax for which the peer accepted no context."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    """That were proposed."""
    result: int
    """Result/Reason of PS3.8 Table 9-18, of the last context; 0: it gave no answer."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an A-ASSOCIATE-AC says."""

    contexts: Mapping[int, Agreed]
    fragment_size: int
    """Bytes of a message that fit the peer's longest PDU, even (PS3.8 D.1)."""
    implementation: str
    """Implementation Version Name, as text that is safe in a log line."""
    refused: tuple[NotAgreed, ...] = ()
    """Abstract syntaxes for which no context at all was accepted."""


def request_pdu(proposals: Sequence[Proposal], *, calling: str, called: str, max_pdu: int) -> bytes:
    """Write an A-ASSOCIATE-RQ; the contexts get the IDs 1, 3, 5… in their order.

    Raises:
        ValueError: There are none, or more than an association can have.
    """
    if not 0 < len(proposals) <= MAX_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts")
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = []
    for number, proposal in enumerate(proposals):
        context = build_context(proposal.abstract_syntax, list(proposal.transfer_syntaxes))
        context.context_id = 2 * number + 1
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version_name = ImplementationVersionNameNotification()
    version_name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, class_uid, version_name]
    for uid, as_scu in {it.abstract_syntax: it.as_scu for it in proposals if it.as_scp}.items():
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = uid, as_scu, True
        primitive.user_information.append(role)
    for uid, extended in {it.abstract_syntax: it.extended for it in proposals}.items():
        if extended:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = uid
            item.service_class_application_information = extended
            primitive.user_information.append(item)
    pdu = A_ASSOCIATE_RQ(primitive)
    encoded: bytes = pdu.encode()
    return encoded


def read_answer(body: bytes, proposals: Sequence[Proposal]) -> Agreement:
    """Read an A-ASSOCIATE-AC.

    Args:
        body: The PDU without its first 6 bytes.
        proposals: What was proposed.

    Raises:
        PeerError: It is malformed, or answers what was not proposed.
    """
    pdu = A_ASSOCIATE_AC()
    try:
        with warnings.catch_warnings():
            # pydicom would tell of each UID that is none, and remember that it did.
            warnings.simplefilter("ignore")
            pdu.decode(_PDU_HEADER.pack(_ASSOCIATE_AC, len(body)) + body)
        answers = [
            (int(it.context_id or 0), it.result, str(it.transfer_syntax or ""))
            for it in pdu.presentation_context
        ]
        information = pdu.user_information
        assert information is not None
        longest = int(information.maximum_length or 0)
        version = str(information.implementation_version_name or "")
    except Exception as error:
        # Whatever its codecs stumble over.
        raise PeerError("the answer to the association request can't be read") from error
    if 0 < longest < _SMALLEST_PDU:
        raise PeerError(f"the peer takes PDUs of {longest} bytes at the most")
    contexts: dict[int, Agreed] = {}
    results: dict[str, int] = {}
    for context_id, result, transfer_syntax in answers:
        number, is_even = divmod(context_id - 1, 2)
        if is_even or not 0 <= number < len(proposals):
            continue
        if result:
            results[proposals[number].abstract_syntax] = int(result)
            continue
        proposal = proposals[number]
        if transfer_syntax not in proposal.transfer_syntaxes:
            raise PeerError("the peer accepted a transfer syntax that was not proposed")
        contexts[context_id] = Agreed(context_id, proposal.abstract_syntax, transfer_syntax)
    room = min(longest or MAX_SENT_PDU, MAX_SENT_PDU) - _PDV_HEADER
    refused = _not_agreed(proposals, contexts, results)
    return Agreement(contexts, room & ~1, ascii(version)[1:-1][:16], refused)


def _not_agreed(
    proposals: Sequence[Proposal], contexts: Mapping[int, Agreed], results: Mapping[str, int]
) -> tuple[NotAgreed, ...]:
    accepted = {context.abstract_syntax for context in contexts.values()}
    proposed: dict[str, dict[str, None]] = {}
    for proposal in proposals:
        if proposal.abstract_syntax not in accepted:
            syntaxes = proposed.setdefault(proposal.abstract_syntax, {})
            syntaxes.update(dict.fromkeys(proposal.transfer_syntaxes))
    return tuple(
        NotAgreed(uid, tuple(syntaxes), results.get(uid, 0)) for uid, syntaxes in proposed.items()
    )
