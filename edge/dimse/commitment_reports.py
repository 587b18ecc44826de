"""Reports of storage commitment: N-EVENT-REPORT, as soon as a transaction is decided (PS3.4 J.3.3).

Owns who is told when. Wakes on `Changes`, has the index decide, and reports: over the association
on which it was asked if that is still there, else over one that we ask for. A peer that is away or
refuses is tried again, less and less often, over restarts, until it heard the report or days have
passed. Nothing here is remembered but associations: what is to be reported stands in the index.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from edge.cache.changes import Changes
from edge.cache.commitments import Commitments, Due, Verdict
from edge.cache.steadiness import Steadiness
from edge.dicom.identifier import write_identifier
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse.dialogue import Dialogue
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.peers import Peers
from edge.dimse.proposal import Agreed, Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.services import Context
from edge.dimse.storage_commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, Askers
from edge.errors import InvalidInstance, PeerError
from edge.others import Peer

__all__ = ["PROPOSAL", "CommitmentReports"]

LOG = logging.getLogger(__name__)

ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event Type ID (0000,1002), PS3.4 J.3.3.1.1."""
AT_ONCE = 4
"""Peers that are called at the same time."""
GATHER = 0.3
"""Seconds after a change until it is looked at: more of them come, and who asked may hang up."""
_LONGEST = 3600.0
"""Seconds without a look at the index."""
PROPOSAL = Proposal(
    STORAGE_COMMITMENT,
    (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN),
    as_scp=True,
    as_scu=False,
)


class CommitmentReports:
    """The reporter.

    Args:
        commitments: Knows what is to be reported.
        askers: Knows associations that are still there.
        peers: Knows where peers are.
        dialer: Calls them.
        ae_title: Ours, from which what is committed can be retrieved.
        changes: Wakes it.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        commitments: Commitments,
        askers: Askers,
        peers: Peers,
        dialer: Dialer,
        ae_title: str,
        changes: Changes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._commitments = commitments
        self._askers = askers
        self._peers = peers
        self._dialer = dialer
        self._ae_title = ae_title.strip()
        self._changes = changes
        self._clock = clock
        self._steadiness = Steadiness(clock)
        self._called: set[str] = set()

    async def run(self) -> None:
        """Decide and report until cancelled."""
        loop = asyncio.get_running_loop()
        tidied = -_LONGEST
        self._called.clear()
        with self._changes.subscribe() as woken:
            async with asyncio.TaskGroup() as group:
                while True:
                    if loop.time() - tidied >= _LONGEST and self._steadiness.holds():
                        tidied = loop.time()
                        await self._commitments.tidy()
                    await woken.wait(await self._look(group))
                    await asyncio.sleep(GATHER)

    async def step(self) -> None:
        """Decide and report what is due, once."""
        async with asyncio.TaskGroup() as group:
            await self._look(group)

    async def _look(self, group: asyncio.TaskGroup) -> float:
        """Decide, and begin to report; seconds until the next look, if nothing changes before."""
        moments = [await self._commitments.decide()]
        for peer in await self._commitments.due_peers():
            if peer not in self._called and len(self._called) < AT_ONCE:
                self._called.add(peer)
                group.create_task(self._report_to(peer), name=f"commitment report to {peer}")
        moments.append(await self._commitments.next_retry())
        now = self._clock()
        return min([_LONGEST, *(max(it - now, 0.0) for it in moments if it is not None)])

    async def _report_to(self, peer: str) -> None:
        """Tell one peer what it can be told now; then somebody else's turn may come."""
        try:
            left = [one for one in await self._commitments.due(peer) if not await self._here(one)]
            if left:
                await self._call(peer, left)
        finally:
            self._called.discard(peer)
            self._changes.wake()

    async def _here(self, one: Due) -> bool:
        """Report where it was asked; False if it has to be reported elsewhere."""
        place = self._askers.take(one.peer, one.transaction_uid)
        if place is None:
            return False
        dialogue, context = place
        try:
            return not await self._report(one, dialogue, context)
        except PeerError as error:
            LOG.info("%s: its association ended before the report: %s", one.peer, error)
            return False

    async def _call(self, peer: str, reports: Sequence[Due]) -> None:
        """Have an association with a peer, and report all over it.

        Where a report breaks the association, it comes last from then on; if others went over it
        before, what is left is tried at once.
        """
        answers = 0
        try:
            place = self._peers.find(peer)
            if place is None:
                self._dialer.casebook.nowhere(peer, STORAGE_COMMITMENT)
            where = _found(place)
            async with self._dialer.call(where, [PROPOSAL]) as association:
                context = _accepted(association.find(STORAGE_COMMITMENT))
                for one in reports:
                    try:
                        why = await self._report(one, association.dialogue, context)
                        answers += 1
                    except PeerError as error:
                        await self._commitments.not_reported(one, str(error))
                        raise
                    if why:
                        self._failed(peer, await self._commitments.not_reported(one, why), why)
        except PeerError as error:
            given_up, why = 0, str(error)
            if not answers:
                given_up = await self._commitments.unreachable(peer, why)
            self._failed(peer, given_up, why)

    async def _report(self, one: Due, dialogue: Dialogue, context: Context | Agreed) -> str:
        """Tell the peer, if all is still decided; why it did not take it, or nothing.

        Crash order: the peer answers -> it is noted. After a crash between the two the peer is told
        once more, which PS3.4 J.3.3 lets happen.

        Raises:
            PeerError: The association ended, or the peer did not answer in time.
        """
        verdict = await self._commitments.verdict(one)
        if verdict is None:
            return ""
        # Thousands of items take a while.
        try:
            data_set = await asyncio.to_thread(
                _data_set, one.transaction_uid, verdict, self._ae_title, context.transfer_syntax
            )
        except InvalidInstance as error:
            return str(error)
        response = await dialogue.request(
            context.context_id,
            CommandField.N_EVENT_REPORT,
            {
                Element.AFFECTED_SOP_CLASS_UID: STORAGE_COMMITMENT,
                Element.AFFECTED_SOP_INSTANCE_UID: WELL_KNOWN_INSTANCE,
                Element.EVENT_TYPE_ID: FAILURES_EXIST if verdict.failed else ALL_COMMITTED,
            },
            data_set,
        )
        if response.status != Status.SUCCESS:
            return f"it answered the report with status {response.status:04X}"
        LOG.info(
            "%s: was told that %d instances are committed, and %d are not",
            *(one.peer, len(verdict.committed), len(verdict.failed)),
        )
        if verdict.failed:
            reasons = Counter(int(reason) for *_, reason in verdict.failed)
            self._dialer.casebook.not_committed(one.peer, reasons)
        await self._commitments.reported(one, verdict)
        return ""

    @staticmethod
    def _failed(peer: str, given_up: int, why: str) -> None:
        LOG.warning("%s: storage commitment can't be reported: %s", peer, why)
        if given_up:
            LOG.error("%s: %d reports of storage commitment are given up", peer, given_up)


def _found(peer: Peer | None) -> Peer:
    if peer is None:
        raise PeerError("no [[dimse.peer]] says the host of a peer with this AE title")
    return peer


def _accepted(context: Agreed | None) -> Agreed:
    if context is None:
        raise PeerError("it does not accept reports: its presentation context for them is refused")
    return context


def _data_set(transaction_uid: str, verdict: Verdict, ae_title: str, transfer_syntax: str) -> bytes:
    """Event Information (PS3.4 J.3.3.1.2)."""
    attributes: dict[str, Any] = {"00081195": _uid(transaction_uid)}
    if verdict.committed:
        attributes["00080054"] = {"vr": "AE", "Value": [ae_title]}
        items = [_item(*one) for one in verdict.committed]
        attributes["00081199"] = {"vr": "SQ", "Value": items}
    if verdict.failed:
        items = [
            {**_item(sop_class, sop), "00081197": {"vr": "US", "Value": [int(reason)]}}
            for sop_class, sop, reason in verdict.failed
        ]
        attributes["00081198"] = {"vr": "SQ", "Value": items}
    return write_identifier(attributes, transfer_syntax)


def _item(sop_class_uid: str, sop_uid: str) -> dict[str, Any]:
    return {"00081150": _uid(sop_class_uid), "00081155": _uid(sop_uid)}


def _uid(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}
