"""Tells a correction in an archive from other bytes: is it ours, but for patient and study?

An archive that corrects demographics may write its files anew under the same UIDs. What it has then
is compared with what is here in all beside those (`edge.dicom.essence`). Changes nothing.
"""

from __future__ import annotations

import asyncio

from edge.cache.ledger import Settlement
from edge.cache.opened import InstanceEntry
from edge.dicom.digest import Digester
from edge.dicom.essence import Likeness
from edge.dicom.instance import Availability, Custody, InstanceRef
from edge.sync.owing import Opener

__all__ = ["CORRECTED", "Corrections", "as_corrected"]

CORRECTED = "the archive corrected patient or study; here it is as it came"


class Corrections:
    """Compares with what is here.

    Args:
        opener: Opens it.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def is_ours(
        self, instance_id: int, ref: InstanceRef, size: int, digest: bytes, seen: Likeness
    ) -> bool:
        """Whether what was read back is an instance of ours but for a correction.

        Args:
            instance_id: Of ours.
            ref: Of ours.
            size: Of ours, in bytes.
            digest: Of our data set: nothing else is compared.
            seen: What the archive has, read to its end.

        Raises:
            EdgeError: Ours can't be read.
        """
        theirs = seen.essence()
        if theirs is None:
            return False
        ours = Likeness()
        entry = InstanceEntry(instance_id, ref, "", "", size, 0, Availability.ONLINE)
        async with self._opener.open_instance(entry) as opened:
            async for piece in opened.stream():
                await asyncio.to_thread(ours.update, piece)
        return ours.digests()[1] == digest and ours.essence() == theirs


def as_corrected(instance_id: int, seen: Digester) -> Settlement:
    """The archive has ours, as it was read back, but for a correction."""
    digest = seen.digests()[1]
    return Settlement(instance_id, Custody.VERIFIED, CORRECTED, corrected=digest)
