"""An instance read back from the archive, and no further than it can be ours.

An archive that never ends its answer would else be read for ever, and cost a metered line all of
its budget.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from edge.cache.custody import Owed
from edge.dicom.digest import Digester
from edge.sync.line import Line

__all__ = ["TooLong", "digest_of", "longest"]

_BESIDE = 1024 * 1024
"""Bytes by which an archive may make a file longer: preamble, group 0002, what was padded."""
_COPY = 64
"""Times as long a copy may be that was sent in place of an instance: it may be uncompressed."""


class TooLong(Exception):
    """It is longer than what it is compared with."""


def longest(one: Owed) -> int:
    """Bytes beyond which what the archive gives is not what it was sent."""
    size = one.size if one.remedy is None else _COPY * one.size
    return size + _BESIDE


async def digest_of(
    stream: AsyncGenerator[bytes] | AsyncIterator[bytes], line: Line, most: int
) -> Digester:
    """Read a Part 10 stream to its end, at the pace of the line.

    Raises:
        TooLong: It has more than *most* bytes.
        NotDicom: It is no Part 10 stream.
        LineClosed: The calendar or the budget lets nothing through.
    """
    digester, length = Digester(), 0
    async with aclosing(line.incoming(stream)) as pieces:
        async for piece in pieces:
            length += len(piece)
            if length > most:
                raise TooLong
            digester.update(piece)
    return digester
