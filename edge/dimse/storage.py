"""C-STORE, the Storage service (PS3.4 B), as SCP: whatever comes is kept, byte for byte.

Owns the way of a data set from the wire into `Admission.store_instance`, and of the outcome back as
a status. Every storage SOP class is taken, retired and private ones too, in every transfer syntax.
0000 is said after the instance is stored, also when it was there before or conflicts with another
of the same UID: it is safe. The data set is never held as a whole, and never looked into here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from edge.cache.admission import Admission, Outcome, Source
from edge.dicom.instance import Origin
from edge.dicom.part10 import file_meta
from edge.dicom.uids import is_storage_sop_class, is_uid
from edge.dimse.data_set import IncomingDataSet
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.services import Operation, Service
from edge.errors import (
    AccessDenied,
    EdgeError,
    InstanceMismatch,
    InvalidInstance,
    PeerError,
    StorageFull,
)

__all__ = ["storage_service"]

LOG = logging.getLogger(__name__)

# Looked through in this order: InstanceMismatch is an InvalidInstance.
_STATUSES: tuple[tuple[type[EdgeError], Status], ...] = (
    (StorageFull, Status.OUT_OF_RESOURCES),
    (InstanceMismatch, Status.DATA_SET_DOES_NOT_MATCH),
    (InvalidInstance, Status.CANNOT_UNDERSTAND),
    (AccessDenied, Status.NOT_AUTHORISED),
)


def storage_service(admission: Admission) -> Service:
    """The service as the registry wants it; *admission* is where instances go."""
    return Service(
        name="storage",
        supports=is_storage_sop_class,
        handlers={CommandField.C_STORE: _Storage(admission).store},
        right="store",
        right_to_be_sent="retrieve",
    )


class _Storage:
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def store(self, operation: Operation) -> None:
        status, comment = await self._outcome(operation)
        if status != Status.SUCCESS:
            caller, number = operation.caller, operation.command.message_id
            LOG.warning(
                "%s: message %d was not stored, status %04X: %s", caller, number, status, comment
            )
        await operation.respond(status, comment=comment)

    async def _outcome(self, operation: Operation) -> tuple[Status, str]:
        command, context = operation.command, operation.context
        sop_class_uid = command.text(Element.AFFECTED_SOP_CLASS_UID)
        sop_uid = command.text(Element.AFFECTED_SOP_INSTANCE_UID)
        if operation.data_set is None:
            return Status.CANNOT_UNDERSTAND, "C-STORE came without a data set"
        if sop_class_uid != context.abstract_syntax:
            return Status.SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the context"
        if not is_uid(sop_uid):
            return Status.INVALID_SOP_INSTANCE, "Affected SOP Instance UID is not a UID"
        caller = operation.caller
        meta = file_meta(
            sop_class_uid=sop_class_uid,
            sop_uid=sop_uid,
            transfer_syntax=context.transfer_syntax,
            source_ae=caller.ae_title,
            receiving_ae=caller.called,
        )
        try:
            async with aclosing(_part10(meta, operation.data_set)) as chunks:
                admitted = await self._admission.store_instance(
                    chunks,
                    Source(Origin.DIMSE, caller.ae_title),
                    sop_class_uid=sop_class_uid,
                    sop_uid=sop_uid,
                )
        except PeerError:
            raise
        except EdgeError as error:
            if operation.data_set.error is not None:
                raise operation.data_set.error from error
            for kind, status in _STATUSES:
                if isinstance(error, kind):
                    return status, str(error)
            return Status.PROCESSING_FAILURE, str(error)
        if admitted.outcome is Outcome.CONFLICT:
            LOG.warning("%s: an instance came with other bytes than before; both are kept", caller)
        return Status.SUCCESS, ""


async def _part10(meta: bytes, data_set: IncomingDataSet) -> AsyncGenerator[bytes, None]:
    yield meta
    async for piece in data_set:
        yield piece
