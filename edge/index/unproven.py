"""The instances that no archive is proven to have: read, packed for a backup, and put back.

After a month without a line they are many. So they are packed while they are read, and unpacked one
by one: some hundred bytes each, instead of more than a thousand.

Packed, they are a zlib stream of MessagePack arrays, each behind its length (4 bytes, big endian):
a series, or an instance with the number of its series among those before it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

import msgspec

from edge.dicom.instance import InstanceRef
from edge.errors import SealBroken
from edge.index import rejections
from edge.index.connection import Connection
from edge.index.feed import record
from edge.index.instances import ensure_series, ensure_study

__all__ = ["Instance", "Series", "Unproven", "described", "insert_absent", "take", "unpack"]

_LENGTH = struct.Struct(">I")
_PIECE = 8 * 1024
"""Packed bytes that are unpacked at a time."""
_SERIES = (
    "SELECT s.study_uid, e.series_uid, a.attributes, e.attributes FROM series e"
    " JOIN studies s ON s.id = e.study_id JOIN study_attributes a ON a.study_id = s.id"
    " WHERE e.id = ?"
)
_INSTANCES = (
    "SELECT series_id, sop_uid, sop_class_uid, transfer_syntax, instance_number, frame_count,"
    " content_bytes, meta_digest, dataset_digest, custody, origin, peer, received FROM instances"
)
_UNPROVEN = (
    f"{_INSTANCES} WHERE custody <> 'VERIFIED' AND availability IN ('ONLINE', 'UNAVAILABLE')"
    " ORDER BY id"
)


class Series(msgspec.Struct, frozen=True, array_like=True, tag="S"):
    """What the instances of a series have in common."""

    study_uid: str
    series_uid: str
    study: str
    """Attributes of patient and study, DICOM JSON: whom to ask for it again."""
    attributes: str
    """Of the series."""


class Instance(msgspec.Struct, frozen=True, array_like=True, tag="I"):
    """A row of it."""

    series: int
    """Its number among those before it."""
    sop_uid: str
    sop_class_uid: str
    transfer_syntax: str
    instance_number: int | None
    frame_count: int
    content_bytes: int
    meta_digest: bytes | None
    dataset_digest: bytes | None
    custody: str
    origin: str
    peer: str
    received: float


class Unproven(msgspec.Struct, frozen=True):
    """An instance that was here, and that no archive is proven to have."""

    series: Series
    instance: Instance


def take(db: Connection) -> bytes:
    """All of an index, packed."""
    numbers: dict[int, int] = {}
    packer = zlib.compressobj()
    packed = bytearray()

    def add(row: Series | Instance) -> None:
        data = msgspec.msgpack.encode(row)
        packed.extend(packer.compress(_LENGTH.pack(len(data)) + data))

    for series_id, *values in db.execute(_UNPROVEN):
        if series_id not in numbers:
            numbers[series_id] = len(numbers)
            add(_series(db, series_id))
        add(Instance(numbers[series_id], *values))
    packed.extend(packer.flush())
    return bytes(packed)


def unpack(packed: bytes) -> Iterator[Unproven]:
    """Those that were packed, one by one.

    Raises:
        SealBroken: It can't be understood.
    """
    series: list[Series] = []
    try:
        for data in _unframed(packed):
            row = msgspec.msgpack.decode(data, type=Series | Instance)
            if isinstance(row, Series):
                series.append(row)
            else:
                yield Unproven(series[row.series], row)
    except (zlib.error, msgspec.MsgspecError, IndexError) as error:
        raise SealBroken("what is in the backup can't be understood") from error


def _unframed(packed: bytes) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    plain = bytearray()
    for start in range(0, len(packed), _PIECE):
        plain += unpacker.decompress(packed[start : start + _PIECE])
        at = 0
        while len(plain) >= (begin := at + _LENGTH.size):
            end = begin + _LENGTH.unpack_from(plain, at)[0]
            if len(plain) < end:
                break
            yield bytes(plain[begin:end])
            at = end
        del plain[:at]
    if plain or not unpacker.eof:
        raise zlib.error("it is cut short")


def described(db: Connection, sop_uid: str) -> Unproven:
    """What an index knows of an instance that it has a row of."""
    series_id, *values = db.execute(f"{_INSTANCES} WHERE sop_uid = ?", (sop_uid,)).fetchone()
    return Unproven(_series(db, series_id), Instance(0, *values))


def _series(db: Connection, series_id: int) -> Series:
    return Series(*db.execute(_SERIES, (series_id,)).fetchone())


def insert_absent(
    db: Connection, one: Unproven, availability: str, custody: str, reason: str, now: float
) -> None:
    """Make the row of an instance whose bytes are not here, or not known to be; if there is none.

    Args:
        db: The writer's connection.
        one: It.
        availability: Not ONLINE.
        custody: Who vouches for it.
        reason: Why it is so.
        now: POSIX seconds.
    """
    series, instance = one.series, one.instance
    ref = InstanceRef(series.study_uid, series.series_uid, instance.sop_uid)
    study_id = ensure_study(db, series.study_uid, json.loads(series.study), now)
    series_id = ensure_series(db, study_id, series.series_uid, json.loads(series.attributes), now)
    added = db.execute(
        "INSERT OR IGNORE INTO instances (study_id, series_id, sop_uid, sop_class_uid,"
        " transfer_syntax, instance_number, frame_count, availability, content_bytes,"
        " meta_digest, dataset_digest, custody, reason, origin, peer, received, last_used,"
        " withheld) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        f" {rejections.WITHHELD}) RETURNING withheld",
        (
            study_id,
            series_id,
            instance.sop_uid,
            instance.sop_class_uid,
            instance.transfer_syntax,
            instance.instance_number,
            instance.frame_count,
            availability,
            instance.content_bytes,
            instance.meta_digest,
            instance.dataset_digest,
            custody,
            reason,
            instance.origin,
            instance.peer,
            instance.received,
            now,
            instance.sop_uid,
        ),
    ).fetchone()
    if added is not None and not added[0]:
        record(db, "CREATE", ref, now)
