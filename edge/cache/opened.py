"""An instance that was opened: the whole of it, ranges, frames and bulk values, as stored."""

from __future__ import annotations

import base64
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from edge.dicom.frames import Layout
from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.scanner import InstanceScanner
from edge.errors import InstanceNotFound, NotDicom

__all__ = ["Content", "InstanceEntry", "MemoryContent", "OpenInstance"]

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
        layout: Where its parts are.
        document: Gives its DICOM JSON object.
    """

    def __init__(
        self,
        entry: InstanceEntry,
        content: Content,
        layout: Layout,
        document: Callable[[], bytes],
    ) -> None:
        self.entry = entry
        self.layout = layout
        self._content = content
        self._inflated: Content | None = None
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
        content = await self._located()
        parts = [await content.read(extent.offset, extent.length) for extent in extents]
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
        content = await self._located()
        async for piece in content.stream(value.offset, value.length):
            yield piece

    async def _located(self) -> Content:
        """What the layout's offsets count in: the file, or the inflated data set."""
        if not self.layout.deflated:
            return self._content
        if self._inflated is None:
            self._inflated = MemoryContent(await _inflate(self._content))
        return self._inflated

    def _inline(self, path: str) -> bytes:
        node: Any = msgspec.json.decode(self._document())
        try:
            for index, step in enumerate(path.split("/")):
                node = node["Value"][int(step)] if index % 2 else node[step]
            return base64.b64decode(node["InlineBinary"])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InstanceNotFound(
                f"instance {self.entry.ref.sop_uid} has no bulk value {path}"
            ) from error


async def _inflate(content: Content) -> bytes:
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
