"""Tells peers what waits for them: performed procedure steps, and which instances are available.

Owns when a peer is called, and what its answers mean. Each peer is called by itself, and one that
is away is tried again and again, for as long as it takes. What a peer answers to one message holds
up only what is about the same SOP instance. A message whose answer did not come may have arrived:
it is sent again, and "it is here already" is then as good as success.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from edge.cache.changes import Changes
from edge.cache.outbox import Delivery, Message, Outbox
from edge.cloud.retry import Backoff
from edge.dicom.identifier import write_identifier
from edge.dicom.procedure import MPPS
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse.dialogue import Response
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.mpps import MAY_NO_LONGER_BE_UPDATED
from edge.dimse.proposal import Proposal
from edge.dimse.quiet import kind_and_place
from edge.dimse.requestor import Dialer, Requestor
from edge.errors import InvalidInstance, PeerError, StorageFull
from edge.others import Peer

__all__ = ["SYNTAXES", "Messenger", "WhereIs"]

LOG = logging.getLogger(__name__)

SHORTEST, LONGEST = 5.0, 600.0
"""Seconds before another try."""
_LONGEST_LOOK = 600.0
_BREATH = 0.2
_PAUSE = 60.0
SYNTAXES: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_FIELDS: Final = {"N-CREATE": CommandField.N_CREATE, "N-SET": CommandField.N_SET}
_WARNINGS: Final = frozenset(
    {
        Status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
        Status.ATTRIBUTE_LIST_ERROR,
        Status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
    }
)
"""After which the peer has it (PS3.7 C.4)."""
_FOR_GOOD: Final = frozenset(
    {
        Status.NO_SUCH_ATTRIBUTE,
        Status.INVALID_ATTRIBUTE_VALUE,
        Status.DUPLICATE_SOP_INSTANCE,
        Status.NO_SUCH_SOP_INSTANCE,
        Status.INVALID_SOP_INSTANCE,
        Status.CLASS_INSTANCE_CONFLICT,
        Status.MISSING_ATTRIBUTE,
        Status.MISSING_ATTRIBUTE_VALUE,
        Status.MISTYPED_ARGUMENT,
    }
)
"""What is wrong with the message itself (PS3.7 C.5): it would be so again. The rest is the peer's
own trouble, or a setting there: it is asked again."""
_NAMES: Final = {status: status.name.lower().replace("_", " ") for status in Status}


class WhereIs(Protocol):
    """Knows where peers are: `Peers`."""

    def find(self, ae_title: str) -> Peer | None:
        """The peer of this AE title that can be called."""


class Messenger:
    """Sends what is in the outbox.

    Args:
        outbox: What is to be said.
        peers: Where.
        dialer: Calls them.
        changes: Wakes it.
        backoff: Of peers and messages alike.
    """

    def __init__(
        self,
        outbox: Outbox,
        peers: WhereIs,
        dialer: Dialer,
        changes: Changes,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._outbox = outbox
        self._peers = peers
        self._dialer = dialer
        self._changes = changes
        self._backoff = backoff or Backoff(SHORTEST, LONGEST)
        self._calling: set[str] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        with self._changes.subscribe() as woken:
            async with asyncio.TaskGroup() as group:
                while True:
                    wait = _LONGEST_LOOK
                    now = self._outbox.now
                    for peer, moment in (await self._outbox.due_times()).items():
                        if peer in self._calling:
                            continue  # rings when it is done
                        if moment <= now:
                            self._calling.add(peer)
                            group.create_task(self._call(peer), name=f"tell {peer}")
                        else:
                            wait = min(wait, moment - now)
                    await asyncio.sleep(_BREATH)
                    await woken.wait(max(wait - _BREATH, 0.0))

    async def _call(self, peer: str) -> None:
        """Tell a peer all that is due; no trouble with it is another's."""
        try:
            await self.tell(peer)
        except StorageFull as error:
            LOG.error("%s: what was said can't be written down: %s", peer, error)
            await asyncio.sleep(_PAUSE)
        except Exception as error:  # noqa: BLE001 - the other peers are told nevertheless
            LOG.error("%s: it could not be told: %s", peer, kind_and_place(error))
            await asyncio.sleep(_PAUSE)
        finally:
            self._calling.discard(peer)
            self._changes.wake()

    async def tell(self, peer: str) -> int:
        """Call a peer, and tell it all that is due; how many messages were settled.

        Raises:
            StorageFull: What was said can't be written down.
        """
        messages = await self._outbox.due(peer)
        place = self._peers.find(peer)
        if not messages:
            return 0
        if place is None:
            self._dialer.casebook.nowhere(peer, messages[0].sop_class_uid)
            await self._not_reached(peer, "no peer of the configuration that says where it is")
            return 0
        classes = {one.sop_class_uid for one in messages}
        proposals = [Proposal(uid, SYNTAXES) for uid in sorted(classes)]
        settled = 0
        try:
            async with self._dialer.call(place, proposals) as called:
                await self._outbox.reached(peer)
                while messages:
                    for message in messages:
                        await self._send(called, message)
                        settled += 1
                    messages = [
                        one for one in await self._outbox.due(peer) if one.sop_class_uid in classes
                    ]
        except PeerError as error:
            await self._not_reached(peer, str(error))
        return settled

    async def _not_reached(self, peer: str, reason: str) -> None:
        tries = await self._outbox.not_reached(peer, reason, self._backoff.delay)
        level = logging.WARNING if tries == 1 else logging.INFO
        LOG.log(level, "%s: it can't be told what waits for it: %s", peer, reason)

    async def _send(self, called: Requestor, message: Message) -> None:
        """Say one message, and write down what became of it.

        Raises:
            PeerError: The association is lost; the message is sent again, after the others.
        """
        attributes = await self._outbox.begin(message)
        if attributes is None:
            return
        wait = self._backoff.delay(message.tries + 1)
        context = called.find(message.sop_class_uid)
        if context is None:
            why = "the peer does not take this SOP class"
            await self._outbox.settle(message, Delivery.DUE, why, wait=wait)
            return
        try:
            # What a device said against the Standard is passed on as it is, or left empty.
            data_set = await asyncio.to_thread(
                write_identifier, attributes, context.transfer_syntax, is_lenient=True
            )
        except InvalidInstance as error:
            await self._outbox.settle(message, Delivery.REFUSED, str(error))
            return
        except Exception as error:  # noqa: BLE001 - what is said of others goes on
            why = f"it could not be written ({kind_and_place(error)})"
            LOG.error("%s: %s: %s", message.peer, message.operation, why)
            await self._outbox.settle(message, Delivery.DUE, why, wait=wait)
            return
        try:
            response = await called.dialogue.request(
                context.context_id, _FIELDS[message.operation], _values(message), data_set
            )
        except PeerError as error:
            await self._outbox.settle(message, Delivery.SENT, str(error), wait=wait)
            raise
        state = _verdict(message, response)
        if state is not Delivery.DONE:
            LOG.warning(
                "%s: %s was not taken, status %04X",
                message.peer,
                message.operation,
                response.status,
            )
        await self._outbox.settle(message, state, _words(response), wait=wait)


def _values(message: Message) -> dict[Element, int | str | bytes]:
    if message.operation == "N-SET":
        return {
            Element.REQUESTED_SOP_CLASS_UID: message.sop_class_uid,
            Element.REQUESTED_SOP_INSTANCE_UID: message.sop_uid,
        }
    return {
        Element.AFFECTED_SOP_CLASS_UID: message.sop_class_uid,
        Element.AFFECTED_SOP_INSTANCE_UID: message.sop_uid,
    }


def _verdict(message: Message, response: Response) -> Delivery:
    status = response.status
    if status == Status.SUCCESS or status in _WARNINGS or 0xB000 <= status <= 0xBFFF:
        return Delivery.DONE
    if status == Status.DUPLICATE_SOP_INSTANCE and message.operation == "N-CREATE":
        return Delivery.DONE  # a try before, of which no answer came; or the device told it, too
    if message.state is Delivery.SENT and _is_over(message, response):
        return Delivery.DONE
    return Delivery.REFUSED if status in _FOR_GOOD or _is_over(message, response) else Delivery.DUE


def _is_over(message: Message, response: Response) -> bool:
    """Whether the peer says that the step is over: this very message may have done that."""
    return (
        message.sop_class_uid == MPPS
        and response.status == Status.PROCESSING_FAILURE
        and response.command.number(Element.ERROR_ID) == MAY_NO_LONGER_BE_UPDATED
    )


def _words(response: Response) -> str:
    """The peer's own words; they may name a patient, and go to no log."""
    if response.status == Status.SUCCESS:
        return ""
    known: Sequence[str] = [name for status, name in _NAMES.items() if status == response.status]
    name = known[0] if known else "status"
    comment = f": {response.comment}" if response.comment else ""
    return f"{name} ({response.status:04X}){comment}"
