"""Storage Commitment Push Model as SCP (PS3.4 J.3): takes requests; the answer comes later.

Owns N-ACTION: what is asked is read, checked and kept before 0000 is answered. Everything that is
wrong with a request is said at once, by status and Error Comment. What was kept is reported by
`edge.dimse.commitment_reports`, over the association on which it was asked if that is still there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from edge.cache.commitments import MAX_INSTANCES, Asked, Commitments, CommitmentsFull
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, read_identifier
from edge.dicom.uids import is_uid
from edge.dimse.dialogue import Dialogue
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.services import Context, Operation, Ours, Service
from edge.errors import NotDicom, StorageFull

__all__ = ["STORAGE_COMMITMENT", "WELL_KNOWN_INSTANCE", "Askers", "storage_commitment_service"]

LOG = logging.getLogger(__name__)

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST = 1
"""Action Type ID (0000,1008), the only one (PS3.4 J.3.2.1.2)."""
MAX_BYTES = 4 * 1024 * 1024
"""Of a request."""
_REMEMBERED = 1000
"""Transactions of one association that are remembered with it."""


class Askers:
    """Associations on which something was asked, as long as they are there."""

    def __init__(self) -> None:
        self._asked: WeakKeyDictionary[Ours, dict[tuple[str, str], Context]] = WeakKeyDictionary()

    def note(self, operation: Operation, transaction_uid: str) -> None:
        """A transaction was asked for by this operation."""
        asked = self._asked.setdefault(operation.association, {})
        if len(asked) >= _REMEMBERED:
            del asked[next(iter(asked))]
        asked[operation.caller.ae_title, transaction_uid] = operation.context

    def take(self, peer: str, transaction_uid: str) -> tuple[Dialogue, Context] | None:
        """Where a transaction may be reported, and in which context; it is said once."""
        found = None
        for association, asked in list(self._asked.items()):
            context = asked.pop((peer, transaction_uid), None)
            if context is not None:
                found = association.dialogue, context
        return found


def storage_commitment_service(commitments: Commitments, askers: Askers) -> Service:
    """The service as the registry wants it.

    Args:
        commitments: Where requests are kept.
        askers: Remembers on which association they came.
    """
    return Service(
        name="storage commitment",
        supports=STORAGE_COMMITMENT.__eq__,
        handlers={CommandField.N_ACTION: _Requests(commitments, askers).take},
        right="commit",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
    )


class _Refused(Exception):
    """The request is answered with this status."""

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status


class _Requests:
    def __init__(self, commitments: Commitments, askers: Askers) -> None:
        self._commitments = commitments
        self._askers = askers

    async def take(self, operation: Operation) -> None:
        caller, number = operation.caller, operation.command.message_id
        try:
            asked = await self._keep(operation)
        except _Refused as refusal:
            LOG.warning(
                "%s: storage commitment %d was refused, status %04X: %s",
                *(caller, number, refusal.status, refusal),
            )
            await operation.respond(refusal.status, comment=str(refusal))
            return
        LOG.info("%s: asks for commitment of %d instances", caller, len(asked.instances))
        try:
            await operation.respond(Status.SUCCESS, values={Element.ACTION_TYPE_ID: REQUEST})
            self._askers.note(operation, asked.transaction_uid)
        finally:
            # Only now: the peer does not listen for a report before it has heard this answer.
            self._commitments.wake()

    async def _keep(self, operation: Operation) -> Asked:
        command = operation.command
        if command.text(Element.REQUESTED_SOP_CLASS_UID) != STORAGE_COMMITMENT:
            raise _Refused(Status.SOP_CLASS_NOT_SUPPORTED, "SOP class is not storage commitment")
        if command.text(Element.REQUESTED_SOP_INSTANCE_UID) != WELL_KNOWN_INSTANCE:
            raise _Refused(Status.NO_SUCH_SOP_INSTANCE, f"only {WELL_KNOWN_INSTANCE} is here")
        if command.number(Element.ACTION_TYPE_ID) != REQUEST:
            raise _Refused(Status.NO_SUCH_ACTION, "Action Type ID is not 1")
        if operation.data_set is None:
            raise _Refused(Status.NO_SUCH_ARGUMENT, "N-ACTION came without a data set")
        collected = bytearray()
        async for piece in operation.data_set:
            collected += piece
            if len(collected) > MAX_BYTES:
                raise _Refused(Status.RESOURCE_LIMITATION, f"more than {MAX_BYTES} bytes at once")
        # Thousands of items take a while.
        transaction_uid, instances = await asyncio.to_thread(
            _read, bytes(collected), operation.context.transfer_syntax
        )
        operation.concerns = [(sop, sop_class) for sop_class, sop in instances]
        asked = Asked(operation.caller.ae_title, transaction_uid, instances)
        try:
            await self._commitments.ask(asked)
        except CommitmentsFull as error:
            raise _Refused(Status.RESOURCE_LIMITATION, str(error)) from error
        except StorageFull as error:
            raise _Refused(Status.RESOURCE_LIMITATION, "the disk is full") from error
        return asked


def _read(data: bytes, transfer_syntax: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Transaction UID, and SOP Class UID and SOP Instance UID of each instance."""
    try:
        request = read_identifier(data, transfer_syntax)
    except NotDicom as error:
        raise _Refused(Status.PROCESSING_FAILURE, "the data set can't be read") from error
    transaction = _value(request, "00081195")
    if transaction is None:
        raise _Refused(Status.NO_SUCH_ARGUMENT, "Transaction UID (0008,1195) is missing")
    if not is_uid(transaction):
        raise _Refused(Status.INVALID_ARGUMENT_VALUE, "Transaction UID (0008,1195) is not a UID")
    sequence = request.get("00081199")
    if sequence is None:
        raise _Refused(Status.NO_SUCH_ARGUMENT, "Referenced SOP Sequence (0008,1199) is missing")
    listed = sequence.get("Value") or []
    if sequence.get("vr") != "SQ" or not listed:
        raise _Refused(
            Status.INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence (0008,1199) is empty"
        )
    if len(listed) > MAX_INSTANCES:
        raise _Refused(Status.RESOURCE_LIMITATION, f"more than {MAX_INSTANCES} instances at once")
    instances: dict[tuple[str, str], None] = {}
    for number, packed in enumerate(listed, 1):
        # Of a long sequence the items come as JSON, which takes a tenth of the memory.
        item = msgspec.json.decode(packed) if isinstance(packed, msgspec.Raw) else packed
        sop_class, sop = _value(item, "00081150") or "", _value(item, "00081155") or ""
        for tag, uid in (("0008,1150", sop_class), ("0008,1155", sop)):
            if not is_uid(uid):
                why = f"item {number} has no UID as ({tag})"
                raise _Refused(Status.INVALID_ARGUMENT_VALUE, why)
        instances[sop_class, sop] = None
    return transaction, tuple(instances)


def _value(attributes: Mapping[str, Any], tag: str) -> str | None:
    """The one value of an attribute that is text; None if it has none, or several."""
    values = attributes.get(tag, {}).get("Value") or []
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
