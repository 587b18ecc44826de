"""An instance that passes through to a viewer, because there is no room to keep it.

It is read once to its end before a byte of it is handed on, so what is served is known to be the
instance that was asked for. Promises that memory stays bounded however many pass and however long
they are: blocks of a mebibyte are held while an account that all share has room; an instance that
goes beyond it is asked of the archive again, and each block of it must be the one that was seen the
first time. Writes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from edge.cache.admission import Expectation
from edge.cache.content import PIECE, Content
from edge.cache.fetching import blamed_on
from edge.cache.opened import InstanceEntry, OpenInstance
from edge.cloud.archive import Archive
from edge.cloud.several import Several
from edge.dicom.digest import Digester
from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.scanner import InstanceScanner, ScannedInstance
from edge.errors import CloudError

__all__ = ["Passage"]

HELD = 64
"""Blocks that all instances which pass at a time may hold together."""


class Passage:
    """Hands on what only the archive has.

    Args:
        archive: Which has it.
        held: Blocks of a mebibyte that may be held.
    """

    def __init__(self, archive: Archive | Several, *, held: int = HELD) -> None:
        self._archive = archive
        self._free = held

    @asynccontextmanager
    async def open_instance(
        self,
        instance_id: int,
        ref: InstanceRef,
        dataset_digest: bytes | None = None,
        overlay: Mapping[str, Any] | None = None,
        corrected: Collection[bytes] = (),
    ) -> AsyncIterator[OpenInstance]:
        """Open an instance of the archive without keeping it.

        Args:
            instance_id: Its number in the index.
            ref: Which.
            dataset_digest: Of its data set, if it was here once: another one is not it.
            overlay: What of patient and study was edited in the archive.
            corrected: Digests of what archives have in its place since they corrected that.

        Raises:
            InstanceNotFound: The archive does not have it.
            CloudError: It can't be had now, or what came is not this instance.
        """
        held = list[bytes]()
        fitting = set() if dataset_digest is None else {dataset_digest, *corrected}
        try:
            scanned, digests = await self._pass_over(ref, fitting, held)
            length = scanned.length
            content: Content = (
                _Held(held, length)
                if len(held) == len(digests)
                else _Again(self._archive, ref, length, digests)
            )
            pixels = scanned.layout.pixels
            entry = InstanceEntry(
                instance_id=instance_id,
                ref=scanned.ref,
                sop_class_uid=scanned.sop_class_uid,
                transfer_syntax=scanned.transfer_syntax,
                size=length,
                number_of_frames=pixels.number_of_frames if pixels is not None else 0,
                availability=Availability.NEARLINE,
            )
            document = partial(msgspec.json.encode, scanned.attributes)
            yield OpenInstance(entry, content, scanned.layout, document, overlay)
        finally:
            self._free += len(held)

    async def _pass_over(
        self, ref: InstanceRef, fitting: Collection[bytes], held: list[bytes]
    ) -> tuple[ScannedInstance, list[bytes]]:
        """Read the instance to its end; it, and the digest of each block.

        Args:
            ref: Which.
            fitting: Digests of its data set, any of them; none if they are not known.
            held: Gets all of its blocks, or stays empty.
        """
        scanner, digester, digests, fits = InstanceScanner(), Digester(), list[bytes](), True
        with blamed_on(self._archive.name):
            async with aclosing(_blocks(self._archive, ref)) as blocks:
                async for block in blocks:
                    scanner.feed(block)
                    digests.append(await asyncio.to_thread(_digest, block, digester))
                    fits = fits and self._free > 0
                    if fits:
                        self._free -= 1
                        held.append(block)
                    else:
                        self._free += len(held)
                        held.clear()
            scanned = scanner.finish()
            Expectation(sop_uid=ref.sop_uid, study_uid=ref.study_uid).check(scanned)
        if fitting and digester.digests()[1] not in fitting:
            raise CloudError(
                f"archive {self._archive.name} has other bytes of this instance than it had before",
                hint="somebody must decide which are right; ours are not here any more",
            )
        return scanned, digests


class _Held:
    """Content in memory, in blocks."""

    def __init__(self, blocks: list[bytes], length: int) -> None:
        self._blocks = blocks
        self.length = length

    async def read(self, offset: int, length: int) -> bytes:
        return b"".join([piece async for piece in self.stream(offset, length)])

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        end = self.length if length is None else min(offset + length, self.length)
        while offset < end:
            start = offset % PIECE
            piece = self._blocks[offset // PIECE][start : start + end - offset]
            offset += len(piece)
            yield piece


class _Again:
    """Content that the archive is asked for again each time."""

    def __init__(
        self, archive: Archive | Several, ref: InstanceRef, length: int, digests: list[bytes]
    ) -> None:
        self._archive = archive
        self._ref = ref
        self._digests = digests
        self.length = length

    async def read(self, offset: int, length: int) -> bytes:
        return b"".join([piece async for piece in self.stream(offset, length)])

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        end = self.length if length is None else min(offset + length, self.length)
        at = 0
        async with aclosing(_blocks(self._archive, self._ref)) as blocks:
            async for block in blocks:
                index = at // PIECE
                if await asyncio.to_thread(_digest, block) != self._digests[index]:
                    break
                if at + len(block) > offset:
                    yield block[max(offset - at, 0) : end - at]
                at += len(block)
                if at >= end:
                    return
        raise CloudError(f"archive {self._archive.name} gave other bytes the second time")


async def _blocks(archive: Archive | Several, ref: InstanceRef) -> AsyncGenerator[bytes]:
    """The instance in blocks of a mebibyte; the last is what remains."""
    held = bytearray()
    async with aclosing(archive.retrieve_instance(ref)) as chunks:
        async for chunk in chunks:
            held += chunk
            while len(held) >= PIECE:
                yield bytes(held[:PIECE])
                del held[:PIECE]
    if held:
        yield bytes(held)


def _digest(block: bytes, of_all: Digester | None = None) -> bytes:
    if of_all is not None:
        of_all.update(block)
    return hashlib.sha256(block).digest()
