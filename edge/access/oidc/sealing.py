"""What leaves for a browser, or for the index, and must come back as it was: sealed.

Owns the form. A log-in that was begun goes to its browser as a cookie; a refresh token goes into
the index. Promises that either can be read and made by this box alone, and that neither passes for
the other, nor one person's for another's.

    version, nonce, AES-256-GCM(content), bound to what it is and whose
"""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Seal"]

_VERSION = b"\x01"
_NONCE = 12


class Seal:
    """Seals and opens.

    Args:
        key: 32 bytes that are derived for this alone.
    """

    def __init__(self, key: bytes) -> None:
        self._box = AESGCM(key)

    def close(self, content: bytes, *bound: str) -> bytes:
        """Seal it; it opens with the same *bound* alone."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._box.encrypt(nonce, content, _bound(bound))

    def open(self, sealed: bytes, *bound: str) -> bytes | None:
        """What was sealed so; None if it was not."""
        nonce, box = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        if sealed[:1] != _VERSION or len(nonce) != _NONCE:
            return None
        try:
            return self._box.decrypt(nonce, box, _bound(bound))
        except InvalidTag:
            return None

    def as_text(self, content: bytes, *bound: str) -> str:
        """The same, as it can stand in a cookie."""
        return base64.urlsafe_b64encode(self.close(content, *bound)).decode().rstrip("=")

    def from_text(self, text: str, *bound: str) -> bytes | None:
        """What was sealed as text; None if it was not."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except ValueError:
            return None
        return self.open(sealed, *bound)


def _bound(parts: tuple[str, ...]) -> bytes:
    # Each with its length: no two ways to say the same bytes.
    return _VERSION + b"".join(
        len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts
    )
