"""What is locked: the packages that run with the edge, as ``requirements.lock`` names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import edge

__all__ = ["ROOT", "Locked", "locked", "needs"]

ROOT = Path(edge.__file__).parent.parent
_ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\\n]+))?", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    """What an installed package asks for, but for its extras; nothing if it is not installed."""
    try:
        asked = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    plain = (text for text in asked if "extra ==" not in text)
    return sorted({_plain(_NAME.match(text.strip())[0]) for text in plain})


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
