"""Places and bundles for tests: keys that follow from a name, and bundles made without a box.

What is written to a disk is written by the product's own code, but for what a test changes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from edge.cache.bundle import Bundle
from edge.cache.parts import PartWriter
from edge.cache.statements import (
    VERSION,
    Complete,
    Entry,
    Outcome,
    PartList,
    Receipt,
    Result,
    decoded,
)
from edge.crypto.courier import BundleKey, PlaceKeys, new_bundle
from edge.crypto.sealed import Algorithm
from edge.dicom.digest import Digester
from tests.samples import Slice


def place(name: str) -> PlaceKeys:
    """The courier key of a place."""
    return PlaceKeys(lambda purpose: hashlib.sha256(f"{name} {purpose}".encode()).digest())


def digests(data: bytes) -> tuple[bytes, bytes]:
    digester = Digester()
    digester.update(data)
    return digester.digests()


def make_bundle(
    disk: Path,
    box: PlaceKeys,
    recipients: Sequence[PlaceKeys],
    parts: Iterable[Sequence[Slice]],
    *,
    complete: bool = True,
    listed_for: Sequence[PlaceKeys] | None = None,
) -> tuple[Bundle, BundleKey]:
    """A bundle with one part for each list of instances.

    Args:
        disk: Where.
        box: Packs it.
        recipients: Can open it.
        parts: Their instances.
        complete: Whether it has an end.
        listed_for: Whom its lists name, if not the recipients.
    """
    key = box.own_bundle(new_bundle())
    bundle = Bundle.make(disk, key.bundle)
    for name in ("key", "key.copy"):
        bundle.write(name, key.envelope([one.place for one in recipients]))
    names = tuple(sorted(one.place.digest for one in listed_for or recipients))
    count = size = 0
    numbers = []
    for number, instances in enumerate(parts, 1):
        writer = PartWriter(bundle, number, key, Algorithm.CHACHA20_POLY1305)
        entries = []
        for one in instances:
            pieces = ((number, writer.length, len(one.data)),)
            writer.write(one.data)
            entries.append(entry_of(one, pieces))
        writer.finish()
        listed = PartList(VERSION, "clinic", time.time(), names, writer.length, tuple(entries))
        state(bundle, key, box, f"{number:04}.list", listed)
        count, size = count + len(entries), size + writer.length
        numbers.append(number)
    if complete:
        state(bundle, key, box, "complete", Complete(VERSION, tuple(numbers), count, size))
    return bundle, key


def entry_of(one: Slice, pieces: tuple[tuple[int, int, int], ...]) -> Entry:
    return Entry(
        one.ref.study_uid,
        one.ref.series_uid,
        one.ref.sop_uid,
        one.sop_class_uid,
        one.transfer_syntax,
        len(one.data),
        *digests(one.data),
        "EDGE_ONLY",
        3,
        pieces,
    )


def state(bundle: Bundle, key: BundleKey, who: PlaceKeys, name: str, what: msgspec.Struct) -> None:
    """Write a statement into a bundle."""
    bundle.write(name, key.state(name, msgspec.msgpack.encode(what), who))


def write_receipt(
    bundle: Bundle, key: BundleKey, who: PlaceKeys, results: Iterable[Result], number: int = 1
) -> None:
    name = f"{number:04}.{who.place.digest[:8].hex()}.receipt"
    state(bundle, key, who, name, Receipt(VERSION, "hospital", "cloud url", tuple(results)))


def results_on(bundle: Bundle, key: BundleKey, who: PlaceKeys) -> dict[str, Result]:
    """What the receipts of a place say, by SOP Instance UID."""
    found = {}
    for name in bundle.receipts():
        _, content = key.stated(name, bundle.read(name), [who.place])
        found |= {one.sop_uid: one for one in decoded(content, Receipt).results}
    return found


def verified(one: Slice, at: float | None = None) -> Result:
    """It was read back, and is ours."""
    seen = time.time() if at is None else at
    return Result(one.ref.sop_uid, Outcome.VERIFIED, seen, digest=digests(one.data)[1])
