"""C-FIND on the Modality Worklist (PS3.4 K), as SCP: what is scheduled, from this box's own index.

Owns the way of an identifier to `Worklist.find`, and of what it found back, in one pending answer
each. No source is asked on the way: the worklist is served whether the line is up or not. Log lines
name peers, counts, and the keys that left nothing, never a patient.
"""

from __future__ import annotations

import asyncio
import logging

from edge.cache.worklist import Fit, Found, Worklist
from edge.dicom.identifier import IDENTIFIER_SYNTAXES
from edge.dicom.identifier_writer import IdentifierWriter
from edge.dicom.scheduled import MODALITY_WORKLIST
from edge.dimse.doctor_worklist import found_nothing, why_nothing
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.services import Operation, Service
from edge.errors import NotDicom, QueryError

__all__ = ["worklist_service"]

LOG = logging.getLogger(__name__)


def worklist_service(worklist: Worklist) -> Service:
    """The service as the registry wants it; *worklist* is what is served."""
    return Service(
        name="modality worklist",
        supports=MODALITY_WORKLIST.__eq__,
        handlers={CommandField.C_FIND: _Find(worklist).find},
        right="worklist",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
    )


class _Find:
    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist

    async def find(self, operation: Operation) -> None:
        caller, context = operation.caller, operation.context
        if operation.command.text(Element.AFFECTED_SOP_CLASS_UID) != context.abstract_syntax:
            comment = "SOP class is not that of the context"
            await operation.respond(Status.SOP_CLASS_NOT_SUPPORTED, comment=comment)
            return
        if operation.data_set is None:
            comment = "C-FIND came without an identifier"
            await operation.respond(Status.DATA_SET_DOES_NOT_MATCH, comment=comment)
            return
        try:
            asked = await operation.identifier()
            found = await self._worklist.find(asked)
        except NotDicom as error:
            LOG.warning("%s: a worklist query can't be read: %s", caller, error)
            await operation.respond(Status.CANNOT_UNDERSTAND, comment=str(error))
            return
        except QueryError as error:
            # Its words are for who asked: they repeat what was asked.
            LOG.warning("%s: a worklist query has a key that can't be understood", caller)
            await operation.respond(Status.DATA_SET_DOES_NOT_MATCH, comment=str(error))
            return
        charset = [str(term or "") for term in asked.get("00080005", {}).get("Value", ())]
        writer = IdentifierWriter(context.transfer_syntax, charset, is_lenient=True)
        answered = 0
        for answer, fit in zip(found.answers, found.fits, strict=True):
            if operation.is_cancelled:
                break
            # PS3.4 Table K.4-1: whether the optional keys were as good as required ones.
            status = Status.PENDING if fit is Fit.WHOLLY else Status.PENDING_KEYS_NOT_SUPPORTED
            await operation.respond(status, data_set=writer.write(answer))
            answered += 1
            await asyncio.sleep(0)  # others are served, and C-CANCEL is seen
        is_cut = operation.is_cancelled and answered < len(found.answers)
        _say(operation, found, answered)
        await operation.respond(Status.CANCELLED if is_cut else Status.SUCCESS)


def _say(operation: Operation, found: Found, answered: int) -> None:
    caller = operation.caller
    if found.ignored:
        keys = ", ".join(found.ignored[:_MOST_NAMED])
        LOG.info("%s: keys of its query that no worklist has are ignored: %s", caller, keys)
    if found.obstacles:
        why = why_nothing(found.obstacles)
        LOG.info("%s: none of %d scheduled steps was answered: %s", caller, found.listed, why)
        operation.finding = found_nothing(found.obstacles)
    else:
        LOG.info("%s: %d of %d scheduled steps were answered", caller, answered, found.listed)


_MOST_NAMED = 8
