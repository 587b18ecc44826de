"""Sees who associates, who is turned away, and what is asked for, and has it in the audit.

Owns how an operation of PS3.7 becomes an entry. Promises to wait for nothing: an entry of an
operation is on the disk within a second of its answer. C-ECHO is of no concern. What a query asks
for stands in the sealed record, and in no log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydicom.datadict import keyword_for_tag

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome, Subject
from edge.access.audit.recorder import Audit
from edge.access.certificates import sha256
from edge.cache.gifts import Gift, GiftState
from edge.cache.tally import Tally
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.negotiation import Accepted
from edge.dimse.peers import Caller, Cause, Refusal
from edge.dimse.services import Operation

__all__ = ["DimseWitness"]

_OF_NO_CONCERN: Final = frozenset({Cause.LIMIT, Cause.PROTOCOL})
"""Why an association is refused that says nothing of who somebody is."""
_WHAT: Final = {
    CommandField.C_STORE: Event.RECEIVED,
    CommandField.C_FIND: Event.QUERIED,
    CommandField.C_MOVE: Event.SENT,
    CommandField.C_GET: Event.SENT,
    CommandField.N_ACTION: Event.QUERIED,
    CommandField.N_CREATE: Event.PERFORMED,
    CommandField.N_SET: Event.PERFORMED,
    CommandField.N_GET: Event.PERFORMED,
}
_REFUSED: Final = frozenset(
    {Status.NOT_AUTHORISED, Status.DESTINATION_UNKNOWN, Status.NO_SUCH_SOP_INSTANCE}
)
_NOT_WHOLLY: Final = 0xB000
"""Of C-MOVE and C-GET: sub-operations failed (PS3.4 C.4.2.1.5)."""
_STUDY, _PATIENT_ID, _PATIENT_NAME = "0020000D", "00100020", "00100010"
_SCHEDULED: Final = "00400270"
_LEVEL: Final = "00080052"
_MOST_KEYS: Final = 40


class DimseWitness:
    """A `Witness` for the DICOM door.

    Args:
        audit: The record.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def refused(self, calling: str, called: str, host: str, refusal: Refusal) -> None:
        """An association was refused; only for reasons of security."""
        if refusal.cause not in _OF_NO_CONCERN:
            actor = Actor(ascii(calling)[1:-1], Kind.PEER, address=host)
            self._suspect(actor, "A-ASSOCIATE", refusal.why, target=ascii(called)[1:-1])

    def handshake_failed(self, host: str, why: str) -> None:
        """Somebody could not prove who it is over TLS, or spoke none."""
        self._suspect(Actor("", Kind.PEER, address=host), "TLS handshake", why)

    def connected(self, caller: Caller, accepted: Accepted, certificate: bytes | None) -> Actor:
        """An association was accepted, perhaps without all that was proposed; who it is.

        Args:
            caller: The peer.
            accepted: What was agreed on.
            certificate: That it showed over TLS, in DER; None if it showed none.
        """
        actor = Actor(
            caller.ae_title,
            Kind.PEER,
            role="stranger" if caller.is_stranger else "peer",
            proof="AE title and address" if certificate is None else "certificate",
            token="" if certificate is None else sha256(certificate),
            address=caller.host,
            ae_title=caller.ae_title,
        )
        self._audit.note(
            Entry(at=self._audit.clock(), event=Event.CONNECTED, actor=actor, what="association")
        )
        if lacking := sorted({right for each in accepted.not_accepted for right in each.rights}):
            self._suspect(actor, "presentation context", f"its may lacks {', '.join(lacking)}")
        return actor

    def begins(self, actor: Actor, operation: Operation) -> Tally:
        """An operation begins; what counts what it is about."""
        if operation.command.field not in (CommandField.C_MOVE, CommandField.C_GET):
            return Tally()
        target = _target(operation)

        def begun(study_uid: str) -> None:
            entry = Entry(
                at=self._audit.clock(),
                event=Event.SENDING,
                actor=actor,
                what=operation.command.name,
                about=Subject(study_uid),
                target=target,
            )
            self._audit.note(entry)

        return Tally(begun=begun)

    def ended(self, actor: Actor, operation: Operation, tally: Tally) -> None:
        """An operation was answered, or was not."""
        event = _WHAT.get(CommandField(operation.command.field))
        if event is None:
            return
        outcome = _outcome_of(operation, event)
        reason = operation.comment if operation.status is not None else "it was not answered"
        counted = tally.stored if event is Event.RECEIVED else tally.opened
        fields: dict[str, Any] = {
            "event": event,
            "actor": actor,
            "outcome": outcome,
            "what": _name(operation),
            "target": _target(operation),
            "reason": "" if outcome is Outcome.SUCCESS else reason,
        }
        note, now = self._audit.note, self._audit.clock()
        if event is Event.QUERIED or event is Event.PERFORMED:
            about, query = _subject(operation.asked), _query(operation)
            note(Entry(at=now, about=about, query=query, **fields), operation.concerns)
        elif not counted:
            note(Entry(at=now, **fields))
        for study_uid, seen in counted.items():
            note(Entry(at=now, about=Subject(study_uid), **fields), seen)

    def gave(self, actor: Actor, gift: Gift, tally: Tally) -> None:
        """A study that a person sent to a peer went there, or did not."""
        outcome = Outcome.SUCCESS if gift.state is GiftState.DONE else Outcome.FAILED
        why = "it was stopped; " if gift.state is GiftState.STOPPED else ""
        why += f"{gift.sent} of {gift.instances} instances were taken"
        fields: dict[str, Any] = {
            "event": Event.SENT,
            "actor": actor,
            "outcome": outcome,
            "what": "C-STORE",
            "target": gift.peer,
            "reason": "" if outcome is Outcome.SUCCESS else f"{why}; {gift.reason}".rstrip("; "),
        }
        for study_uid in tally.opened or (gift.study_uid,):
            entry = Entry(at=self._audit.clock(), about=Subject(study_uid), **fields)
            self._audit.note(entry, tally.opened.get(study_uid, ()))

    def _suspect(self, actor: Actor, what: str, reason: str, target: str = "") -> None:
        self._audit.suspect(
            Entry(
                at=self._audit.clock(),
                event=Event.REFUSED,
                actor=actor,
                outcome=Outcome.REFUSED,
                what=what,
                reason=reason,
                target=target,
            )
        )


def _name(operation: Operation) -> str:
    """The operation, and of which service it is where its name does not tell."""
    name, service = operation.command.name, operation.context.service.name
    return name if name in ("C-STORE", "C-MOVE", "C-GET") else f"{name}, {service}"


def _target(operation: Operation) -> str:
    return operation.command.text(Element.MOVE_DESTINATION)


def _outcome_of(operation: Operation, event: Event) -> Outcome:
    status = operation.status
    if status is None or (event is Event.SENT and status == _NOT_WHOLLY):
        return Outcome.FAILED
    if status in (Status.SUCCESS, Status.CANCELLED) or _is_warning(status):
        return Outcome.SUCCESS
    return Outcome.REFUSED if status in _REFUSED else Outcome.FAILED


def _is_warning(status: int) -> bool:
    """PS3.7 C.1.3 and C.4.2.1.5: it was done, and there is something to say of it."""
    return status in (0x0001, 0x0107, 0x0116) or status >> 12 == 0xB


def _subject(asked: Mapping[str, Any]) -> Subject:
    """Whose step it is, as the device says; of a query, nobody's."""
    items = asked.get(_SCHEDULED, {}).get("Value") or [{}]
    first = items[0] if isinstance(items[0], Mapping) else {}
    study = _values(first.get(_STUDY)) if first else []
    if not study:
        return Subject()
    return Subject(
        study[0],
        ", ".join(_values(asked.get(_PATIENT_ID))),
        ", ".join(_values(asked.get(_PATIENT_NAME))),
    )


def _query(operation: Operation) -> str:
    """What was asked for: every key that has a value."""
    if operation.command.field != CommandField.C_FIND:
        return ""
    return "&".join(list(_keys(operation.asked))[:_MOST_KEYS])


def _keys(asked: Mapping[str, Any], path: str = "") -> Iterator[str]:
    separator = "\\"
    for tag, element in asked.items():
        name = path + (keyword_for_tag(int(tag, 16)) or tag)
        for item in element.get("Value", ()) if element.get("vr") == "SQ" else ():
            if isinstance(item, Mapping):
                yield from _keys(item, f"{name}.")
        if texts := _values(element):
            yield f"{name}={separator.join(texts)}"


def _values(element: Mapping[str, Any] | None) -> list[str]:
    found = []
    for value in (element or {}).get("Value", ()):
        if isinstance(value, Mapping):  # a person's name, or an item
            value = value.get("Alphabetic", "")  # noqa: PLW2901
        if value not in (None, ""):
            found.append(str(value))
    return found
