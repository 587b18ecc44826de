"""Content by range: how the bytes of an open instance are read, wherever they are.

Owns the words that the sealed object, the instance that passes through and the inflated data set
share, and how many extents are read as one. Promises that whatever is asked for comes in pieces of
about a mebibyte, so that nobody who reads holds more. Knows no index and no door.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Protocol

from edge.dicom.frames import Extent
from edge.dicom.part10 import FileMetaReader
from edge.errors import NotDicom

__all__ = ["PIECE", "Content", "InflatedContent", "Ranges", "clipped", "gathered"]

PIECE = 1024 * 1024
"""Bytes that are read in one go."""


class Ranges(Protocol):
    """Plain bytes, by range."""

    async def read(self, offset: int, length: int) -> bytes:
        """A range of them."""
        ...

    def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The same in pieces."""
        ...


class Content(Ranges, Protocol):
    """Plain bytes whose number is known."""

    @property
    def length(self) -> int:
        """How many there are."""
        ...


class InflatedContent:
    """The data set of a deflated instance (PS3.5 A.5), inflated as it is read.

    What lies before a range is inflated and let go: memory is a piece, whatever the data set
    inflates to. Admission has bounded that; the work is done in a thread.

    Args:
        file: The Part 10 file.
    """

    def __init__(self, file: Ranges) -> None:
        self._file = file

    async def read(self, offset: int, length: int) -> bytes:
        """A range of the data set.

        Raises:
            NotDicom: It can't be inflated.
        """
        return b"".join([piece async for piece in self.stream(offset, length)])

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """The same in pieces.

        Raises:
            NotDicom: It can't be inflated.
        """
        end = None if length is None else offset + length
        at = 0
        async with aclosing(self._inflated()) as pieces:
            async for piece in pieces:
                if at + len(piece) > offset:
                    yield piece[max(offset - at, 0) : None if end is None else end - at]
                at += len(piece)
                if end is not None and at >= end:
                    return

    async def _inflated(self) -> AsyncGenerator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        async with aclosing(self._deflated()) as pieces:
            async for deflated in pieces:
                waiting, more = deflated, True
                while more and not inflater.eof:
                    try:
                        piece = await asyncio.to_thread(inflater.decompress, waiting, PIECE)
                    except zlib.error as error:
                        raise NotDicom(f"a deflated data set can't be inflated: {error}") from error
                    yield piece
                    waiting = inflater.unconsumed_tail
                    more = bool(waiting) or len(piece) == PIECE

    async def _deflated(self) -> AsyncGenerator[bytes]:
        """The file without preamble and group 0002."""
        meta, begun = FileMetaReader(), False
        async with aclosing(self._file.stream()) as pieces:
            async for piece in pieces:
                if begun:
                    yield piece
                elif begun := meta.feed(piece):
                    yield meta.rest


def clipped(extents: Iterable[Extent], offset: int, length: int | None) -> Iterator[Extent]:
    """What of extents, taken as one run of bytes, lies in a range of it.

    Args:
        extents: In the order of the run.
        offset: Of the range.
        length: Of it; None for all that follows.
    """
    end = None if length is None else offset + length
    at = 0
    for extent in extents:
        first = max(offset - at, 0)
        last = extent.length if end is None else min(end - at, extent.length)
        if first < last:
            yield Extent(extent.offset + first, last - first)
        at += extent.length
        if end is not None and at >= end:
            return


async def gathered(content: Ranges, extents: Iterable[Extent]) -> AsyncIterator[bytes]:
    """The bytes of extents, in pieces of a mebibyte at the most.

    Small ones are read in one go with what lies between them, so a frame of many fragments costs
    no more than a frame of one.

    Args:
        content: What they count in.
        extents: In ascending order; what lies between two of them is small.
    """
    run: list[Extent] = []
    for extent in extents:
        if run and extent.offset + extent.length > run[0].offset + PIECE:
            yield await _run(content, run)
            run = []
        if extent.length > PIECE:
            async for piece in content.stream(extent.offset, extent.length):
                yield piece
        else:
            run.append(extent)
    if run:
        yield await _run(content, run)


async def _run(content: Ranges, run: list[Extent]) -> bytes:
    begin, last = run[0].offset, run[-1]
    data = await content.read(begin, last.offset + last.length - begin)
    if len(run) == 1:
        return data
    return b"".join(data[it.offset - begin : it.offset - begin + it.length] for it in run)
