"""One-time codes: made at random, shown once, kept only as a hash.

With one somebody becomes a user, gets a new password, or does without a second factor that is lost.
Owns how codes look and what is kept of them. A code that is handed out has 80 random bits, so a
plain SHA-256 of it can't be turned around, as with tokens. Recovery codes have 60, for they are
taken only beside a right password, and slowly.

They are typed from paper or a telephone: Crockford's base 32, where case, spaces and hyphens don't
matter, O is 0, and I and L are 1.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from edge.written import ALPHABET

__all__ = ["Code", "digest_of", "new_code", "new_recovery_codes", "recovery_digest", "typed"]

_GROUP = 4
_CODE = 16
_RECOVERY = 12
_RECOVERY_CODES = 10
_MOST_TYPED = 64
_READ_AS = str.maketrans("OIL", "011")
_NOISE = re.compile(r"[\s-]")

Code = str
"""As it is shown: ``7K2M-Q0XE-…``."""


def new_code() -> Code:
    """One to be handed out."""
    return _new(_CODE)


def new_recovery_codes() -> list[Code]:
    """A set of them, for one user."""
    return [_new(_RECOVERY) for _ in range(_RECOVERY_CODES)]


def digest_of(text: str) -> bytes | None:
    """What is kept of a code that was handed out; None if this can be none."""
    plain = typed(text)
    return _digest("code", plain) if len(plain) == _CODE else None


def recovery_digest(name: str, text: str) -> bytes | None:
    """What is kept of a user's recovery code; None if this can be none."""
    plain = typed(text)
    return _digest(f"recovery {name}", plain) if len(plain) == _RECOVERY else None


def typed(text: str) -> str:
    """A code as somebody typed it, without what does not matter; empty if it can be none."""
    if len(text) > _MOST_TYPED:
        return ""
    plain = _NOISE.sub("", text).upper().translate(_READ_AS)
    return plain if set(plain) <= set(ALPHABET) else ""


def _new(length: int) -> Code:
    text = "".join(secrets.choice(ALPHABET) for _ in range(length))
    return "-".join(text[at : at + _GROUP] for at in range(0, length, _GROUP))


def _digest(purpose: str, plain: str) -> bytes:
    return hashlib.sha256(f"edge {purpose}\0{plain}".encode()).digest()
