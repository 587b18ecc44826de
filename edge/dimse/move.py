"""C-MOVE as SCP (PS3.4 C.4.2): the instances go to a peer that the requestor names.

Owns what is refused, and what the destination is told of who asked. Promises that a move ends with
its requestor; how instances get there is `edge.dimse.carrying`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.cache.opened import InstanceEntry
from edge.dicom.identifier import IDENTIFIER_SYNTAXES
from edge.dimse.carrying import Carrying
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.peers import Peers
from edge.dimse.progress import Progress
from edge.dimse.retrieve import Refused, Selection, agree_on_relations, levels_of, perform, refuse
from edge.dimse.services import Operation, Service
from edge.others import Peer

__all__ = ["move_service"]

_MOVE: Final = "2"


def move_service(selection: Selection, carrying: Carrying, peers: Peers) -> Service:
    """The service as the registry wants it; *peers* says where a destination is."""
    mover = _Move(selection, carrying, peers)
    return Service(
        name="retrieve by C-MOVE",
        supports=lambda uid: bool(levels_of(uid, _MOVE)),
        handlers={CommandField.C_MOVE: mover.move},
        right="retrieve",
        transfer_syntaxes=IDENTIFIER_SYNTAXES,
        extended=agree_on_relations,
    )


class _Move:
    def __init__(self, selection: Selection, carrying: Carrying, peers: Peers) -> None:
        self._selection = selection
        self._carrying = carrying
        self._peers = peers

    async def move(self, operation: Operation) -> None:
        title = operation.command.text(Element.MOVE_DESTINATION)
        destination = self._peers.find(title) if title else None
        if destination is None:
            operation.meant = meant = self._peers.alike(title)
            why = f"not known: add {title[:16]} as a peer with host and port"
            if meant == title:
                why = f"it is not said where {meant} is: name its host and port"
            elif meant:
                why = f"not known: {title[:16]}; but {meant} is: mind the case"
            await refuse(operation, Refused(Status.DESTINATION_UNKNOWN, why))
            return

        async def send(progress: Progress, entries: Sequence[InstanceEntry]) -> None:
            if entries:
                await self._send(operation, destination, progress, entries)

        levels = levels_of(operation.context.abstract_syntax, _MOVE)
        await perform(operation, self._selection, levels, send)

    async def _send(
        self,
        operation: Operation,
        destination: Peer,
        progress: Progress,
        entries: Sequence[InstanceEntry],
    ) -> None:
        command = operation.command
        values: dict[Element, int | str | bytes] = {
            Element.PRIORITY: command.number(Element.PRIORITY) or 0,
            Element.MOVE_ORIGINATOR_AE_TITLE: operation.caller.ae_title,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: command.message_id,
        }
        async with self._carrying.turn(destination, progress):
            await self._carrying.carry(destination, entries, progress, values, "C-MOVE")
