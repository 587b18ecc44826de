"""The copies that are sent in place of instances which the archive refuses as they are.

A copy is made when it is sent: in another transfer syntax, with attributes that a person supplied,
or both. It waits sealed on the disk, because its length must be known before the first byte goes
out, and nothing is left of it afterwards. Promises that the digest of its data set is committed
before it can be sent, so that the archive's copy is known again whatever happens; and that the
instance itself is never touched.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from edge.cache.admission import Admission
from edge.cache.opened import InstanceEntry
from edge.cache.retrieval import Retrieval
from edge.cache.spooling import Spooling
from edge.cache.transcoding import Transcoding
from edge.dicom.digest import Digester
from edge.dicom.supplied import replacements
from edge.index import remedies
from edge.index.database import Database
from edge.index.remedies import Remedy

__all__ = ["Copy", "Remedies"]

_PIECE = 1024 * 1024


class Copy:
    """A copy that is made; valid inside the ``async with`` of ``Remedies.copy``."""

    def __init__(self, spooling: Spooling) -> None:
        self._spooling = spooling
        self.size = spooling.length
        """Bytes of its Part 10 stream."""

    async def stream(self) -> AsyncGenerator[bytes]:
        """All of it, in pieces."""
        for offset in range(0, self.size, _PIECE):
            yield await self._spooling.read(offset, min(_PIECE, self.size - offset))


class Remedies:
    """Makes copies, one at a time.

    Args:
        retrieval: Opens the instances.
        transcoding: Writes them anew.
        admission: Lends the room that a copy waits in.
        database: Remembers what was sent.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        transcoding: Transcoding,
        admission: Admission,
        database: Database,
    ) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._admission = admission
        self._database = database

    @asynccontextmanager
    async def copy(self, entry: InstanceEntry, remedy: Remedy) -> AsyncIterator[Copy]:
        """Make the copy of an instance.

        Raises:
            DecisionRefused, PixelError, NotDicom: It can't be made so, or (PixelWorkersBusy) not
                now.
            InstanceNotFound, SealBroken: The instance can't be read.
            StorageFull: There is no room for the copy.
        """
        async with self._admission.spooling() as spooling:
            digester = Digester()
            async with self._retrieval.open_instance(entry) as opened:
                supplied = replacements(remedy.attributes, opened.attributes())
                syntax = remedy.transfer_syntax or opened.entry.transfer_syntax
                pieces = self._transcoding.instance(opened, syntax, supplied)
                async with aclosing(pieces):
                    async for piece in pieces:
                        digester.update(piece)
                        await spooling.write(piece)
            await spooling.finish()
            digest = digester.digests()[1]
            await self._database.write(lambda db: remedies.note_sent(db, entry.instance_id, digest))
            yield Copy(spooling)
