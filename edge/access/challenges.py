"""Challenges for passkeys: random, of one use and of a short life, and nothing is kept of them.

A challenge carries its own end and a code of authentication under a key of this process, so a
crowd of strangers that ask for some takes no memory and pushes out nobody's. Only those that were
met by a right answer are remembered, until their end: none is met twice.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

__all__ = ["Challenges"]

_LIFE_SECONDS = 300
_NONCE, _END, _CODE = 16, 8, 32


class Challenges:
    """Gives challenges out, and knows them again.

    Args:
        clock: POSIX seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._met: dict[bytes, int] = {}

    def new(self, purpose: str) -> bytes:
        """One for a purpose, and for no other."""
        end = int(self._clock()) + _LIFE_SECONDS
        said = secrets.token_bytes(_NONCE) + end.to_bytes(_END, "big")
        return said + self._code(said, purpose)

    def holds(self, challenge: bytes, purpose: str) -> bool:
        """Whether it was given out for this purpose, is not over, and was not met yet."""
        if len(challenge) != _NONCE + _END + _CODE:
            return False
        said, code = challenge[:-_CODE], challenge[-_CODE:]
        if not hmac.compare_digest(code, self._code(said, purpose)):
            return False
        end = int.from_bytes(said[_NONCE:], "big")
        return self._clock() < end and challenge not in self._met

    def meet(self, challenge: bytes, purpose: str) -> bool:
        """Use it up; False if it does not hold, or any more."""
        if not self.holds(challenge, purpose):
            return False
        now = self._clock()
        self._met = {one: end for one, end in self._met.items() if end > now}
        self._met[challenge] = int.from_bytes(challenge[_NONCE : _NONCE + _END], "big")
        return True

    def _code(self, said: bytes, purpose: str) -> bytes:
        return hashlib.blake2b(
            purpose.encode() + b"\0" + said, key=self._key, digest_size=_CODE
        ).digest()
