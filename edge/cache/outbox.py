"""What peers are to be told by DIMSE, kept until it is said: the ledger of those messages.

Promises that what was put in is kept over reboots and weeks, that no message overtakes an earlier
one about the same SOP instance, and that each is said once, as far as the protocol lets: before one
goes out it is written down that the peer may have it, and that it has it already is then taken for
success. Says nothing itself (``dimse.outbox`` does).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from edge.cache.changes import Changes
from edge.cache.listing import Page
from edge.dicom.availability import notification
from edge.index import outbox, procedures
from edge.index.database import Database
from edge.index.outbox import Counts, Delivery, Message, PeerTrouble

__all__ = ["Counts", "Delivery", "Message", "Outbox", "PeerTrouble"]

_MOST = 100
"""Messages that are read at once."""
_KEEP = 30 * 86400.0
"""Seconds that it is known what became of a message."""


class Outbox:
    """The ledger.

    Args:
        database: The index.
        changes: Woken when something is to be said.
        ae_title: Ours, from which instances can be retrieved.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        *,
        ae_title: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._changes = changes
        self._ae_title = ae_title
        self._clock = clock

    @property
    def now(self) -> float:
        """POSIX seconds."""
        return self._clock()

    async def due_times(self) -> dict[str, float]:
        """Peers that something waits for, and when that is due; what is past is due now."""
        return await outbox.due_times(self._database, self.now)

    async def due(self, peer: str) -> list[Message]:
        """What a peer can be told now, at most one message about each SOP instance."""
        return await outbox.due(self._database, peer, self.now, _MOST)

    async def begin(self, message: Message) -> dict[str, Any] | None:
        """Write down that a message goes out; its attributes, or None if it need not.

        It need not if somebody dropped it, or nothing is left of the study that it is about.
        """
        if message.study_uid:
            steps = await procedures.steps_of(self._database, message.study_uid)
            instances = await procedures.available(self._database, message.study_uid)
            if not instances:
                await self.settle(message, Delivery.DROPPED, "nothing is left of the study")
                return None
            attributes = notification(message.study_uid, steps, instances, self._ae_title)
        else:
            attributes = msgspec.json.decode(zlib.decompress(message.attributes or b""))
        goes = await self._database.write(lambda db: outbox.mark_sent(db, message.message_id))
        return attributes if goes else None

    async def settle(
        self, message: Message, state: Delivery, reason: str = "", *, wait: float = 0.0
    ) -> None:
        """Write down what became of a message.

        Args:
            message: The message.
            state: What is known of it now.
            reason: The peer's words.
            wait: Seconds before it is sent again, if it is.
        """
        now = self.now
        retry_at = now + wait if state in (Delivery.DUE, Delivery.SENT) else 0.0
        await self._database.write(
            lambda db: outbox.settle(db, message.message_id, state, reason, retry_at, now)
        )

    async def reached(self, peer: str) -> None:
        """A peer listens."""
        await self._database.write(lambda db: outbox.reached(db, peer))

    async def not_reached(self, peer: str, reason: str, wait: Callable[[int], float]) -> int:
        """A peer does not listen; how often that was so in a row.

        Args:
            peer: AE title.
            reason: Why.
            wait: Seconds before the next try, from the number of those that failed.
        """
        known = {one.peer: one.tries for one in await outbox.troubles(self._database)}
        now, tries = self.now, known.get(peer, 0) + 1
        retry_at = now + wait(tries)
        await self._database.write(lambda db: outbox.fail_peer(db, peer, reason, retry_at, now))
        return tries

    async def counts(self) -> Counts:
        """How many messages wait, and were not delivered."""
        return await outbox.counts(self._database)

    async def troubles(self) -> list[PeerTrouble]:
        """Peers that can't be told what waits for them."""
        return await outbox.troubles(self._database)

    async def page(self, *, limit: int, offset: int) -> Page[Message]:
        """What was not delivered, the oldest first."""
        total, items = await outbox.page(self._database, limit=limit, offset=offset)
        return Page(total, items)

    async def retry(self, message_ids: Iterable[int] | None) -> int:
        """Send again what was refused, or waits, and now; None means all. How many."""
        chosen = None if message_ids is None else list(message_ids)
        done = await self._database.write(lambda db: outbox.retry(db, chosen))
        self._changes.wake()
        return done

    async def drop(self, message_ids: Iterable[int]) -> int:
        """Send these no more, nor what waits behind them about the same; how many that were."""
        chosen, now = list(message_ids), self.now
        return await self._database.write(lambda db: outbox.drop(db, chosen, now))

    async def tidy(self) -> None:
        """Forget what became of messages long ago."""
        before = self.now - _KEEP
        await self._database.write(lambda db: outbox.forget_before(db, before))
