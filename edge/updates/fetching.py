"""A bundle comes over the line, and is taken in once it is whole.

Crash story of a download: bytes are appended to ``V.edgeupdate.part``; every few megabytes they are
made durable, and then it is kept how many they are. A start goes on behind those, and throws away
what lies beyond. Whole, it is proven, part by part, and only then gets its name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge import config
from edge.cloud.pace import Way
from edge.crypto.durable import sync_folder
from edge.errors import CloudUnreachable, UpdateRefused
from edge.updates.bundle import open_bundle
from edge.updates.journal import Folder, Found
from edge.updates.machine import Place
from edge.updates.server import UpdateServer
from edge.updates.signature import read_keys
from edge.updates.stick import found_of, full
from edge.updates.versions import Version

__all__ = ["Download", "adopt"]

log = logging.getLogger(__name__)

_DURABLE: Final = 4 * 1024**2
"""Bytes after which they are made durable."""


class Download:
    """One.

    Args:
        settings: ``[update]``, its secrets as they are used.
        folder: Where it comes to.
        incoming: Lets bytes come as fast as they may.
        way: Counts them.
        reserve: Bytes of the disk that are left alone.
    """

    def __init__(
        self,
        settings: config.Update,
        folder: Folder,
        incoming: Callable[[AsyncIterable[bytes]], AsyncGenerator[bytes]],
        way: Way | None,
        *,
        reserve: int,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._incoming = incoming
        self._way = way
        self._reserve = reserve

    async def run(self, found: Found, synced: int, tell: Callable[[int], Awaitable[None]]) -> None:
        """Have it come from where it was cut to its end, and prove it.

        Args:
            found: It.
            synced: Bytes of it that are here for certain.
            tell: Keeps that number.

        Raises:
            CloudError: It broke off.
            ConfigError: A setting of the way to the server can't be used.
            LineClosed: The calendar closed.
            StorageFull: There is no room.
            UpdateRefused: What came is not what it should be; it has to be thrown away.
        """
        keys = await asyncio.to_thread(read_keys, self._settings.keys)
        await asyncio.to_thread(self._folder.make)
        part = self._folder.part(found.version)
        descriptor, have = await asyncio.to_thread(self._open, part, synced)
        try:
            await asyncio.to_thread(self._refuse_full, found.bytes - have)
            if have < found.bytes:
                async with UpdateServer(self._settings, self._way) as server:
                    pieces = server.rest(found.where, have, found.etag)
                    await self._receive(pieces, descriptor, have, found.bytes, tell)
        finally:
            await asyncio.to_thread(os.close, descriptor)
        await self._proven(part, found, keys)

    async def _proven(self, part: Path, found: Found, keys: Sequence[Ed25519PublicKey]) -> None:
        """Prove it; who does so is through, or has stopped, when this ends, however it does."""
        stopped = threading.Event()
        proof = asyncio.create_task(
            asyncio.to_thread(self._prove, part, found, keys, stopped.is_set)
        )
        try:
            await asyncio.shield(proof)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.gather(proof, return_exceptions=True)
            raise

    async def _receive(
        self,
        pieces: AsyncGenerator[bytes],
        descriptor: int,
        have: int,
        total: int,
        tell: Callable[[int], Awaitable[None]],
    ) -> None:
        durable = have
        async with aclosing(pieces), aclosing(self._incoming(pieces)) as coming:
            try:
                async for piece in coming:
                    if have + len(piece) > total:
                        raise UpdateRefused("the update is longer than it said")
                    await asyncio.to_thread(_append, descriptor, piece)
                    have += len(piece)
                    if have - durable >= _DURABLE:
                        await asyncio.to_thread(os.fsync, descriptor)
                        durable = have
                        await tell(durable)
            finally:
                await asyncio.to_thread(os.fsync, descriptor)
                await tell(have)
        if have < total:
            raise CloudUnreachable("the server of updates: the answer ended early")

    @staticmethod
    def _open(part: Path, synced: int) -> tuple[int, int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND
        descriptor = os.open(part, flags, 0o600)
        have = min(synced, os.fstat(descriptor).st_size)
        os.ftruncate(descriptor, have)
        return descriptor, have

    def _refuse_full(self, missing: int) -> None:
        free = shutil.disk_usage(self._folder.path).free
        if free - missing < self._reserve:
            raise full(missing + self._reserve, free)

    def _prove(
        self,
        part: Path,
        found: Found,
        keys: Sequence[Ed25519PublicKey],
        stop: Callable[[], bool],
    ) -> None:
        with open_bundle(part, keys) as bundle:
            if bundle.manifest.version != found.version:
                raise UpdateRefused(f"what came is version {bundle.manifest.version}")
            bundle.prove(stop)
        part.replace(self._folder.bundle(found.version))
        sync_folder(self._folder.path)


def _append(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def adopt(folder: Folder, keys: Path, place: Place, ready: Found | None) -> Found | None:
    """The newest bundle that is here, whole and proven; older ones are thrown away. Blocks.

    Args:
        folder: Where they are.
        keys: The folder of those that are believed.
        place: The machine.
        ready: What was known before.
    """
    best = ready
    if best is not None and not folder.bundle(best.version).exists():
        best = None
    if best is not None and Version(best.version) <= Version(place.version):
        best = None
    for path in folder.whole():
        if best is not None and path == folder.bundle(best.version):
            continue
        try:
            found = _proven(folder, path, read_keys(keys), place)
        except UpdateRefused as error:
            log.warning("%s is thrown away: %s", path.name, error)
            path.unlink(missing_ok=True)
            continue
        if best is None or Version(best.version) < Version(found.version):
            best = found
    for path in folder.whole():
        if best is None or path != folder.bundle(best.version):
            path.unlink(missing_ok=True)
    return best


def _proven(folder: Folder, path: Path, keys: Sequence[Ed25519PublicKey], place: Place) -> Found:
    """What a bundle is that lies here.

    Raises:
        UpdateRefused: It is of no use.
    """
    with open_bundle(path, keys) as bundle:
        manifest = bundle.manifest
        manifest.check_for(place.kind, place.version)
        if path != folder.bundle(manifest.version):
            raise UpdateRefused(f"{path.name} is version {manifest.version}")
        bundle.prove()
        return found_of(manifest, bundle.head.total)
