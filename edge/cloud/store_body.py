"""The body of a STOW-RS request: multipart/related, made while it is sent (PS3.18 10.5.1).

Owns the framing and the promise that Content-Length is exact, or the request breaks off: an
instance that gives other than its announced number of bytes must never shift into the next part.
What goes out is paced and counted here, for here is all of it. Memory holds one piece of one
instance. Never touches the network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from edge.cloud.archive import Outgoing
from edge.cloud.pace import Way
from edge.dicom.multipart import PART_CLOSING, closing, content_type_of, new_boundary, part_opening
from edge.errors import EdgeError, InstanceUnreadable

__all__ = ["StoreBody"]

# Only bare application/dicom: Orthanc drops a part whose type has parameters.
_MEDIA_TYPE = "application/dicom"
# Smaller pieces are joined before they go out: one packet instead of three for a small instance.
_JOIN_BELOW = 64 * 1024


class StoreBody:
    """An async iterable of bytes, to be run through once.

    Args:
        instances: In this order.
        way: Of the bytes; None if nobody cares how fast they go.
    """

    def __init__(self, instances: Sequence[Outgoing], way: Way | None = None) -> None:
        boundary = new_boundary()
        self._instances = instances
        self._opening = part_opening(boundary, {"Content-Type": _MEDIA_TYPE})
        self._closing = closing(boundary)
        framing = len(instances) * (len(self._opening) + len(PART_CLOSING)) + len(self._closing)
        self.length = framing + sum(instance.size for instance in instances)
        self.headers = {
            "Content-Type": content_type_of(_MEDIA_TYPE, boundary),
            "Content-Length": str(self.length),
        }
        self._pieces = self._joined() if way is None else self._on_its_way(way)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        """Close the stream of the instance that was under way."""
        await self._pieces.aclose()

    async def _on_its_way(self, way: Way) -> AsyncGenerator[bytes]:
        async with (
            aclosing(self._joined()) as joined,
            aclosing(way.up.paced(joined)) as pieces,
        ):
            async for piece in pieces:
                way.gauge.moved("up", len(piece))
                yield piece

    async def _joined(self) -> AsyncGenerator[bytes]:
        waiting = bytearray()
        async with aclosing(self._framed()) as pieces:
            async for piece in pieces:
                if len(waiting) + len(piece) <= _JOIN_BELOW:
                    waiting += piece
                    continue
                if waiting:
                    yield bytes(waiting)
                    waiting.clear()
                if len(piece) > _JOIN_BELOW:
                    yield piece
                else:
                    waiting += piece
        yield bytes(waiting)

    async def _framed(self) -> AsyncGenerator[bytes]:
        for instance in self._instances:
            yield self._opening
            given = 0
            try:
                async with aclosing(instance.open()) as stream:
                    async for piece in stream:
                        given += len(piece)
                        if given > instance.size:
                            break
                        yield piece
            except (EdgeError, OSError) as error:
                raise InstanceUnreadable(instance.ref.sop_uid, str(error)) from error
            if given != instance.size:
                raise InstanceUnreadable(
                    instance.ref.sop_uid, f"it gave {given} bytes, not {instance.size}"
                )
            yield PART_CLOSING
        yield self._closing
