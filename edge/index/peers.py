"""Rows of DICOM peers: those that a person approved, and strangers that called.

Functions that take a ``Connection`` run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from edge.index.connection import connect
from edge.index.database import Connection, Database

__all__ = [
    "PeerRow",
    "Stranger",
    "all_peers",
    "all_strangers",
    "approve",
    "forget",
    "put_back",
    "salvage",
    "write_strangers",
]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A peer that was approved; its columns."""

    ae_title: str
    host: str
    port: int
    may: str
    """Rights, between spaces."""
    name: str
    tls: int
    certificate: str
    max_associations: int
    approved: float
    who: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who called and was refused, because it is no peer, or not as it called."""

    ae_title: str
    host: str
    """The address that it called from."""
    called: str
    """The AE title that it called, last."""
    services: str
    """That it asked for, last."""
    why: str
    """It was refused, last."""
    certificate: str
    """SHA-256 of the one that it showed over TLS, last; empty if it showed none."""
    first_seen: float
    last_seen: float
    calls: int


_PEER = ", ".join(item.name for item in fields(PeerRow))
_PEER_MARKS = ", ".join("?" for _ in fields(PeerRow))
_STRANGER = ", ".join(item.name for item in fields(Stranger))
_STRANGER_MARKS = ", ".join("?" for _ in fields(Stranger))


async def all_peers(database: Database) -> list[PeerRow]:
    """Every approved peer, by AE title."""
    rows = await database.read(f"SELECT {_PEER} FROM peers ORDER BY ae_title")
    return [PeerRow(*row) for row in rows]


async def all_strangers(database: Database) -> list[Stranger]:
    """Every stranger, the one that called last first."""
    rows = await database.read(
        f"SELECT {_STRANGER} FROM strangers ORDER BY last_seen DESC, ae_title, host"
    )
    return [Stranger(*row) for row in rows]


def approve(db: Connection, row: PeerRow) -> None:
    """Keep a peer, in place of what was kept under its AE title; it is a stranger no more."""
    db.execute(f"INSERT OR REPLACE INTO peers ({_PEER}) VALUES ({_PEER_MARKS})", astuple(row))
    db.execute("DELETE FROM strangers WHERE ae_title = ?", (row.ae_title,))


def forget(db: Connection, ae_title: str) -> tuple[bool, bool]:
    """Let go of a peer and of strangers with that AE title; whether there was either."""
    peers = db.execute("DELETE FROM peers WHERE ae_title = ?", (ae_title,)).rowcount
    strangers = db.execute("DELETE FROM strangers WHERE ae_title = ?", (ae_title,)).rowcount
    return peers > 0, strangers > 0


def write_strangers(
    db: Connection, seen: Iterable[Stranger], gone: Iterable[tuple[str, str]]
) -> None:
    """Write those that called, and delete those (AE title, address) that gave way to others."""
    db.executemany("DELETE FROM strangers WHERE ae_title = ? AND host = ?", list(gone))
    db.executemany(
        f"INSERT OR REPLACE INTO strangers ({_STRANGER}) VALUES ({_STRANGER_MARKS})",
        [astuple(one) for one in seen],
    )


def salvage(path: Path, key: bytes) -> list[tuple[Any, ...]] | None:
    """The approved peers of a damaged index, for ``put_back``; None if they can't be read.

    As with tokens, no object in the store speaks of them.
    """
    try:
        db = connect(path, key, cache_kib=1024)
        try:
            return list(db.execute(f"SELECT {_PEER} FROM peers"))
        finally:
            db.close()
    except Exception:  # noqa: BLE001 - whatever it is, it is the damage
        return None


def put_back(db: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep peers again that ``salvage`` found."""
    db.executemany(f"INSERT OR REPLACE INTO peers ({_PEER}) VALUES ({_PEER_MARKS})", list(rows))
