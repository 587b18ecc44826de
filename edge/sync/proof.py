"""Reads an instance back from an archive, and says whether it is ours. Changes nothing.

No further than it can be ours: an archive that never ends its answer would else be read for ever,
and cost a metered line all of its budget.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from contextlib import aclosing

from edge.cache.ledger import Settlement, Theirs
from edge.cloud.archive import Archive
from edge.dicom.digest import Digester
from edge.dicom.essence import Likeness
from edge.dicom.instance import Custody, InstanceRef
from edge.sync.line import Line
from edge.sync.link import Link

__all__ = ["TooLong", "digest_of", "longest", "other_bytes", "read_back"]

log = logging.getLogger(__name__)

_BESIDE = 1024 * 1024
"""Bytes by which an archive may make a file longer: preamble, group 0002, what was padded."""
_COPY = 64
"""Times as long a copy may be that was sent in place of an instance: it may be uncompressed."""
_OTHER_BYTES = "the archive has other bytes under this UID"


class TooLong(Exception):
    """It is longer than what it is compared with."""


def longest(size: int, *, is_copy: bool = False) -> int:
    """Bytes beyond which what the archive gives is not what it was sent.

    Args:
        size: Bytes of ours.
        is_copy: Whether a copy of it was sent in its place.
    """
    return (_COPY * size if is_copy else size) + _BESIDE


async def digest_of(
    stream: AsyncIterable[bytes], line: Line, most: int, *, alike: bool = False
) -> Digester:
    """Read a Part 10 stream to its end, at the pace of the line; with *alike*, as a ``Likeness``.

    Raises:
        TooLong: It has more than *most* bytes.
        NotDicom: It is no Part 10 stream.
        LineClosed: Nothing may come over the line now.
    """
    digester, length = Likeness() if alike else Digester(), 0
    async with aclosing(line.incoming(stream)) as pieces:
        async for piece in pieces:
            length += len(piece)
            if length > most:
                raise TooLong
            if alike:
                await asyncio.to_thread(digester.update, piece)
            else:
                digester.update(piece)
    return digester


async def read_back(
    archive: Archive, link: Link, ref: InstanceRef, most: int, *, alike: bool = False
) -> Digester:
    """What the archive has of an instance; *alike* as of ``digest_of``.

    Raises:
        CloudError: It can't be read now.
        InstanceNotFound: It is not there.
        NotDicom: What is there is no DICOM.
        TooLong: It has more than *most* bytes.
        LineClosed: Nothing may come over the line now.
    """
    async with aclosing(archive.retrieve_instance(ref)) as stream:
        return await digest_of(stream, link.line, most, alike=alike)


def other_bytes(
    archive: Archive, instance_id: int, ref: InstanceRef, seen: Digester | None
) -> Settlement:
    """A conflict, for the log and the ledger; *seen* None: what is there is no DICOM, or no end."""
    log.error(
        "archive %s has other bytes than ours under instance %s; both are kept",
        archive.name,
        ref.sop_uid,
    )
    theirs = None if seen is None else Theirs(seen.digests()[1], seen.transfer_syntax, seen.length)
    return Settlement(instance_id, Custody.CONFLICT, _OTHER_BYTES, theirs=theirs)
