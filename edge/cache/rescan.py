"""An object of the store, understood anew from its own bytes: no row says all of it."""

from __future__ import annotations

from edge.dicom.digest import Digester
from edge.dicom.scanner import InstanceScanner, ScannedInstance
from edge.store.objects import ObjectStore
from edge.store.writer import StoredObject

__all__ = ["rescan"]


async def rescan(
    store: ObjectStore, name: str, sealed_bytes: int
) -> tuple[ScannedInstance, StoredObject]:
    """Read an object to its end.

    Raises:
        InstanceNotFound: There is none of this name.
        SealBroken, InvalidInstance: It is damaged, or no instance.
    """
    scanner, digester = InstanceScanner(), Digester()
    reader = await store.open(name)
    try:
        async for piece in reader.stream():
            scanner.feed(piece)
            digester.update(piece)
    finally:
        await reader.close()
    scanned = scanner.finish()
    digests = digester.digests()
    return scanned, StoredObject(name, reader.key_id, reader.length, sealed_bytes, *digests)
