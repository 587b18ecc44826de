"""What took long and came to nothing: it is not tried again for a while.

Owns the memory of such failures, by the bytes that were at fault, so that whoever asks next, in
whatever form and under whatever name, is told at once. What fails quickly is not worth a place. A
failure is forgotten after some minutes: it may have been the box that was short of time or memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from edge.pixels.messages import Request

__all__ = ["Failures"]

_COSTLY: Final = 1.0
"""Seconds from which a failure is worth remembering."""
_SECONDS: Final = 600.0
"""For so long it is."""
_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class _Key:
    subject: Hashable
    """What was wanted of the bytes; the description of the image alone, if that does not matter."""
    length: int
    digest: bytes


class Failures:
    """The last costly ones.

    Args:
        clock: Gives seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[float, str]] = OrderedDict()
        """Until when, and why it failed; the oldest first."""

    async def find(self, request: Request, frame: bytes) -> str:
        """Why a request for this frame is known to fail; empty if that is not known."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        subjects = (request.image, _wish(request))
        # Bytes are only looked at if some like them failed: that is nearly never.
        alike = [key for key in self._kept if key.length == len(frame) and key.subject in subjects]
        if not alike:
            return ""
        digest = await asyncio.to_thread(_digest, frame)
        return next((self._kept[key][1] for key in alike if key.digest == digest), "")

    async def note(
        self, request: Request, frame: bytes, reason: str, *, seconds: float, damaged: bool
    ) -> None:
        """Remember a failure, if it was a costly one.

        Args:
            request: What failed.
            frame: The first one of it.
            reason: In words.
            seconds: That it took.
            damaged: Nothing else can be made of this frame either, in whatever form.
        """
        if seconds < _COSTLY:
            return
        subject = request.image if damaged else _wish(request)
        key = _Key(subject, len(frame), await asyncio.to_thread(_digest, frame))
        self._kept.pop(key, None)
        self._kept[key] = (self._clock() + _SECONDS, reason)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _wish(request: Request) -> Hashable:
    """What was wanted of the frame, and in which form."""
    form = (request.transfer_syntax, request.presentation, request.frames)
    return request.kind, request.image, form


def _digest(frame: bytes) -> bytes:
    return hashlib.blake2b(frame, digest_size=16).digest()
