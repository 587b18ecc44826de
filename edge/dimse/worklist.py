"""C-FIND on the Modality Worklist (PS3.4 K), as SCP: what is scheduled, from this box's own index.

Owns the way of an identifier to `Worklist.find`, and of what it found back, in one pending answer
each. No source is asked on the way: the worklist is served whether the line is up or not. Log lines
name peers and counts, never what was asked or found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from edge.cache.worklist import Worklist
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, write_identifier
from edge.dicom.scheduled import MODALITY_WORKLIST
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.services import Operation, Service
from edge.errors import InvalidInstance, NotDicom, QueryError

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
            found = await self._worklist.find(await operation.identifier())
        except NotDicom as error:
            LOG.warning("%s: a worklist query can't be read: %s", caller, error)
            await operation.respond(Status.CANNOT_UNDERSTAND, comment=str(error))
            return
        except QueryError as error:
            # Its words are for who asked: they repeat what was asked.
            LOG.warning("%s: a worklist query has a key that can't be understood", caller)
            await operation.respond(Status.DATA_SET_DOES_NOT_MATCH, comment=str(error))
            return
        answered = 0
        for answer in found:
            if operation.is_cancelled:
                break
            data_set = _written(answer, context.transfer_syntax)
            await operation.respond(Status.PENDING, data_set=data_set)
            answered += 1
            await asyncio.sleep(0)  # others are served, and C-CANCEL is seen
        is_cut = operation.is_cancelled and answered < len(found)
        LOG.info("%s: %d of %d scheduled steps were answered", caller, answered, len(found))
        await operation.respond(Status.CANCELLED if is_cut else Status.SUCCESS)


def _written(answer: Mapping[str, Any], transfer_syntax: str) -> bytes:
    """The answer as a data set, less what some source had in it and can't be written."""
    try:
        return write_identifier(answer, transfer_syntax)
    except InvalidInstance:
        sound = {
            tag: element if _can_be_written(tag, element) else {"vr": element["vr"]}
            for tag, element in answer.items()
        }
        LOG.warning("a scheduled step is answered in part: a value of it can't be written")
        return write_identifier(sound, transfer_syntax)


def _can_be_written(tag: str, element: Mapping[str, Any]) -> bool:
    try:
        write_identifier({tag: element}, next(iter(IDENTIFIER_SYNTAXES)))
    except InvalidInstance:
        return False
    return True
