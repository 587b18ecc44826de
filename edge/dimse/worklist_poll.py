"""Another worklist SCP, asked again and again (PS3.4 K, as SCU): one source of the worklist.

Owns the query, and what its failing is called. It asks for everything from yesterday on, for night
shifts begin the day before. Promises that a renewal holds only what was answered whole: whatever
breaks in the middle leaves the items as they were. Answers that can't be read cost themselves only,
and are counted, as are those that lack what scanners need.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

from edge.cache.worklist import MOST_STEPS, Worklist
from edge.dicom.identifier import read_identifier, write_identifier
from edge.dicom.scheduled import MODALITY_WORKLIST, Step, query_for, steps_of
from edge.dicom.scheduled_check import flaws_of, repeated
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.proposal import Agreed, Proposal
from edge.dimse.requestor import Dialer, Requestor
from edge.errors import InvalidInstance, PeerError
from edge.others import WorklistSource

__all__ = ["PROPOSAL", "WorklistPoll"]

LOG = logging.getLogger(__name__)

PROPOSAL = Proposal(MODALITY_WORKLIST, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))
_MOST_BYTES = 64 * 1024**2
"""Of all answers to one query."""
_LONGEST = 600.0
"""Seconds that all queries may take together."""
_DAYS_BACK = 1
_PRIORITY_MEDIUM = 0
_FIRST_RETRY = 10.0
"""Seconds after a failure; doubled up to the interval, if that is longer."""
_REPEATED = "left out: it has the Study Instance UID and the Scheduled Procedure Step ID of another"


class WorklistPoll:
    """Asks one source.

    Args:
        source: Where it is, and what to ask of it.
        worklist: Gets the answers.
        dialer: Calls it.
        longest: Seconds that all queries may take together: each answer may take its own time.
    """

    def __init__(
        self,
        source: WorklistSource,
        worklist: Worklist,
        dialer: Dialer,
        *,
        longest: float = _LONGEST,
    ) -> None:
        self._source = source
        self._worklist = worklist
        self._dialer = dialer
        self._longest = longest

    async def run(self) -> None:
        """Ask until cancelled."""
        interval, retry = self._source.interval_seconds, _FIRST_RETRY
        while True:
            if await self.poll():
                pause, retry = interval, _FIRST_RETRY
            else:
                pause, retry = min(retry, interval), retry * 2
            await asyncio.sleep(pause)

    async def poll(self) -> bool:
        """Ask once; whether it was answered whole."""
        source = self._source
        steps: list[Step] = []
        problems: Counter[str] = Counter()
        try:
            async with (
                _ending(self._longest),
                self._dialer.call(source.peer, [PROPOSAL], calling=source.calling) as peer,
            ):
                context = _agreed(peer)
                for station in source.stations or ("",):
                    await self._ask(peer, context, station, steps, problems)
        except PeerError as error:
            await self._worklist.failed(source.name, _said(error))
            return False
        problems.update(f"on the list, but {flaws}" for flaws in map(flaws_of, steps) if flaws)
        problems[_REPEATED] += sum(1 for _ in repeated(("", step) for step in steps))
        await self._worklist.renew(source.name, steps, _told(problems))
        return True

    async def _ask(
        self,
        peer: Requestor,
        context: Agreed,
        station: str,
        steps: list[Step],
        problems: Counter[str],
    ) -> None:
        """Ask for what is scheduled for a station, or for all of them.

        Raises:
            PeerError: It was not answered whole.
        """
        today = self._worklist.today
        query = query_for(
            station=station,
            first_day=f"{today - timedelta(days=_DAYS_BACK):%Y%m%d}",
            last_day=f"{today + timedelta(days=self._source.days_ahead):%Y%m%d}",
        )
        values: Mapping[Element, int | str | bytes] = {
            Element.AFFECTED_SOP_CLASS_UID: MODALITY_WORKLIST,
            Element.PRIORITY: _PRIORITY_MEDIUM,
        }
        answers = peer.dialogue.requests(
            context.context_id,
            CommandField.C_FIND,
            values,
            write_identifier(query, context.transfer_syntax),
        )
        received = 0
        async with aclosing(answers):
            async for answer in answers:
                if not answer.is_pending:
                    if answer.status != Status.SUCCESS:
                        # Its comment may name a patient.
                        raise PeerError(f"it refuses the query with status {answer.status:04X}")
                    continue
                received += len(answer.data_set)
                if received > _MOST_BYTES:
                    raise PeerError("it answers with more than a worklist can have")
                if len(steps) > MOST_STEPS:
                    break  # and whoever renews says so
                try:
                    item = read_identifier(answer.data_set, context.transfer_syntax)
                    steps += steps_of(item)
                except InvalidInstance as error:
                    problems[str(error)] += 1


@asynccontextmanager
async def _ending(seconds: float) -> AsyncIterator[None]:
    """Raises `PeerError` after so long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise PeerError(f"its answers did not end within {seconds:g} s") from error


def _agreed(peer: Requestor) -> Agreed:
    context = peer.find(MODALITY_WORKLIST)
    if context is None:
        raise PeerError(
            "it does not offer a Modality Worklist to us",
            hint="allow this box there to query the worklist",
        )
    return context


def _said(error: PeerError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _told(problems: Mapping[str, int]) -> list[str]:
    return [
        f"{count} {'answer' if count == 1 else 'answers'}: {why}"
        for why, count in problems.items()
        if count
    ]
