"""C-FIND, the query half of Query/Retrieve (PS3.4 C.4.1), as SCP.

Owns the way of an identifier to the catalogue, and of what is found back, one pending answer for
each result, as rows come from the index. Answers hold what was asked for, and what the Standard
wants in each: unique keys, Retrieve AE Title, Instance Availability. They are in the character set
of the request where that can hold them. There is no limit to how many there are; a peer stops them
by C-CANCEL. Log lines and comments name attributes, never a value.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from edge.cache.catalogue import Catalogue
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, IdentifierWriter
from edge.dicom.query import vr_of
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.query_model import FIND_MODELS, Asked, BadIdentifier, Extension, Knowledge, read
from edge.dimse.services import Operation, Service
from edge.errors import EdgeError, NotDicom, PeerError

__all__ = ["query_service"]

LOG = logging.getLogger(__name__)

_TURN = 8
"""Answers after which others have their turn, and a C-CANCEL can be heard."""
_LEVEL, _RETRIEVE_AE_TITLE, _AVAILABILITY = "00080052", "00080054", "00080056"


def query_service(catalogue: Catalogue) -> Service:
    """The service as the registry wants it; *catalogue* is where is searched."""
    return Service(
        name="query",
        supports=FIND_MODELS.__contains__,
        handlers={CommandField.C_FIND: _Query(catalogue).find},
        right="query",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
        extended=Extension.answer,
    )


class _Query:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._knowledge = Knowledge(catalogue.can_match, catalogue.is_kept)

    async def find(self, operation: Operation) -> None:
        status, comment, tag = Status.SUCCESS, "", ""
        try:
            status = await self._answer(operation, await self._read(operation))
        except PeerError:
            raise
        except BadIdentifier as error:
            status, comment, tag = error.status, str(error), error.tag
        except NotDicom:
            status, comment = Status.CANNOT_UNDERSTAND, "the identifier can't be read"
        except EdgeError as error:
            status, comment = Status.UNABLE_TO_PROCESS, "the search failed; the log says more"
            LOG.error("%s: a search failed: %s", operation.caller, type(error).__name__)
        values: dict[Element, int | str | bytes] = {}
        if tag:
            number = int(tag, 16)
            values[Element.OFFENDING_ELEMENT] = b"".join(
                half.to_bytes(2, "little") for half in divmod(number, 0x10000)
            )
        if comment:
            LOG.warning(
                "%s: message %d was not answered, status %04X: %s",
                operation.caller,
                operation.command.message_id,
                status,
                comment,
            )
        await operation.respond(status, values=values, comment=comment)

    async def _read(self, operation: Operation) -> Asked:
        context = operation.context
        identifier = await operation.identifier()
        extension = Extension.agreed(context.extended)
        return read(identifier, FIND_MODELS[context.abstract_syntax], extension, self._knowledge)

    async def _answer(self, operation: Operation, asked: Asked) -> Status:
        writer = IdentifierWriter(operation.context.transfer_syntax, asked.charset, is_lenient=True)
        shape = _Shape(asked, operation.caller.called)
        pending = Status.PENDING if asked.is_supported else Status.PENDING_KEYS_NOT_SUPPORTED
        count = 0
        async with aclosing(self._catalogue.search(asked.query)) as results:
            async for result in results:
                if operation.is_cancelled:
                    return Status.CANCELLED
                await operation.respond(pending, data_set=writer.write(shape.of(result)))
                count += 1
                if not count % _TURN:
                    await asyncio.sleep(0)
        return Status.CANCELLED if operation.is_cancelled else Status.SUCCESS


class _Shape:
    """What the answers to one request look like."""

    def __init__(self, asked: Asked, ae_title: str) -> None:
        unknown = {
            tag: {"vr": "SQ" if isinstance(vr, Mapping) else vr} for tag, vr in asked.keys.items()
        }
        # Zero-length, unless a result says more (PS3.4 C.2.2.1.3).
        unknown |= {tag: {"vr": vr_of(tag)} for tag in (*asked.unique, _AVAILABILITY)}
        self._blank: dict[str, Any] = unknown
        self._said: dict[str, Any] = {
            _LEVEL: {"vr": "CS", "Value": [str(asked.query.level)]},
            _RETRIEVE_AE_TITLE: {"vr": "AE", "Value": [ae_title]},
        }
        self._sequences = {tag: vr for tag, vr in asked.keys.items() if isinstance(vr, Mapping)}

    def of(self, result: Mapping[str, Any]) -> dict[str, Any]:
        answer = {**self._blank, **result, **self._said}
        for tag, keys in self._sequences.items():
            answer[tag] = _asked_for(answer[tag], keys)
        return answer


def _asked_for(sequence: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """A sequence whose items hold what was asked for of them, and no more (PS3.4 C.2.2.2.6)."""
    items = []
    for item in sequence.get("Value", ()):
        shown: dict[str, Any] = {}
        for tag, vr in keys.items():
            found = (item or {}).get(tag)
            if isinstance(vr, Mapping):
                shown[tag] = _asked_for(found or {}, vr)
            else:
                shown[tag] = found or {"vr": vr}
        items.append(shown)
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
