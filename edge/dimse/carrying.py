"""Instances to a destination over as many associations as it takes: for C-MOVE, and for people.

Owns the associations: what is proposed, how often one is tried anew, and how many run at a time,
which only holds if one `Carrying` serves all.
Promises that a destination that is slow or dead holds up nobody but those who send to it, and that
nothing is tried for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from edge.cache.opened import InstanceEntry
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse.messages import Element
from edge.dimse.negotiation import MAX_CONTEXTS
from edge.dimse.progress import Cancelled, RequestorGone
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.sending import BrokeOff, Offers, Sending, Told
from edge.errors import How, PeerError, PeerRefused
from edge.others import Peer

__all__ = ["PLAIN", "Carrying", "Turns", "planned"]

LOG = logging.getLogger(__name__)

MOST_MOVES: Final = 32
"""At a time; others wait."""
MOST_TO_ONE: Final = 4
"""Of them, to one destination: those that are slow leave room for others."""
_MOST_BREAKS: Final = 1
"""How often an association that breaks is followed by another."""
_MOST_BROKEN_OFF: Final = 8
"""Likewise, where it was we who broke it off."""
_ENDED: Final[Mapping[How, str]] = {
    How.UNREACHABLE: "the destination can't be reached",
    How.TLS: "the destination and this box do not agree on TLS",
    How.ABORTED: "the destination aborts the association",
    How.BROKEN: "the destination hangs up",
    How.SILENT: "the destination does not answer",
    How.STALLED: "the data come to a halt on the way to the destination",
    How.OTHER_PROTOCOL: "the destination does not speak DICOM at that port",
}
"""Why nothing goes there, as the doctor says it at length (`edge.dimse.doctor_ours`)."""
_REJECTED: Final[Mapping[tuple[int, ...], str]] = {
    (1, 3): "the destination does not know the AE title of this box",
    (1, 7): "the destination goes by another AE title",
    (3, 1): "the destination is too busy",
    (3, 2): "the destination is too busy",
}
"""By source and reason (PS3.8 9.3.4). Pages translate what stands here: ``study-reasons.js``."""
PLAIN: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
_USUAL: Final = (
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57"),
    *("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201"),
    *("1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.5"),
)
"""Proposed for what was never here, of which the archive did not say how it is stored."""


class Turns:
    """How many moves run at a time, in all and to one destination.

    Args:
        total: In all.
        each: To one destination.
    """

    def __init__(self, total: int = MOST_MOVES, each: int = MOST_TO_ONE) -> None:
        self._total = asyncio.Semaphore(total)
        self._each = each
        self._destinations: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn(self, destination: str) -> AsyncIterator[None]:
        """Wait for it, and have it."""
        own, users = self._destinations.get(destination) or (asyncio.Semaphore(self._each), 0)
        self._destinations[destination] = own, users + 1
        try:
            # Its own first: who waits for a slow destination takes nothing from others.
            async with own, self._total:
                yield
        finally:
            own, users = self._destinations.pop(destination)
            if users > 1:
                self._destinations[destination] = own, users - 1


class Carrying:
    """Carries instances.

    Args:
        retrieval: Opens them.
        transcoding: Makes them other transfer syntaxes.
        dialer: Calls destinations.
    """

    def __init__(self, retrieval: Retrieval, transcoding: Transcoding, dialer: Dialer) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._dialer = dialer
        self._turns = Turns()

    @asynccontextmanager
    async def turn(self, destination: Peer, progress: Told) -> AsyncIterator[None]:
        """Wait for a turn to carry something there, and have it.

        Who waits need not know yet what it is: that is looked up once it can go.

        Raises:
            Cancelled: Somebody asked to stop meanwhile.
        """
        async with AsyncExitStack() as stack:
            async with progress.patience():
                await stack.enter_async_context(self._turns.turn(destination.ae_title.strip()))
            yield

    async def carry(
        self,
        destination: Peer,
        entries: Sequence[InstanceEntry],
        progress: Told,
        values: Mapping[Element, int | str | bytes],
        what: str,
    ) -> None:
        """Send them, within a ``turn``; of each it is told what became of it.

        Args:
            destination: Where to.
            entries: Which.
            progress: Is told; may end the work.
            values: Elements of every C-STORE command beside the instance's own.
            what: On whose behalf, for the log.

        Raises:
            RequestorGone: Nobody waits for it any more.
            Cancelled: Somebody asked to stop.
        """
        sending = Sending(self._retrieval, self._transcoding, progress, values)
        for proposals, part in planned(await sending.recognised(entries)):
            await self._send_part(destination, proposals, deque(part), sending, progress, what)

    async def _send_part(
        self,
        destination: Peer,
        proposals: Sequence[Proposal],
        waiting: deque[InstanceEntry],
        sending: Sending,
        progress: Told,
        what: str,
    ) -> None:
        """Send what one association has contexts for, over another if that one breaks."""
        breaks = broken_off = 0
        while waiting:
            try:
                await self._associate(destination, proposals, waiting, sending, progress)
            except RequestorGone:
                raise
            except BrokeOff:
                broken_off += 1
                if broken_off <= _MOST_BROKEN_OFF:
                    continue
                why = "too many instances broke off"
            except PeerRefused as error:
                why = _REJECTED.get(error.codes[1:], "the destination rejects us")
                LOG.warning("%s to %s: %s", what, destination.ae_title, error)
            except PeerError as error:
                LOG.warning("%s to %s: %s", what, destination.ae_title, error)
                breaks += 1
                if breaks <= _MOST_BREAKS:
                    continue
                why = _ENDED.get(error.how, "the destination breaks the rules of DICOM")
            while waiting:
                await progress.fail(waiting.popleft().ref.sop_uid, why)

    async def _associate(
        self,
        destination: Peer,
        proposals: Sequence[Proposal],
        waiting: deque[InstanceEntry],
        sending: Sending,
        progress: Told,
    ) -> None:
        cancelled: Cancelled | None = None
        async with AsyncExitStack() as stack:
            associating = self._dialer.call(destination, proposals)
            async with progress.patience():
                requestor = await stack.enter_async_context(associating)
            offers = Offers(
                (context.context_id, context.abstract_syntax, context.transfer_syntax)
                for context in requestor.contexts.values()
            )
            try:
                await sending.send(requestor.dialogue, offers, waiting)
            except Cancelled as error:
                cancelled = error  # after an orderly release
        if cancelled is not None:
            raise cancelled


def planned(
    entries: Iterable[InstanceEntry],
) -> list[tuple[list[Proposal], list[InstanceEntry]]]:
    """The associations that it takes: what each proposes, and the instances that go over it.

    Every transfer syntax has a context of its own, so that the choice is ours, object by object:
    as it is stored, else explicit or implicit VR.
    """
    planned: list[tuple[dict[tuple[str, str], None], list[InstanceEntry]]] = []
    for entry in entries:
        stored = (entry.transfer_syntax,) if entry.transfer_syntax else _USUAL
        needed = {(entry.sop_class_uid, syntax): None for syntax in (*stored, *PLAIN)}
        for contexts, part in planned:
            if len(contexts.keys() | needed.keys()) <= MAX_CONTEXTS:
                contexts.update(needed)
                part.append(entry)
                break
        else:
            planned.append((needed, [entry]))
    return [
        ([Proposal(abstract, (syntax,)) for abstract, syntax in contexts], part)
        for contexts, part in planned
    ]
