"""A study to a DICOM peer because a person said so: C-STORE, as for who asks by C-MOVE.

Owns what is under way and what became of it, while the box runs. Promises that nobody waits for it
at the door: it is asked for, and goes on by itself; that it can be stopped, at once while it waits,
else after the instance that is on the line; that none takes another one along; and that the audit
has each, with who wanted it and where it went.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from edge.access.audit.entry import Actor
from edge.cache.gifts import Destination, Gift, GiftState
from edge.cache.retrieval import Retrieval
from edge.cache.tally import Tally, counting
from edge.dimse.carrying import Carrying
from edge.dimse.peers import Peers
from edge.dimse.progress import Cancelled, Patience
from edge.dimse.quiet import kind_and_place
from edge.errors import DecisionRefused, EdgeError, InstanceNotFound
from edge.others import Peer

__all__ = ["Ended", "Giving"]

LOG = logging.getLogger(__name__)

_KEPT: Final = 200
"""Of those that ended, the newest."""
_MOST_WAITING: Final = 200

Ended = Callable[[Actor, Gift, Tally], None]
"""Told of each as it ends."""


class _Hearing:
    """Hears what becomes of each instance of a gift, and may end it."""

    def __init__(self, gift: Gift) -> None:
        self._gift = gift
        self._reasons: Counter[str] = Counter()
        self._patience = Patience()

    @property
    def is_cancelled(self) -> bool:
        return self._gift.state is GiftState.STOPPED

    def stop(self) -> None:
        """Wait for nothing more, and send nothing more."""
        self._gift.state = GiftState.STOPPED
        self._patience.end()

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        if self.is_cancelled:
            raise Cancelled
        async with self._patience.wait():
            yield

    async def complete(self, *, warning: bool = False) -> None:  # noqa: ARG002 - `Told` has it
        self._gift.sent += 1

    async def fail(self, sop_uid: str, why: str) -> None:  # noqa: ARG002 - likewise
        self._gift.failed += 1
        self._reasons[why] += 1
        ((self._gift.reason, _),) = self._reasons.most_common(1)

    def end(self, why: str = "") -> None:
        """Nothing more comes of it; *why* if it broke off."""
        gift = self._gift
        if gift.sent == gift.instances and not gift.failed:
            # Also if it was stopped, or broke off, behind the last instance.
            gift.state = GiftState.DONE
            return
        if why:
            gift.reason = gift.reason or why
            gift.failed = max(gift.failed, 1)
        if gift.state is not GiftState.STOPPED:
            gift.state = GiftState.FAILED


class Giving:
    """Gives studies to peers.

    Args:
        retrieval: Knows what there is of a study.
        carrying: Carries it.
        peers: Says where they are.
        ended: Told of each as it ends.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        carrying: Carrying,
        peers: Peers,
        ended: Ended,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retrieval = retrieval
        self._carrying = carrying
        self._peers = peers
        self._ended = ended
        self._clock = clock
        self._numbers = itertools.count(1)
        self._gifts: dict[int, Gift] = {}
        self._hearings: dict[int, _Hearing] = {}
        """Of those that are under way."""
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way."""
        return not self._hearings

    def destinations(self) -> list[Destination]:
        """Peers that can be called, by name."""
        found = {peer.ae_title.strip(): peer.name for peer in self._peers.reachable()}
        return [Destination(title, name) for title, name in sorted(found.items())]

    def of(self, study_uid: str) -> list[Gift]:
        """What is known of a study, the newest first."""
        return [one for one in reversed(self._gifts.values()) if one.study_uid == study_uid]

    async def give(self, study_uid: str, ae_title: str, actor: Actor) -> Gift:
        """Begin; it goes on by itself.

        Raises:
            DecisionRefused: There is no such peer, too much waits already, or nothing is sent now.
            InstanceNotFound: There is no such study.
            CloudError: It is not known here, and the archive can't be asked now.
        """
        entries = await self._retrieval.instances(study_uid)
        # From here on nothing is awaited: of two wishes at once, the second finds the first.
        if self._tasks is None:
            raise DecisionRefused(
                "what sends studies starts anew just now", hint="try again in a moment"
            )
        if not entries:
            raise InstanceNotFound("there is no such study")
        peer = self._peers.find(ae_title)
        if peer is None:
            raise DecisionRefused(
                "no peer that can be called has this AE title",
                hint="name a peer with its host and port",
            )
        title = peer.ae_title.strip()
        under_way = [one for one in self._gifts.values() if not one.ended]
        if len(under_way) >= _MOST_WAITING:
            raise DecisionRefused(f"{_MOST_WAITING} studies are on their way already")
        if any(one.study_uid == study_uid and one.peer == title for one in under_way):
            raise DecisionRefused("it is on its way there already")
        gift = Gift(next(self._numbers), study_uid, title, actor.name, self._clock())
        gift.instances = len(entries)
        self._keep(gift)
        hearing, tally = _Hearing(gift), Tally()
        self._hearings[gift.number] = hearing
        task = self._tasks.create_task(self._carry(gift, peer, hearing, tally), name="give")
        task.add_done_callback(lambda done: self._end(done, gift, actor, tally))
        return gift

    def stop(self, study_uid: str, number: int) -> bool:
        """Stop one; whether it was under way."""
        gift, hearing = self._gifts.get(number), self._hearings.get(number)
        if gift is None or hearing is None or gift.study_uid != study_uid:
            return False
        hearing.stop()
        return True

    async def run(self) -> None:
        """Carry what is given, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def _keep(self, gift: Gift) -> None:
        self._gifts[gift.number] = gift
        ended = [number for number, one in self._gifts.items() if one.ended]
        for number in ended[: max(0, len(ended) - _KEPT)]:
            del self._gifts[number]

    async def _carry(self, gift: Gift, peer: Peer, hearing: _Hearing, tally: Tally) -> str:
        """All of one; why it broke off, or nothing."""
        try:
            with counting(tally):
                await self._send(gift, peer, hearing)
        except Cancelled:
            return ""
        except EdgeError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - it must not take the others along
            LOG.error("a study to %s: %s", gift.peer, kind_and_place(error))
            return "a defect: see the log"
        return ""

    async def _send(self, gift: Gift, peer: Peer, hearing: _Hearing) -> None:
        async with self._carrying.turn(peer, hearing):
            # Many may wait, and each has thousands of instances: they are looked up when it can go.
            async with hearing.patience():
                entries = await self._retrieval.instances(gift.study_uid)
            if not entries:
                raise InstanceNotFound("it is not here any more")
            gift.instances = len(entries)
            if gift.state is GiftState.WAITING:
                gift.state = GiftState.SENDING
            await self._carrying.carry(peer, entries, hearing, {}, "a study")

    def _end(self, done: asyncio.Task[str], gift: Gift, actor: Actor, tally: Tally) -> None:
        """It is over; even what was cancelled before its first step comes by here."""
        why = "the box was stopped" if done.cancelled() else done.result()
        self._hearings.pop(gift.number).end(why)
        gift.ended = self._clock()
        self._ended(actor, gift, tally)
