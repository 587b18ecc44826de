"""An instance that was opened: the whole of it, ranges, frames and bulk values, as stored.

Promises that everything comes in pieces: nothing is ever held whole, unless the caller names a
bound. Where the bytes are is not known here; ``content`` reads them.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.cache.content import Content, InflatedContent, Ranges, clipped, gathered
from edge.dicom.demographics import overlaid
from edge.dicom.frames import Layout, PixelLayout
from edge.dicom.instance import Availability, InstanceRef
from edge.errors import InstanceNotFound, PixelBudgetExceeded

__all__ = ["InstanceEntry", "OpenInstance", "WholeInstance"]


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
    version: str = ""
    """Changes when any of its bytes does; empty until they were seen."""
    received: float = 0.0
    """When these bytes came, in POSIX seconds; 0 if that is not known."""
    object: str = ""
    """Its name in the store, while it is here; no door needs it."""
    edition: str = ""
    """Which edit of patient and study holds, made in the archive; empty if none does."""
    key_id: bytes = b""
    """Of the key that it is sealed with, while it is here; likewise."""


@dataclass(frozen=True, slots=True)
class WholeInstance:
    """One of many that are read from beginning to end."""

    entry: InstanceEntry
    size: int
    """Bytes of the Part 10 file."""
    content: bytes | AsyncGenerator[bytes]
    """The file, as it is stored: at once if it is short, else in pieces."""

    async def pass_to(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Give all of it away, piece by piece."""
        if isinstance(self.content, bytes):
            await take(self.content)
        else:
            async with aclosing(self.content) as pieces:
                async for piece in pieces:
                    await take(piece)


class OpenInstance:
    """One open instance; valid inside the ``async with`` of ``Retrieval.open_instance``.

    Args:
        content: Its Part 10 file.
        layout: Where its parts are.
        document: Gives its DICOM JSON object.
        overlay: What of patient and study was edited in the archive.
    """

    def __init__(
        self,
        entry: InstanceEntry,
        content: Content,
        layout: Layout,
        document: Callable[[], bytes],
        overlay: Mapping[str, Any] | None = None,
    ) -> None:
        self.entry = entry
        self.layout = layout
        self._content = content
        self._document = document
        self._overlay = overlay or {}

    @property
    def size(self) -> int:
        """Bytes of the Part 10 file."""
        return self._content.length

    def attributes(self) -> dict[str, Any]:
        """The data set in the DICOM JSON model, as stored; bulk values by their relative path."""
        decoded: dict[str, Any] = msgspec.json.decode(self._document())
        return decoded

    def edited_attributes(self) -> dict[str, Any]:
        """The same as it is to be shown: with what was edited in the archive."""
        return overlaid(self.attributes(), self._overlay) if self._overlay else self.attributes()

    async def read(self, offset: int, length: int) -> bytes:
        """A range of the Part 10 file."""
        return await self._content.read(offset, length)

    def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """A range of the Part 10 file, in pieces of about a mebibyte."""
        return self._content.stream(offset, length)

    def frame_length(self, number: int) -> int:
        """Bytes of a frame.

        Raises:
            InstanceNotFound: There is no such frame.
        """
        return self._pixels().frame_length(number)

    async def frame(self, number: int) -> AsyncIterator[bytes]:
        """A frame as stored (PS3.18 10.4.1.1.6), in pieces.

        Args:
            number: Counts from 1.

        Raises:
            InstanceNotFound: There is no such frame.
        """
        pixels = self._pixels()
        bits = pixels.bits(number)
        async for piece in gathered(self._located(), pixels.extents(number)):
            yield piece if bits is None else bits.feed(piece)
        if bits is not None:
            yield bits.finish()

    async def whole_frame(self, number: int, most: int) -> bytes:
        """A frame as stored, in memory.

        Args:
            number: Counts from 1.
            most: Bytes that it may have.

        Raises:
            InstanceNotFound: There is no such frame.
            PixelBudgetExceeded: It is longer; nothing of it was read.
        """
        if (length := self.frame_length(number)) > most:
            raise PixelBudgetExceeded(
                f"frame {number} has {length} bytes, and {most} are allowed",
                hint="retrieve it as it is stored",
            )
        return b"".join([piece async for piece in self.frame(number)])

    async def video(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """A range of the stream that all fragments make together (PS3.5 8.2.5), in pieces.

        Raises:
            InstanceNotFound: The instance has no pixels.
        """
        extents = clipped(self._pixels().all_fragments(), offset, length)
        async for piece in gathered(self._located(), extents):
            yield piece

    async def bulk(
        self, path: str, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """A range of a bulk value, in pieces.

        Args:
            path: Tags and item numbers, such as ``54000100/0/54001010``.
            offset: Of the first byte.
            length: Bytes; None for all that follow.

        Raises:
            InstanceNotFound: There is no such value.
        """
        value = self.layout.bulk.get(path)
        if value is None:
            yield self._inline(path)[offset : None if length is None else offset + length]
            return
        there = max(value.length - offset, 0)
        wanted = there if length is None else min(length, there)
        async for piece in self._located().stream(value.offset + offset, wanted):
            yield piece

    def _pixels(self) -> PixelLayout:
        if (pixels := self.layout.pixels) is None:
            raise InstanceNotFound(f"instance {self.entry.ref.sop_uid} has no frames")
        return pixels

    def _located(self) -> Ranges:
        """What the layout's offsets count in: the file, or the inflated data set."""
        return InflatedContent(self._content) if self.layout.deflated else self._content

    def _inline(self, path: str) -> bytes:
        node: Any = self.attributes()
        try:
            for index, step in enumerate(path.split("/")):
                node = node["Value"][int(step)] if index % 2 else node[step]
            return base64.b64decode(node["InlineBinary"])
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InstanceNotFound(
                f"instance {self.entry.ref.sop_uid} has no bulk value {path}"
            ) from error
