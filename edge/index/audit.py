"""What the index knows for the audit: how far that goes, whose studies these are, who is who.

The audit itself is no part of the index: a rebuilt one has forgotten its head, and goes on with
what is told it next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from edge.index.database import Connection, Database
from edge.index.lookup import json_list
from edge.index.names import NAME_OF_STUDY
from edge.index.remote import cursor, set_cursor

__all__ = ["AuditTable"]

_HEAD: Final = "audit"
_DAMAGE: Final = "audit damage"
_AT_ONCE: Final = 500


class AuditTable:
    """Remembers the audit's head, and that it was damaged; finds patients and people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self) -> tuple[int, bytes]:
        """Number and digest of the last entry that it was told of; 0 if it never was."""
        return _read(await cursor(self._database, _HEAD))

    async def set_head(self, number: int, digest: bytes) -> None:
        """Remember; never less than before, for a command may be quicker than the service."""

        def write(db: Connection) -> None:
            rows = db.execute("SELECT value FROM cursors WHERE name = ?", (_HEAD,)).fetchall()
            if number > _read(rows[0][0] if rows else None)[0]:
                set_cursor(db, _HEAD, f"{number} {digest.hex()}")

        await self._database.write(write)

    async def damage(self) -> str:
        """What `edge.access.audit.damage` keeps; empty if that is nothing."""
        return await cursor(self._database, _DAMAGE) or ""

    async def set_damage(self, text: str) -> None:
        """Keep it."""
        await self._database.write(lambda db: set_cursor(db, _DAMAGE, text))

    async def subjects(self, study_uids: Sequence[str]) -> Mapping[str, tuple[str, str, str]]:
        """Patient ID, name and accession number of those studies that are known."""
        found: dict[str, tuple[str, str, str]] = {}
        for at in range(0, len(study_uids), _AT_ONCE):
            some = study_uids[at : at + _AT_ONCE]
            rows = await self._database.read(
                f"SELECT s.study_uid, s.patient_id, {NAME_OF_STUDY}, s.accession_number"
                " FROM studies s"
                f" WHERE s.study_uid IN ({', '.join('?' * len(some))})",
                some,
            )
            found |= {uid: (patient, name, accession) for uid, patient, name, accession in rows}
        return found

    async def people(self, names: Sequence[str]) -> frozenset[str]:
        """Those of these names that a user or somebody of an identity provider has."""
        asked = json_list(names)
        rows = await self._database.read(
            "SELECT name FROM users WHERE name IN (SELECT value FROM json_each(?1))"
            " UNION SELECT name FROM identities WHERE name IN (SELECT value FROM json_each(?1))",
            (asked,),
        )
        return frozenset(name for (name,) in rows)


def _read(value: str | None) -> tuple[int, bytes]:
    number, _, digest = (value or "0 ").partition(" ")
    return int(number), bytes.fromhex(digest)
