"""How a dead letter is offered to the archive again, or no more: each an entry of one transaction.

Says whether there was something to change: what is refused no more may be under way just now.
"""

from __future__ import annotations

from typing import Any

from edge.index import disputes, remedies
from edge.index.database import Connection
from edge.index.disputes import Dispute

__all__ = ["give_up", "retry", "supply", "transcode"]


def retry(db: Connection, one: Dispute, *, as_stored: bool) -> bool:
    """Once more, at once; *as_stored*: itself, and no copy of it."""
    if not disputes.retry(db, one.instance_id):
        return False  # a copy of it may be under way
    if as_stored:
        remedies.drop(db, one.instance_id)
    return True


def transcode(db: Connection, one: Dispute, transfer_syntax: str) -> bool:
    """As a copy in another transfer syntax."""
    if not disputes.retry(db, one.instance_id):
        return False
    remedies.transcode(db, one.instance_id, transfer_syntax)
    return True


def supply(db: Connection, one: Dispute, attributes: dict[str, Any]) -> bool:
    """As a copy with attributes that it lacks."""
    if not disputes.retry(db, one.instance_id):
        return False
    remedies.supply(db, one.instance_id, attributes)
    return True


def give_up(db: Connection, one: Dispute, reason: str, now: float) -> bool:
    """No more."""
    return disputes.give_up(db, one.instance_id, reason, now)
