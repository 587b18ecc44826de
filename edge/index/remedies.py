"""What is sent in place of an instance that the archive refuses as it is.

A remedy says how the copy differs, and, once that was sent, by which digest it is known again. The
instance itself is never touched: while it has a remedy, the archive has an equal and not its bytes,
so it is not evicted. Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.index.database import Connection, Database
from edge.index.lookup import json_list

__all__ = ["Remedy", "drop", "find", "note_sent", "remedy_of", "supply", "transcode"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """How a copy differs from its instance."""

    transfer_syntax: str
    """Empty: that of the instance."""
    attributes: Mapping[str, Any]
    """Those that are supplied, in the DICOM JSON model."""
    sent_digest: bytes | None = None
    """SHA-256 of the data set that was sent last; None before."""


async def find(database: Database, instance_ids: Iterable[int]) -> dict[int, Remedy]:
    """The remedies of these instances, of those that have one."""
    rows = await database.read(
        "SELECT instance_id, transfer_syntax, attributes, sent_digest FROM remedies"
        " WHERE instance_id IN (SELECT value FROM json_each(?))",
        (json_list(instance_ids),),
    )
    return {number: remedy_of(*rest) for number, *rest in rows}


def remedy_of(transfer_syntax: str, attributes: str, sent_digest: bytes | None) -> Remedy:
    """A row of the table as a value."""
    return Remedy(transfer_syntax, msgspec.json.decode(attributes), sent_digest)


def transcode(db: Connection, instance_id: int, transfer_syntax: str) -> None:
    """The copy has this transfer syntax; what was supplied in it stays."""
    db.execute(
        "INSERT INTO remedies (instance_id, transfer_syntax, attributes) VALUES (?, ?, '{}')"
        " ON CONFLICT (instance_id) DO UPDATE SET transfer_syntax = excluded.transfer_syntax",
        (instance_id, transfer_syntax),
    )


def supply(db: Connection, instance_id: int, attributes: Mapping[str, Any]) -> None:
    """These attributes stand in the copy, beside those that were supplied before."""
    db.execute(
        "INSERT INTO remedies (instance_id, transfer_syntax, attributes) VALUES (?1, '', ?2)"
        " ON CONFLICT (instance_id) DO UPDATE SET attributes = json_patch(attributes, ?2)",
        (instance_id, msgspec.json.encode(attributes).decode()),
    )


def drop(db: Connection, instance_id: int) -> None:
    """The instance is sent as it is, from now on."""
    db.execute("DELETE FROM remedies WHERE instance_id = ?", (instance_id,))


def note_sent(db: Connection, instance_id: int, digest: bytes) -> None:
    """Remember what is going out; committed before the first byte does."""
    db.execute("UPDATE remedies SET sent_digest = ? WHERE instance_id = ?", (digest, instance_id))
