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

Owns the last lines, too, as the page and a bundle for support show them (`Recent`): in memory,
bounded, with the same references, and gone with the process.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Line", "Nameless", "Recent", "begin_to_refer", "recent", "reference", "without_uids"]

_HIDDEN = "uid:hidden"
_DIGEST = 5
"""Bytes of a reference: among a million UIDs hardly two are alike, and then both are found."""
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+){2,}")
_STANDARD = "1.2.840.10008."
"""PS3.5 9.1: only DICOM itself gives out UIDs below it."""
_ADDRESS = 4
"""Numbers of an IP address, none of them of more than three digits."""
_LONGEST = 8000
"""Characters of a line that is kept: a traceback of some depth."""


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
        return _instead(found, self.refer)


def without_uids(text: str, refer: Callable[[str], str] | None) -> str:
    """A text with references in the place of UIDs.

    Args:
        text: Of any length.
        refer: UID -> its reference; None as long as there is no key.
    """
    return _DOTTED.sub(lambda found: _instead(found, refer), text)


def _instead(found: re.Match[str], refer: Callable[[str], str] | None) -> str:
    text = found[0]
    if not _is_uid(text):
        return text
    return _HIDDEN if refer is None else refer(text)


@dataclass(frozen=True, slots=True)
class Line:
    """Of the log; a traceback belongs to its line."""

    number: int
    """Since the process began, from 1."""
    at: float
    """POSIX seconds."""
    level: str
    """As `logging` names it."""
    name: str
    """Which part says it."""
    text: str


class Recent(logging.Handler):
    """Keeps the last lines in memory.

    Args:
        most: So many.
    """

    def __init__(self, most: int = 2000) -> None:
        super().__init__()
        self.setFormatter(Nameless("%(message)s"))
        self._lines: deque[Line] = deque(maxlen=most)
        self._number = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: D102 - its own name
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - whoever logs must not fail of it
            self.handleError(record)
            return
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]} …"
        self._number += 1
        self._lines.append(Line(self._number, record.created, record.levelname, record.name, text))

    @property
    def last(self) -> int:
        """Number of the last line that there was; 0 if there was none."""
        return self._number

    def lines(self, after: int = 0) -> list[Line]:
        """Those with higher numbers, the oldest first."""
        self.acquire()  # other threads log, too
        try:
            return [line for line in self._lines if line.number > after]
        finally:
            self.release()


def recent() -> Recent:
    """What keeps the last lines of this process; from now on, if nothing did before."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, Recent):
            return handler
    made = Recent()
    root.addHandler(made)
    return made


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
