"""Reads an instance back from an archive, and says whether it is ours. Changes nothing."""

from __future__ import annotations

import logging
from contextlib import aclosing

from edge.cache.custody import Settlement, Theirs
from edge.cloud.archive import Archive
from edge.dicom.digest import Digester
from edge.dicom.instance import Custody, InstanceRef
from edge.sync.link import Link

__all__ = ["digest_of", "other_bytes"]

log = logging.getLogger(__name__)

_OTHER_BYTES = "the archive has other bytes under this UID"


async def digest_of(archive: Archive, link: Link, ref: InstanceRef) -> Digester:
    """What the archive has of an instance.

    Raises:
        CloudError: It can't be read now.
        InstanceNotFound: It is not there.
        NotDicom: What is there is no DICOM.
        LineClosed: Nothing may come over the line now.
    """
    digester = Digester()
    async with (
        aclosing(archive.retrieve_instance(ref)) as stream,
        aclosing(link.line.incoming(stream)) as pieces,
    ):
        async for piece in pieces:
            digester.update(piece)
    return digester


def other_bytes(
    archive: Archive, instance_id: int, ref: InstanceRef, seen: Digester | None
) -> Settlement:
    """A conflict, for the log and the ledger; *seen* None: what is there is no DICOM."""
    log.error(
        "archive %s has other bytes than ours under instance %s; both are kept",
        archive.name,
        ref.sop_uid,
    )
    theirs = None if seen is None else Theirs(seen.digests()[1], seen.transfer_syntax, seen.length)
    return Settlement(instance_id, Custody.CONFLICT, _OTHER_BYTES, theirs=theirs)
