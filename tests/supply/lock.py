"""What is locked: the packages that run with the edge, as ``requirements.lock`` names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import edge

__all__ = ["ROOT", "Locked", "locked", "needs"]

ROOT = Path(edge.__file__).parent.parent
_ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\\n]+))?", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WITH_EXTRAS = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\[([^\]]+)\]")
_EXTRA = re.compile(r"extra == ['\"]([\w.-]+)['\"]")


@dataclass(frozen=True, slots=True)
class Locked:
    """One of them, of one version; some have another for another Python."""

    name: str
    version: str
    marker: str
    """Where it is installed; empty: everywhere."""
    hashes: tuple[str, ...]
    """SHA-256 of every file of it that may be installed."""

    @property
    def purl(self) -> str:
        """Its package url."""
        return f"pkg:pypi/{self.name}@{self.version}"


def locked(text: str | None = None) -> list[Locked]:
    """All of them, by name and version."""
    text = (ROOT / "requirements.lock").read_text() if text is None else text
    entries = list(_ENTRY.finditer(text))
    ends = [*(entry.start() for entry in entries[1:]), len(text)]
    found = [
        Locked(
            entry[1],
            entry[2],
            (entry[3] or "").strip(),
            tuple(sorted(_HASH.findall(text, entry.start(), end))),
        )
        for entry, end in zip(entries, ends, strict=True)
    ]
    return sorted(found, key=lambda one: (one.name, one.version))


def needs(name: str) -> list[str]:
    """What an installed package asks for, and its extras that others want; nothing if it is not."""
    plain = (text for text in _asked(name) if not _EXTRA.search(text))
    extras = _extras().get(_plain(name), frozenset())
    more = (text for text in _asked(name) if (found := _EXTRA.search(text)) and found[1] in extras)
    return sorted({_plain(_NAME.match(text.strip())[0]) for text in (*plain, *more)})


@cache
def _extras() -> dict[str, frozenset[str]]:
    """Package -> its extras that another one asks for."""
    found: dict[str, frozenset[str]] = {}
    for one in ("edge-cache", *(each.name for each in locked())):
        for text in _asked(one):
            if (wanted := _WITH_EXTRAS.match(text)) and not _EXTRA.search(text):
                extras = frozenset(map(str.strip, wanted[2].split(",")))
                found[_plain(wanted[1])] = found.get(_plain(wanted[1]), frozenset()) | extras
    return found


def _asked(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
