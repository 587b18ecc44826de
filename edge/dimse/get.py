"""C-GET as SCP (PS3.4 C.4.3): the instances go to whoever asks, over the same association.

Owns which presentation contexts they may go over: those of storage classes whose SCP role the
requestor took (PS3.7 D.3.3.4). Which of them an instance takes is `Sending`'s choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from edge.cache.opened import InstanceEntry
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.dicom.identifier import IDENTIFIER_SYNTAXES
from edge.dimse.messages import CommandField, Element
from edge.dimse.progress import Progress
from edge.dimse.retrieve import Selection, agree_on_relations, levels_of, perform
from edge.dimse.sending import Offers, Sending
from edge.dimse.services import Operation, Service

__all__ = ["get_service"]

_GET = "3"


def get_service(selection: Selection, retrieval: Retrieval, transcoding: Transcoding) -> Service:
    """The service as the registry wants it."""
    return Service(
        name="retrieve by C-GET",
        supports=lambda uid: bool(levels_of(uid, _GET)),
        handlers={CommandField.C_GET: _Get(selection, retrieval, transcoding).get},
        right="retrieve",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
        extended=agree_on_relations,
    )


class _Get:
    def __init__(
        self, selection: Selection, retrieval: Retrieval, transcoding: Transcoding
    ) -> None:
        self._selection = selection
        self._retrieval = retrieval
        self._transcoding = transcoding

    async def get(self, operation: Operation) -> None:
        association = operation.association
        offers = Offers(
            (context.context_id, context.abstract_syntax, context.transfer_syntax)
            for context in association.contexts.values()
            if context.peer_is_asked
        )

        async def send(progress: Progress, entries: Sequence[InstanceEntry]) -> None:
            values = {Element.PRIORITY: operation.command.number(Element.PRIORITY) or 0}
            sending = Sending(self._retrieval, self._transcoding, progress, values)
            await sending.send(association.dialogue, offers, deque(entries))

        levels = levels_of(operation.context.abstract_syntax, _GET)
        await perform(operation, self._selection, levels, send)
