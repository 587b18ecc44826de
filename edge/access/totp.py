"""Time-based one-time passwords (RFC 6238): six digits of an app, another every 30 seconds.

Owns the arithmetic, and what an app needs to know to do the same. Promises that a code is looked
for in three steps of time and no more, that of the box's clock, the one before and the one behind,
and that a step which was used up, or one before it, is not offered again. Keeps nothing.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode
from urllib.parse import quote

__all__ = [
    "DIGITS",
    "SECONDS",
    "code_of",
    "matching_step",
    "new_secret",
    "uri_of",
    "written",
]

DIGITS = 6
SECONDS = 30
_SECRET_BYTES = 20
"""RFC 4226 4: as long as the output of SHA-1, which is what apps know."""
_DRIFT = 1
"""RFC 6238 5.2: clocks are not exact, and typing takes a while."""


def new_secret() -> bytes:
    """One that app and box share."""
    return secrets.token_bytes(_SECRET_BYTES)


def code_of(secret: bytes, step: int) -> str:
    """The code of a step of time (RFC 4226 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: bytes, code: str, now: float, *, after: int) -> int | None:
    """The step whose code this is; None if it is none of now.

    Args:
        secret: That is shared.
        code: As it was typed: blanks don't matter.
        now: POSIX seconds.
        after: The last step that was used up.
    """
    plain = "".join(code.split())
    if len(plain) != DIGITS or not (plain.isascii() and plain.isdigit()):
        return None
    current = int(now // SECONDS)
    found = None
    for step in range(max(0, current - _DRIFT), current + _DRIFT + 1):
        # All of them, whichever fits: how long it takes says nothing.
        if hmac.compare_digest(code_of(secret, step), plain) and step > after and found is None:
            found = step
    return found


def written(secret: bytes) -> str:
    """A secret as apps take it from hand."""
    return b32encode(secret).decode()


def uri_of(secret: bytes, name: str, box: str) -> str:
    """What an app reads from a picture."""
    label = f"{quote(box, safe='')}:{quote(name, safe='')}"
    said = f"secret={written(secret)}&issuer={quote(box, safe='')}"
    return f"otpauth://totp/{label}?{said}&algorithm=SHA1&digits={DIGITS}&period={SECONDS}"
