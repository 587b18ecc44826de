"""An instance that was opened: the whole of it, ranges, frames and bulk values, as stored."""

from __future__ import annotations

import base64
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from edge.dicom.frames import BulkValue, Layout
from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.scanner import InstanceScanner
from edge.errors import InstanceNotFound, NotDicom

__all__ = ["Content", "InstanceEntry", "MemoryContent", "OpenInstance", "as_stored"]

_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """What a door may know of an instance without opening it."""

    instance_id: int
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    """Empty until its bytes were seen."""
    size: int
    """Bytes of the Part 10 file; 0 until they were seen."""
    number_of_frames: int
    availability: Availability


class Content(Protocol):
    """Plain bytes, by range."""

    @property
    def length(self) -> int:
        """How many there are."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """A range of them."""
        ...

    def stream(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The same in pieces."""
        ...


class MemoryContent:
    """Bytes in memory: what passes through because there is no room to keep it, or was inflated."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self._data)

    async def read(self, offset: int, length: int) -> bytes:
        """A range of them."""
        return self._data[offset : offset + length]

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The same in pieces of a mebibyte."""
        end = self.length if length is None else min(offset + length, self.length)
        for start in range(offset, end, _PIECE):
            yield self._data[start : min(start + _PIECE, end)]


class OpenInstance:
    """One open instance; valid inside the ``async with`` of ``Retrieval.open_instance``.

    Args:
        content: Its Part 10 file.
        located: What the layout's offsets count in: the same, or the inflated data set.
        document: Its DICOM JSON object.
    """

    def __init__(
        self,
        entry: InstanceEntry,
        layout: Layout,
        content: Content,
        located: Content,
        document: bytes,
    ) -> None:
        self.entry = entry
        self.layout = layout
        self._content = content
        self._located = located
        self._document = document

    @property
    def size(self) -> int:
        """Bytes of the Part 10 file."""
        return self._content.length

    async def read(self, offset: int, length: int) -> bytes:
        """A range of the Part 10 file."""
        return await self._content.read(offset, length)

    def stream(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """A range of the Part 10 file, in pieces of about a mebibyte."""
        return self._content.stream(offset, length)

    async def frame(self, number: int) -> bytes:
        """A frame as stored (PS3.18 10.4.1.1.6).

        Args:
            number: Counts from 1.

        Raises:
            InstanceNotFound: There is no such frame.
        """
        if (pixels := self.layout.pixels) is None:
            raise InstanceNotFound(f"instance {self.entry.ref.sop_uid} has no frames")
        extents = pixels.extents(number)
        parts = [await self._located.read(extent.offset, extent.length) for extent in extents]
        return pixels.cut(number, parts[0] if len(parts) == 1 else b"".join(parts))

    async def bulk(self, path: str) -> AsyncIterator[bytes]:
        """A bulk value, in pieces.

        Args:
            path: Tags and item numbers, such as ``54000100/0/54001010``.

        Raises:
            InstanceNotFound: There is no such value.
        """
        value = self.layout.bulk.get(path)
        if value is None:
            yield self._inline(path)
            return
        async for piece in self._located.stream(value.offset, value.length):
            yield piece

    def bulk_value(self, path: str) -> BulkValue | None:
        """Where a bulk value is; None if it is not there, or stands in the metadata itself."""
        return self.layout.bulk.get(path)

    def _inline(self, path: str) -> bytes:
        node: Any = msgspec.json.decode(self._document)
        try:
            for index, step in enumerate(path.split("/")):
                node = node["Value"][int(step)] if index % 2 else node[step]
            return base64.b64decode(node["InlineBinary"])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InstanceNotFound(
                f"instance {self.entry.ref.sop_uid} has no bulk value {path}"
            ) from error


async def as_stored(
    entry: InstanceEntry, layout: Layout, content: Content, document: bytes
) -> OpenInstance:
    """Open an instance; the data set of a deflated one is inflated into memory.

    Raises:
        NotDicom: The deflated data set can't be inflated.
    """
    located = content
    if layout.deflated and layout.bulk:
        located = MemoryContent(await _inflated(content))
    return OpenInstance(entry, layout, content, located, document)


async def _inflated(content: Content) -> bytes:
    scanner = InstanceScanner()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    begun = False
    try:
        async for piece in content.stream():
            if begun:
                parts.append(inflater.decompress(piece))
                continue
            scanner.feed(piece)
            if (offset := scanner.dataset_offset) is not None:
                parts.append(inflater.decompress(piece[offset:]))
                begun = True
    except zlib.error as error:
        raise NotDicom(f"a deflated data set can't be inflated: {error}") from error
    return b"".join(parts)
