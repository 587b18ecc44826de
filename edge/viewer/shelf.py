"""The files of ``/viewer/``: those that were made of OHIF, and our own styles and scripts.

Promises that no path comes from a request: what a name leads to is known before anybody asks, and
what is not listed is not there. Every address of a file holds what it was made of, so that it never
means other bytes. Reads disks only in `open_shelf`, before anything is served.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from edge.config import Page
from edge.errors import ViewerUnusable
from edge.viewer.package import CONTENTS, FILES, PLACE, VERSION

__all__ = ["MEDIA_TYPES", "Own", "Shelf", "folder_of", "open_shelf"]

_DEFAULT: Final = Path(sys.prefix) / "share" / "edge" / "viewer"
"""Where ``scripts/viewer`` puts it: beside the packages that run."""
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
"""Of every file that is served: a browser compiles WebAssembly of no other type as it comes."""
log = logging.getLogger(__name__)

_OWN: Final = Path(__file__).parent / "files"


@dataclass(frozen=True, slots=True)
class Own:
    """A file of ours, whole in memory: they are small."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """What can be served."""

    own: Mapping[str, Own]
    """Name below ``own/`` -> a style sheet or script of ours."""
    values: Mapping[str, object]
    """What the templates of pages want: the addresses of files, and whether OHIF is there."""
    made: Mapping[str, Path] = field(default_factory=dict)
    """Path below ``/viewer/`` -> a file that was made of OHIF; empty if there is none."""


class _Contents(msgspec.Struct):
    place: str
    app: str
    files: dict[str, int]


def folder_of(page: Page) -> Path:
    """Where what was made of OHIF is, or would be."""
    return page.viewer if page.viewer != Path() else _DEFAULT


def open_shelf(folder: Path) -> Shelf:
    """Look what there is. A viewer that is missing or broken is no error: it is said."""
    made: dict[str, Path] = {}
    fault, app = "", ""
    try:
        contents = _contents(folder)
    except ViewerUnusable as error:
        fault = str(error)
        log.info("%s; scripts/viewer makes it", error)
    else:
        files, app = folder / FILES, contents.app
        made = {f"{PLACE}/{name}": files / name for name in contents.files}
        made |= {f"{PLACE}/{name}": files.parent / name for name in ("LICENSE", "NOTICES.txt")}
    own, addresses = _own()
    values = {
        "own": addresses,
        "app": f"/viewer/{PLACE}/{app}",
        "ohif": f"/viewer/{PLACE}",
        "version": VERSION,
        "installed": bool(made),
        "fault": fault,
    }
    return Shelf(own, values, made)


def _contents(folder: Path) -> _Contents:
    """The list in the folder.

    Raises:
        ViewerUnusable: There is none, or it is of another version of the edge.
    """
    try:
        contents = msgspec.json.decode((folder / CONTENTS).read_bytes(), type=_Contents)
    except FileNotFoundError as error:
        raise ViewerUnusable(f"there is no viewer in {folder}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise ViewerUnusable(f"the viewer in {folder} can't be read: {error}") from error
    if contents.place != PLACE:
        raise ViewerUnusable(f"the viewer in {folder} is {contents.place}, and {PLACE} is needed")
    for name, size in contents.files.items():
        path = folder / FILES / name
        if ".." in path.parts or not path.is_file() or path.stat().st_size != size:
            raise ViewerUnusable(f"the viewer in {folder} is damaged: {name}")
    return contents


def _own() -> tuple[dict[str, Own], dict[str, str]]:
    """Our style sheets and scripts, and their addresses, as pages name them: ``plain_js``."""
    own, addresses = {}, {}
    for path in sorted(_OWN.iterdir()):
        data = path.read_bytes()
        name = f"{path.stem}.{hashlib.sha256(data).hexdigest()[:16]}{path.suffix}"
        own[name] = Own(data, MEDIA_TYPES[path.suffix])
        addresses[f"{path.stem}_{path.suffix[1:]}"] = f"/viewer/own/{name}"
    return own, addresses
