"""What push, verify and the link ask of a ledger, and of what opens instances.

A box has the index behind it (`ArchiveLedger`, `Retrieval`), a courier's place a part of a bundle
(`CarriedLedger`, `CarriedParts`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from edge.cache.ledger import Owed, Settlement
from edge.cache.opened import InstanceEntry, OpenInstance

__all__ = ["Ledger", "Opener", "StateLedger"]


class Ledger(Protocol):
    """What one archive is owed; see ``ArchiveLedger`` for what each means."""

    async def owed(
        self, now: float, *, max_bytes: int, max_count: int, skip: Collection[int] = ()
    ) -> list[Owed]:
        """What to send next."""

    async def choose_previews(self) -> int:
        """Let first, middle and last instance of series go before the rest; how many series."""

    async def unverified(self, now: float, *, max_count: int) -> list[Owed]:
        """What should be asked about again."""

    async def remarked(self, instance_ids: Collection[int]) -> set[int]:
        """Those of which the archive said more than that it stored them."""

    async def next_due(self, now: float) -> float | None:
        """When the earliest retry is due that is not due yet."""

    async def mark_sent(self, instance_ids: Sequence[int]) -> None:
        """Committed before their bytes go out."""

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write down what became of instances."""


class StateLedger(Protocol):
    """Keeps how the way to an archive is."""

    async def set_archive_state(
        self, name: str, *, online: bool, reason: str = "", lasting: bool = False
    ) -> None:
        """Note it; *lasting*: until a person does something."""


class Opener(Protocol):
    """Opens what is sent."""

    def open_instance(self, entry: InstanceEntry) -> AbstractAsyncContextManager[OpenInstance]:
        """Open an instance; see ``Retrieval``."""
