"""A-ASSOCIATE: what a peer proposes, and what we answer (PS3.8 9.3.2, 9.3.3; PS3.7 D.3).

Owns the reading of an A-ASSOCIATE-RQ and the writing of an A-ASSOCIATE-AC. The request comes from a
stranger: it is walked once, every item length against the bytes around it, with bounded counts, and
items of unknown type are skipped as the Standard asks. The presentation contexts, of which there
are many, are taken in that walk; user information, where the rules are, goes through pynetdicom's
codecs and its table of roles. No object here outlives the negotiation but `Accepted`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pynetdicom.pdu_items import (
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserInformationItem,
)

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    is_uid,
)
from edge.dimse.peers import Caller, Refusal
from edge.dimse.services import Context, Service, find_service
from edge.errors import PeerError

__all__ = [
    "Accepted",
    "AssociateRequest",
    "NotAccepted",
    "Proposed",
    "asked_for",
    "negotiate",
    "read_request",
]

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only one there is (PS3.7 A.2.1)."""
MAX_CONTEXTS = 128
"""Odd IDs from 1 to 255 (PS3.8 9.3.2.2)."""
MAX_SYNTAXES = 6000
"""Of all contexts together."""
MAX_USER_ITEMS = 1024
MAX_ROLES = 256
"""And items of extended negotiation, together."""
MAX_SENT_PDU = 128 * 1024
"""The longest P-DATA PDU that we send, also to a peer that sets no limit."""

_FIXED_BYTES = 68
_PDV_HEADER = 6
_ITEM = struct.Struct(">BxH")
_CONTEXT_RESULT = struct.Struct(">BxHBxBxBxH")
_MAXIMUM_LENGTH, _WINDOW, _ROLE, _VERSION_NAME, _EXTENDED = 0x51, 0x53, 0x54, 0x55, 0x56
_ACCEPTED, _USER_REJECTION, _ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0, 1, 3, 4
_NO_ROLE = "the peer proposes no role that it can have here"
_SENT_FIRST = {EXPLICIT_VR_LITTLE_ENDIAN: 0, IMPLICIT_VR_LITTLE_ENDIAN: 1}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context of the request; texts that are no UIDs are left out."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ."""

    called: str
    calling: str
    titles: bytes
    """Both as they came, 32 bytes; the answer repeats them."""
    protocol_version: int
    application_context: str
    contexts: tuple[Proposed, ...]
    max_pdu: int
    """Longest P-DATA PDU that the peer takes; 0 means any."""
    roles: dict[str, tuple[bool, bool]]
    """SOP class to the (SCU, SCP) roles that the requestor proposes for itself."""
    extended: dict[str, bytes]
    """SOP class to the service class application information that is proposed (PS3.7 D.3.3.5)."""
    wants_window: bool
    """Whether it proposes an asynchronous operations window."""
    implementation: str
    """Implementation Version Name, as text that is safe in a log line."""

    def refusal(self) -> Refusal | None:
        """What makes it unacceptable whoever sends it."""
        if not self.protocol_version & 1:
            return Refusal(1, 2, 2, f"it has protocol version {self.protocol_version:04X}")
        if self.application_context != APPLICATION_CONTEXT:
            return Refusal(1, 1, 2, "its application context is not DICOM's")
        if 0 < self.max_pdu < _PDV_HEADER + 2:
            return Refusal(1, 1, 1, f"it takes PDUs of {self.max_pdu} bytes at the most")
        return None


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """A presentation context that was refused."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    """That were proposed."""
    result: int
    """Result/Reason of PS3.8 Table 9-18."""
    why: str
    rights: tuple[str, ...] = ()
    """Of which the peer's ``may`` lacks one."""
    possible: tuple[str, ...] = ()
    """Transfer syntaxes that would have been accepted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome."""

    pdu: bytes
    """A-ASSOCIATE-AC."""
    contexts: dict[int, Context]
    fragment_size: int
    """Bytes of a message that fit the peer's longest PDU, even (PS3.8 D.1)."""
    not_accepted: tuple[NotAccepted, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """A sentence for each abstract syntax that was refused."""
        whys = {each.abstract_syntax: each.why for each in self.not_accepted}
        return tuple(f"{uid or 'no UID'} ({why})" for uid, why in whys.items())


def read_request(body: bytes) -> AssociateRequest:
    """Read an A-ASSOCIATE-RQ.

    Args:
        body: The PDU without its first 6 bytes.

    Raises:
        PeerError: It is malformed, or larger in some number than any real one.
    """
    if len(body) < _FIXED_BYTES:
        raise PeerError("an A-ASSOCIATE-RQ is too short")
    application_context = ""
    contexts: dict[int, Proposed] = {}
    user: UserInformationItem | None = None
    version_name = ""
    syntaxes = 0
    for kind, start, end in _items(body, _FIXED_BYTES, len(body)):
        if kind == 0x10:
            application_context = _text(body[start:end])
        elif kind == 0x20:
            context, count = _read_context(body, start, end)
            syntaxes += count
            if context.context_id in contexts:
                raise PeerError("an A-ASSOCIATE-RQ uses a presentation context ID twice")
            contexts[context.context_id] = context
            if len(contexts) > MAX_CONTEXTS or syntaxes > MAX_SYNTAXES:
                raise PeerError("an A-ASSOCIATE-RQ proposes too many presentation contexts")
        elif kind == 0x50:
            if user is not None:
                raise PeerError("an A-ASSOCIATE-RQ has two user information items")
            user, version_name = _read_user_information(body, start, end)
    if user is None:
        raise PeerError("an A-ASSOCIATE-RQ has no user information")
    return AssociateRequest(
        called=_text(body[4:20]),
        calling=_text(body[20:36]),
        titles=body[4:36],
        protocol_version=int.from_bytes(body[:2], "big"),
        application_context=application_context,
        contexts=tuple(contexts.values()),
        max_pdu=user.maximum_length or 0,
        roles={
            str(uid): (bool(item.scu_role), bool(item.scp_role))
            for uid, item in user.role_selection.items()
        },
        extended={str(item.uid): bytes(item.app_info or b"") for item in user.ext_neg},
        wants_window=user.async_ops_window is not None,
        implementation=version_name,
    )


def negotiate(
    request: AssociateRequest, services: Sequence[Service], caller: Caller, *, max_pdu: int
) -> Accepted:
    """Decide on every presentation context, and write the answer.

    Of the transfer syntaxes that a service can work with, the one that the requestor names first
    is taken: whatever comes is kept as it is. Where we send, an uncompressed one is, if it is
    named: whatever is stored can be made that, and no compressed one is sure to be possible.

    Args:
        request: What was proposed.
        services: What is offered.
        caller: Who proposes, with its rights.
        max_pdu: The longest P-DATA PDU that we take, in bytes.
    """
    contexts: dict[int, Context] = {}
    refused: list[NotAccepted] = []
    answers = []
    for proposed in request.contexts:
        decided = _decide(proposed, services, caller, request)
        # Of a refused context the transfer syntax means nothing, but is there (PS3.8 9.3.3.2).
        result, syntax = _ACCEPTED, IMPLICIT_VR_LITTLE_ENDIAN
        if isinstance(decided, NotAccepted):
            result = decided.result
            refused.append(decided)
        else:
            syntax = decided.transfer_syntax
            contexts[decided.context_id] = decided
        name = syntax.encode("ascii")
        answers.append(
            _CONTEXT_RESULT.pack(0x21, 8 + len(name), proposed.context_id, result, 0x40, len(name))
            + name
        )
    application_context = APPLICATION_CONTEXT.encode("ascii")
    body = b"".join(
        [
            struct.pack(">HH", 1, 0),
            request.titles,
            bytes(32),
            _ITEM.pack(0x10, len(application_context)),
            application_context,
            *answers,
            _user_information(request, contexts.values(), max_pdu),
        ]
    )
    room = min(request.max_pdu or MAX_SENT_PDU, MAX_SENT_PDU) - _PDV_HEADER
    return Accepted(
        pdu=struct.pack(">BxI", 2, len(body)) + body,
        contexts=contexts,
        fragment_size=room & ~1,
        not_accepted=tuple(refused),
    )


def _decide(
    proposed: Proposed,
    services: Sequence[Service],
    caller: Caller,
    request: AssociateRequest,
) -> Context | NotAccepted:
    """The context, or why it is refused."""
    uid = proposed.abstract_syntax
    service = find_service(services, uid)
    refused = partial(NotAccepted, uid, proposed.transfer_syntaxes)
    if service is None:
        return refused(_ABSTRACT_SYNTAX, "not offered here")
    as_scu, as_scp = request.roles.get(uid, (True, False))
    asks = as_scu and (not service.right or service.right in caller.may)
    is_asked = as_scp and service.right_to_be_sent in caller.may
    if not (asks or is_asked):
        rights = _what_is_missing(service, as_scu=as_scu, as_scp=as_scp)
        named = " and ".join(f'"{right}"' for right in rights)
        why = f"its may lacks {named}" if rights else _NO_ROLE
        return refused(_USER_REJECTION, why, rights)
    for syntax in _ordered(proposed.transfer_syntaxes) if is_asked else proposed.transfer_syntaxes:
        if service.transfer_syntaxes is None or syntax in service.transfer_syntaxes:
            extended = b""
            if service.extended is not None and uid in request.extended:
                extended = service.extended(request.extended[uid])
            return Context(proposed.context_id, uid, syntax, service, asks, is_asked, extended)
    possible = tuple(sorted(service.transfer_syntaxes or ()))
    return refused(_TRANSFER_SYNTAX, "no usable transfer syntax", possible=possible)


def _what_is_missing(service: Service, *, as_scu: bool, as_scp: bool) -> tuple[str, ...]:
    """Rights that a peer needs for the roles that it proposes; none: no role is possible."""
    needed = [service.right] if as_scu else []
    if as_scp and service.right_to_be_sent is not None:
        needed.append(service.right_to_be_sent)
    return tuple(dict.fromkeys(needed))


def asked_for(request: AssociateRequest, services: Sequence[Service]) -> str:
    """The services that a peer asks for, by their names here, between commas."""
    found = (find_service(services, context.abstract_syntax) for context in request.contexts)
    names = {service.name if service else "what is not offered here" for service in found}
    return ", ".join(sorted(names))


def _ordered(syntaxes: Sequence[str]) -> list[str]:
    """As we like to send: explicit VR little endian, implicit, then as the requestor does."""
    return sorted(syntaxes, key=lambda syntax: _SENT_FIRST.get(syntax, len(_SENT_FIRST)))


def _items(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of the value of each item in ``body[start:end]`` (PS3.8 9.3.1)."""
    while start < end:
        if end - start < _ITEM.size:
            raise PeerError("an A-ASSOCIATE-RQ ends inside an item")
        kind, length = _ITEM.unpack_from(body, start)
        start += _ITEM.size
        if length > end - start:
            raise PeerError("an item of an A-ASSOCIATE-RQ reaches past what holds it")
        yield kind, start, start + length
        start += length


def _read_context(body: bytes, start: int, end: int) -> tuple[Proposed, int]:
    """A presentation context item, and how many sub-items it has."""
    if end - start < 4 or not body[start] & 1:
        raise PeerError("an A-ASSOCIATE-RQ has a presentation context without an odd ID")
    abstract_syntax, transfer_syntaxes, count = "", [], 0
    for kind, first, last in _items(body, start + 4, end):
        count += 1
        uid = _text(body[first:last])
        if not is_uid(uid):
            continue
        if kind == 0x30:
            abstract_syntax = uid
        elif kind == 0x40:
            transfer_syntaxes.append(uid)
    return Proposed(body[start], abstract_syntax, tuple(transfer_syntaxes)), count


def _read_user_information(body: bytes, start: int, end: int) -> tuple[UserInformationItem, str]:
    """What we negotiate of the user information, and the implementation version name.

    Common extended negotiation and user identity are not answered, which the Standard lets an
    acceptor do (PS3.7 D.3.3.6, D.3.3.7); a password that comes with them is not read.
    """
    kept = []
    version_name = ""
    named = 0
    for count, (kind, first, last) in enumerate(_items(body, start, end), 1):
        size = last - first
        if kind in (_MAXIMUM_LENGTH, _WINDOW) and size != 4:
            raise PeerError(f"a user information sub-item {kind:02X}H has {size} bytes")
        if kind in (_ROLE, _EXTENDED):
            named += 1
            uid_length = int.from_bytes(body[first : first + 2], "big")
            rest = size - 2 - uid_length
            uid = _text(body[first + 2 : first + 2 + uid_length])
            if rest < 0 or (kind == _ROLE and rest != 2) or not is_uid(uid):
                raise PeerError(f"a user information sub-item {kind:02X}H is malformed")
            if kind == _ROLE and max(body[last - 2 : last]) > 1:
                raise PeerError("an SCP/SCU role is neither 0 nor 1")
        if count > MAX_USER_ITEMS or named > MAX_ROLES:
            raise PeerError("an A-ASSOCIATE-RQ has too many user information sub-items")
        if kind == _VERSION_NAME:
            version_name = ascii(_text(body[first:last]))[1:-1][:16]
        elif kind in (_MAXIMUM_LENGTH, _WINDOW, _ROLE, _EXTENDED):
            kept.append(body[first - _ITEM.size : last])
    user = UserInformationItem()
    sub_items = b"".join(kept)
    user.decode(_ITEM.pack(0x50, len(sub_items)) + sub_items)
    return user, version_name


def _user_information(
    request: AssociateRequest, accepted: Iterable[Context], max_pdu: int
) -> bytes:
    maximum_length = MaximumLengthSubItem()
    maximum_length.maximum_length_received = max_pdu
    class_uid = ImplementationClassUIDSubItem()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version_name = ImplementationVersionNameSubItem()
    version_name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    user = UserInformationItem()
    user.user_data = [maximum_length, class_uid, version_name]
    if request.wants_window:
        window = AsynchronousOperationsWindowSubItem()
        window.maximum_number_operations_invoked = 1
        window.maximum_number_operations_performed = 1
        user.user_data.append(window)
    for uid, context in {context.abstract_syntax: context for context in accepted}.items():
        if uid in request.roles:
            role = SCP_SCU_RoleSelectionSubItem()
            role.sop_class_uid = uid
            role.scu_role, role.scp_role = int(context.peer_asks), int(context.peer_is_asked)
            user.user_data.append(role)
        if context.extended:
            item = SOPClassExtendedNegotiationSubItem()
            item.sop_class_uid = uid
            item.service_class_application_information = context.extended
            user.user_data.append(item)
    encoded: bytes = user.encode()
    return encoded


def _text(value: bytes) -> str:
    """ASCII without padding; what is not ASCII shows as U+FFFD and so matches nothing."""
    return value.decode("ascii", "replace").strip(" \x00")
