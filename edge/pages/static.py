"""Files of pages: style, scripts, icons, and the words that scripts say.

Owns what is served below ``/page/static``. The name of the whole tree stands in the path of each
file, and is made of all their bytes: whoever has one may keep it for a year, modules find each
other by relative names, and after an upgrade nothing old is used. All of it is in memory, gzipped
once. Nothing of it is secret, and nobody is asked who they are.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.pages.words import Messages

__all__ = ["File", "Tree", "read_tree", "texts_in"]

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_TEXT: Final = re.compile(r"""\b(?:_|ngettext)\(\s*"((?:[^"\\\n]|\\.)*)\"""")
"""What a script has from the catalogue; the tests hold that each is one plain literal."""
_IMPORT: Final = re.compile(r'^(?:import|export)\b[^;"]*"\./([\w.-]+)";', re.MULTILINE)
"""What a script imports, from its own folder."""


@dataclass(frozen=True, slots=True)
class File:
    """One of them."""

    media_type: str
    body: bytes
    gzipped: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """All of them."""

    name: str
    files: Mapping[str, File]

    def url(self, name: str) -> str:
        """Where a file is.

        Raises:
            KeyError: There is none.
        """
        if name not in self.files:
            raise KeyError(name)
        return f"/page/static/{self.name}/{name}"

    def modules(self, name: str) -> list[str]:
        """A script and what it imports, and what those import, by their names; itself first."""
        found, waiting = [], [name]
        while waiting:
            one = waiting.pop(0)
            if one in found:
                continue
            found.append(one)
            folder = one.rpartition("/")[0]
            script = self.files[one].body.decode()
            waiting += (f"{folder}/{other}" for other in _IMPORT.findall(script))
        return found


def texts_in(script: str) -> list[str]:
    """The messages that a script uses."""
    return [text.replace('\\"', '"').replace("\\\\", "\\") for text in _TEXT.findall(script)]


def read_tree(folder: Path, languages: Mapping[str, Messages]) -> Tree:
    """Read them; blocks.

    Args:
        folder: Where they are.
        languages: By their codes.
    """
    bodies: dict[str, bytes] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }
    scripts = [body.decode() for name, body in bodies.items() if name.endswith(".js")]
    used = _all(texts_in(script) for script in scripts)
    for code, messages in languages.items():
        bodies[f"words/{code}.js"] = messages.for_scripts(used)
    digest = hashlib.sha256()
    for name, body in sorted(bodies.items()):
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    files = {
        name: File(_TYPES[Path(name).suffix], body, gzip.compress(body, 9, mtime=0))
        for name, body in bodies.items()
    }
    return Tree(digest.hexdigest()[:16], files)


def _all(lists: Iterable[list[str]]) -> set[str]:
    return {one for each in lists for one in each}
