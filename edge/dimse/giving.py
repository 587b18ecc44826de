"""A study to a DICOM peer because a person said so: C-STORE, as for who asks by C-MOVE.

Owns what is under way and what became of it, while the box runs. Promises that nobody waits for it
at the door: it is asked for, and goes on by itself; that it can be stopped, after the instance that
is on the line; and that the audit has each, with who wanted it and where it went.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from edge.access.audit.entry import Actor
from edge.cache.gifts import Destination, Gift, GiftState
from edge.cache.retrieval import Retrieval
from edge.cache.tally import Tally, counting
from edge.config import Peer
from edge.dimse.carrying import Carrying
from edge.dimse.peers import Peers
from edge.dimse.progress import Cancelled
from edge.errors import DecisionRefused, EdgeError, InstanceNotFound

__all__ = ["Ended", "Giving"]

_KEPT: Final = 200
"""Of those that ended, the newest."""
_MOST_WAITING: Final = 200

Ended = Callable[[Actor, Gift, Tally], None]
"""Told of each as it ends."""


class _Hearing:
    """Hears what becomes of each instance of a gift."""

    def __init__(self, gift: Gift) -> None:
        self._gift = gift
        self._reasons: Counter[str] = Counter()

    @property
    def is_cancelled(self) -> bool:
        return self._gift.state is GiftState.STOPPED

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        if self.is_cancelled:
            raise Cancelled
        yield

    async def complete(self, *, warning: bool = False) -> None:  # noqa: ARG002 - `Told` has it
        self._gift.sent += 1

    async def fail(self, sop_uid: str, why: str) -> None:  # noqa: ARG002 - likewise
        self._gift.failed += 1
        self._reasons[why] += 1
        ((self._gift.reason, _),) = self._reasons.most_common(1)


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
        self._tasks: asyncio.TaskGroup | None = None

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
            DecisionRefused: There is no such peer, or too much waits already.
            InstanceNotFound: There is no such study.
        """
        peer = self._peers.find(ae_title)
        if peer is None or self._tasks is None:
            raise DecisionRefused(
                "no peer that can be called has this AE title",
                hint="name a peer with its host and port",
            )
        under_way = [one for one in self._gifts.values() if not one.ended]
        if len(under_way) >= _MOST_WAITING:
            raise DecisionRefused(f"{_MOST_WAITING} studies are on their way already")
        if any(one.study_uid == study_uid and one.peer == ae_title for one in under_way):
            raise DecisionRefused("it is on its way there already")
        if not (entries := await self._retrieval.instances(study_uid)):
            raise InstanceNotFound("there is no such study")
        gift = Gift(next(self._numbers), study_uid, ae_title, actor.name, self._clock())
        gift.instances = len(entries)
        self._keep(gift)
        self._tasks.create_task(self._carry(gift, peer, actor), name="give")
        return gift

    def stop(self, study_uid: str, number: int) -> bool:
        """Stop one; whether it was under way."""
        gift = self._gifts.get(number)
        if gift is None or gift.study_uid != study_uid or gift.ended:
            return False
        gift.state = GiftState.STOPPED
        return True

    async def run(self) -> None:
        """Carry what is given, until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.Event().wait()
        finally:
            self._tasks = None

    def _keep(self, gift: Gift) -> None:
        self._gifts[gift.number] = gift
        ended = [number for number, one in self._gifts.items() if one.ended]
        for number in ended[: max(0, len(ended) - _KEPT)]:
            del self._gifts[number]

    async def _carry(self, gift: Gift, peer: Peer, actor: Actor) -> None:
        with counting(Tally()) as tally:
            try:
                entries = await self._retrieval.instances(gift.study_uid)
                gift.instances = len(entries)
                if gift.state is GiftState.WAITING:
                    gift.state = GiftState.SENDING
                await self._carrying.carry(peer, entries, _Hearing(gift), {}, "a study")
            except Cancelled:
                pass
            except EdgeError as error:
                gift.reason = gift.reason or str(error)
                gift.failed = max(gift.failed, 1)
            finally:
                if gift.state is not GiftState.STOPPED:
                    whole = gift.sent == gift.instances and not gift.failed
                    gift.state = GiftState.DONE if whole else GiftState.FAILED
                gift.ended = self._clock()
                self._ended(actor, gift, tally)
