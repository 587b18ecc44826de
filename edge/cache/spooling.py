"""Where values wait for the instance that they are of: on the disk, sealed, one after another.

A door opens it by ``Admission.spooling``; when that ends, however it ends, nothing is left of it.
"""

from __future__ import annotations

from edge.cache.space import Reservation
from edge.store.spool import Spool

__all__ = ["Spooling"]


class Spooling:
    """All values of one request.

    Args:
        spool: Holds them.
        reservation: Counts them as bytes under way.
    """

    def __init__(self, spool: Spool, reservation: Reservation) -> None:
        self._spool = spool
        self._reservation = reservation

    @property
    def length(self) -> int:
        """Bytes that were written: where the next value begins."""
        return self._spool.length

    async def write(self, piece: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            StorageFull: There is no room for them.
        """
        self._reservation.grow(len(piece))
        await self._spool.write(piece)

    async def finish(self) -> None:
        """There is no more; from now on all of it can be read.

        Raises:
            StorageFull: There is no room for the rest.
        """
        if self._spool.length:
            await self._spool.finish()

    async def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written."""
        if not length:
            return b""  # also of a spool to which nothing was written
        return await self._spool.read(offset, length)
