"""Modality Performed Procedure Step, as SCP (PS3.4 F.7), and its retrieval by N-GET (PS3.4 F.8).

Owns the way of N-CREATE and N-SET into `Procedures`, and of what it says back as a status. Success
is said after the step is durable. Log lines name no step and no patient. Event reports (PS3.4 F.9)
are not offered: who wants to know is told by N-CREATE and N-SET (``forward_mpps`` of a peer).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from edge.cache.procedures import Procedures
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, write_identifier
from edge.dicom.procedure import MPPS, MPPS_RETRIEVE, Fault
from edge.dicom.uids import is_uid
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.services import Operation, Service
from edge.errors import EdgeError, InvalidInstance, NotDicom, PeerError, StepRefused, StorageFull

__all__ = ["mpps_service"]

LOG = logging.getLogger(__name__)

MAX_STEP_BYTES: Final = 8 * 1024 * 1024
"""Of a data set; each instance that a step names takes some 130."""
MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID (0000,0903) of PS3.4 Table F.7.2-2."""
_MOST_TAGS: Final = 64

_STATUSES: Final = {
    Fault.MISSING: Status.MISSING_ATTRIBUTE,
    Fault.EMPTY: Status.MISSING_ATTRIBUTE_VALUE,
    Fault.INVALID: Status.INVALID_ATTRIBUTE_VALUE,
    Fault.FINAL: Status.PROCESSING_FAILURE,
    Fault.DUPLICATE: Status.DUPLICATE_SOP_INSTANCE,
    Fault.UNKNOWN: Status.NO_SUCH_SOP_INSTANCE,
    Fault.FULL: Status.RESOURCE_LIMITATION,
}


def mpps_service(procedures: Procedures) -> Service:
    """The service as the registry wants it; *procedures* is where steps go."""
    mpps = _Mpps(procedures)
    return Service(
        name="modality performed procedure step",
        supports=frozenset({MPPS, MPPS_RETRIEVE}).__contains__,
        handlers={
            CommandField.N_CREATE: mpps.create,
            CommandField.N_SET: mpps.set,
            CommandField.N_GET: mpps.get,
        },
        right="worklist",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
    )


class _Refused(Exception):
    """A request is answered so."""

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status


class _Mpps:
    def __init__(self, procedures: Procedures) -> None:
        self._procedures = procedures

    async def create(self, operation: Operation) -> None:
        """N-CREATE."""
        asked: dict[str, Any] = {}
        try:
            _check_class(operation, MPPS, Element.AFFECTED_SOP_CLASS_UID)
            sop_uid = _affected(operation)
            asked = await _data_set(operation)
            made = await self._procedures.create(sop_uid, asked, operation.caller.ae_title)
        except (_Refused, EdgeError) as error:
            await _refuse(operation, error, asked)
            return
        # Named in any case: it may be ours (PS3.7 10.1.5.1.4).
        values: dict[Element, int | str | bytes] = {Element.AFFECTED_SOP_INSTANCE_UID: made}
        await operation.respond(Status.SUCCESS, values=values)

    async def set(self, operation: Operation) -> None:
        """N-SET."""
        asked: dict[str, Any] = {}
        try:
            _check_class(operation, MPPS, Element.REQUESTED_SOP_CLASS_UID)
            asked = await _data_set(operation)
            left_out = await self._procedures.change(_requested(operation), asked)
        except (_Refused, EdgeError) as error:
            await _refuse(operation, error, asked)
            return
        if not left_out:
            await operation.respond(Status.SUCCESS)
            return
        await operation.respond(
            Status.ATTRIBUTE_LIST_ERROR,  # a warning: the others were set
            values={Element.ATTRIBUTE_IDENTIFIER_LIST: _tags(left_out)},
            comment="some attributes may not be changed, and were not",
        )

    async def get(self, operation: Operation) -> None:
        """N-GET."""
        try:
            _check_class(operation, MPPS_RETRIEVE, Element.REQUESTED_SOP_CLASS_UID)
            step = await self._procedures.attributes(_requested(operation))
            wanted = _asked_for(operation)
            shown = {tag: step[tag] for tag in wanted if tag in step} if wanted else step
            syntax = operation.context.transfer_syntax
            data_set = write_identifier(shown, syntax, is_lenient=True)
        except (_Refused, EdgeError) as error:
            await _refuse(operation, error, {})
            return
        if absent := tuple(tag for tag in wanted if tag not in step):
            await operation.respond(
                Status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,  # PS3.4 F.8.2.1.4
                values={Element.ATTRIBUTE_IDENTIFIER_LIST: _tags(absent)},
                data_set=data_set,
            )
            return
        await operation.respond(Status.SUCCESS, data_set=data_set)


def _check_class(operation: Operation, sop_class_uid: str, element: Element) -> None:
    """The command is one of the context's SOP class, and that class has it."""
    if operation.context.abstract_syntax != sop_class_uid:
        name = operation.command.name
        raise _Refused(Status.UNRECOGNISED_OPERATION, f"{name} is not of this SOP class")
    # A step is of one SOP class, by whichever it is retrieved.
    if operation.command.text(element) not in (sop_class_uid, MPPS):
        raise _Refused(Status.NO_SUCH_SOP_CLASS, "the SOP class is not that of the context")


def _affected(operation: Operation) -> str:
    """The UID that a device gives a step; empty if it leaves that to us."""
    sop_uid = operation.command.text(Element.AFFECTED_SOP_INSTANCE_UID)
    if sop_uid and not is_uid(sop_uid):
        raise _Refused(Status.INVALID_SOP_INSTANCE, "the SOP Instance UID is not a UID")
    return sop_uid


def _requested(operation: Operation) -> str:
    return operation.command.text(Element.REQUESTED_SOP_INSTANCE_UID)


async def _data_set(operation: Operation) -> dict[str, Any]:
    try:
        return await operation.identifier(MAX_STEP_BYTES)
    except NotDicom as error:
        raise _Refused(Status.PROCESSING_FAILURE, str(error)) from error


async def _refuse(operation: Operation, error: Exception, asked: dict[str, Any]) -> None:
    """Say why not, as exactly as the protocol lets."""
    if isinstance(error, PeerError):
        raise error
    status, data_set = Status.PROCESSING_FAILURE, b""
    values: dict[Element, int | str | bytes] = {}
    if isinstance(error, _Refused):
        status = error.status
    elif isinstance(error, StorageFull):
        status = Status.RESOURCE_LIMITATION
    elif isinstance(error, StepRefused):
        status = _STATUSES[Fault(error.fault)]
        if error.fault == Fault.FINAL:
            values[Element.ERROR_ID] = MAY_NO_LONGER_BE_UPDATED
        elif error.fault in (Fault.MISSING, Fault.EMPTY):
            values[Element.ATTRIBUTE_IDENTIFIER_LIST] = _tags(error.tags)
        elif error.fault == Fault.INVALID:
            data_set = _echo(operation, asked, error.tags)
    LOG.warning(
        "%s: %s was refused, status %04X: %s",
        operation.caller,
        operation.command.name,
        status,
        error,
    )
    await operation.respond(status, values=values, data_set=data_set, comment=str(error))


def _echo(operation: Operation, asked: dict[str, Any], tags: Iterable[str]) -> bytes:
    """The attributes whose values can't be (PS3.7 C.5.8); empty if they can't even be written."""
    try:
        shown = {tag: asked[tag] for tag in tags if tag in asked}
        syntax = operation.context.transfer_syntax
        return write_identifier(shown, syntax, is_lenient=True) if shown else b""
    except InvalidInstance:
        return b""


def _tags(tags: Iterable[str]) -> bytes:
    """Attribute Identifier List (0000,1005), VR AT."""
    numbers = [int(part, 16) for tag in list(tags)[:_MOST_TAGS] for part in (tag[:4], tag[4:])]
    return b"".join(number.to_bytes(2, "little") for number in numbers)


def _asked_for(operation: Operation) -> tuple[str, ...]:
    """The attributes of an N-GET; empty: all of them (PS3.7 10.1.2.1.3)."""
    raw = operation.command.elements.get(Element.ATTRIBUTE_IDENTIFIER_LIST, b"")
    found = [
        f"{int.from_bytes(raw[at : at + 2], 'little'):04X}"
        f"{int.from_bytes(raw[at + 2 : at + 4], 'little'):04X}"
        for at in range(0, len(raw) - len(raw) % 4, 4)
    ]
    return tuple(dict.fromkeys(found))
