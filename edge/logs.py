"""What stands in a line of the log in place of a UID.

UIDs of studies, series and instances are patient data: whoever has another list of them can tell
who was here. They stand in errors, and who asked may read them there; the log goes to the journal
in the clear, to whoever collects it, and into requests for help. So a line has a reference in the
place of each: ``uid:`` and ten digits, a MAC under a key that the box derives for this alone. The
same UID has the same reference in every line of a box, another one on another box, and ``edge log
find`` tells on the box what it stands for.

Promises that no UID gets through, wherever in a line or a traceback it stands, before the box is
open, too: then it is ``uid:hidden``. Those that DICOM itself gives out, of SOP classes and transfer
syntaxes, say nothing of anybody and stay. What has the form of a UID and is none, is hidden as
well; IP addresses are told from UIDs and stay.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable

__all__ = ["Nameless", "begin_to_refer", "reference"]

_HIDDEN = "uid:hidden"
_DIGEST = 5
"""Bytes of a reference: among a million UIDs hardly two are alike, and then both are found."""
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
_STANDARD = "1.2.840.10008."
"""PS3.5 9.1: only DICOM itself gives out UIDs below it."""
_ADDRESS = 4
"""Numbers of an IP address, none of them of more than three digits."""


def reference(key: bytes, uid: str) -> str:
    """What stands for a UID in the log of the box that has this key."""
    return f"uid:{hashlib.blake2b(uid.encode(), key=key, digest_size=_DIGEST).hexdigest()}"


class Nameless(logging.Formatter):
    """Writes lines in which references stand in the place of UIDs."""

    refer: Callable[[str], str] | None = None
    """UID -> its reference; None as long as there is no key."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102 - its own name
        return _DOTTED.sub(self._instead, super().format(record))

    def _instead(self, found: re.Match[str]) -> str:
        text = found[0]
        if not _is_uid(text):
            return text
        return _HIDDEN if self.refer is None else self.refer(text)


def begin_to_refer(refer: Callable[[str], str]) -> None:
    """Have every line of this process's log name UIDs by what *refer* gives, from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Nameless):
            handler.formatter.refer = refer


def _is_uid(text: str) -> bool:
    if text.startswith(_STANDARD):
        return False
    parts = text.split(".")
    return len(parts) > _ADDRESS or any(len(part) > 3 for part in parts)
