"""OHIF's package becomes the files that ``/viewer/`` serves: checked, pared down, rewritten.

Owns which package that is, and what of it is served. Promises that nothing of a package is unpacked
whose digest is not the one that stands here, that a folder appears whole or not at all, and that
whatever this module changes gets another path, so that browsers may keep every file for ever. Asks
no network: ``scripts/viewer`` brings the package. Licence texts stay: the bundles keep their
comments, LICENSE lies beside them, and NOTICES.txt has what the bundles say of who wrote them.

What is left out is what we do not offer: models (ONNX), the slide viewer, log-in at providers, and
whatever names a host. What is changed are paths, which the package has at the root of a host.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.errors import ViewerUnusable

__all__ = ["CONTENTS", "FILES", "INTEGRITY", "LICENCE", "NAME", "PLACE", "VERSION", "install"]

NAME: Final = "@ohif/app"
VERSION: Final = "3.12.10"
LICENCE: Final = "MIT"
INTEGRITY: Final = (
    "sha512-0kuF66Mq9c9dMD++bUsTjMrJpXJwaZhz9B4uS244"
    "DawAjSkTwIYFU93pxPuRUQixaRi7QAHlF3Fe1qudBlZrmA=="
)
"""Of the package's file, as npm writes it."""
_MAKING: Final = 2
"""To be raised with every change of what is made of the same package."""
PLACE: Final = f"{VERSION}.{_MAKING}"
"""The folder's name in URLs, and the name of what was made."""
CONTENTS: Final = "contents.json"
"""What there is. It is written last."""
FILES: Final = "files"
_NOTICES: Final = "NOTICES.txt"
_PUBLIC: Final = f"/viewer/{PLACE}/"

_TOP: Final = "package/dist/"
_LICENCE: Final = "package/LICENSE"
_KEPT: Final = re.compile(
    r"[\w-]+\.bundle\.[0-9a-f]{20}\.js|app\.bundle\.css|[0-9]+\.css"
    r"|[0-9a-f]{20}\.(?:wasm|woff2)|ohif-logo(?:-light)?\.svg"
    r"|assets/favicon(?:-\d+x\d+)?\.(?:png|ico)|assets/images/[\w-]+\.png"
)
_APP: Final = re.compile(r"app\.bundle\.[0-9a-f]{20}\.js")
_MODE: Final = "@ohif/mode-longitudinal"
_PUSHED: Final = re.compile(rb'^modes\.push\("([^"]+)"\);$', re.MULTILINE)
_ROOT_OF_SCRIPT: Final = b'__webpack_require__.p = "/";'
_ROOT_OF_STYLE: Final = b"url(/"
_VIEWS: Final = b"function compileConstructor(dtype, dimension) {\n"
_OUR_VIEWS: Final = (
    b"  if (self.edgeViews)"
    b" { return self.edgeViews(dtype, dimension, CACHED_CONSTRUCTORS[dtype]); }\n"
)
_VIEWED: Final = 2
"""Copies of ndarray, which makes code while it runs: no page of the box may. Instead they ask what
``start.js`` has for them."""
_ROOTED: Final = 7
"""Scripts that say where the others are: one left out, and a worker decodes nothing."""
_PACKED: Final = frozenset({".js", ".css", ".wasm", ".svg"})
_COMMENT: Final = re.compile(rb"/\*.*?\*/", re.DOTALL)
_LEGAL: Final = re.compile(rb"/\*!|@license|@preserve|copyright|licen[cs]ed? ", re.IGNORECASE)
_MOST_BYTES: Final = 64 * 1024**2
"""Of a file in the package that is kept."""


def install(package: Path, folder: Path, integrity: str = INTEGRITY) -> None:
    """Make the folder of a package's file; what was there before is replaced.

    Crash: a name of its own holds what is being made, and is cleared by the next call. Between the
    two renames there is no viewer, which is what the box says then.

    Raises:
        ViewerUnusable: It is not that package, or not what this module knows how to change.
        OSError: It can't be read, or the folder can't be written.
    """
    _check(package, integrity)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _make(package, making)
        making.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _check(package: Path, integrity: str) -> None:
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if not hmac.compare_digest(f"sha512-{base64.b64encode(digest).decode()}", integrity):
        raise ViewerUnusable(
            f"{package.name} is not {NAME} {VERSION}, or was damaged on its way",
            hint=f"its digest must be {integrity}",
        )


def _make(package: Path, making: Path) -> None:
    """All of it, the list last."""
    files = making / FILES
    files.mkdir()
    rooted, viewed, sizes, notices = 0, 0, {}, dict[bytes, str]()
    licence = b""
    for name, data in _members(package):
        if name == _LICENCE:
            licence = data
            continue
        if name.endswith(".js"):
            rooted += _ROOT_OF_SCRIPT in data
            viewed += _VIEWS in data
            for comment in filter(_LEGAL.search, _COMMENT.findall(data)):
                notices.setdefault(comment, name)
        served = _changed(name, data)
        place = files / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(served)
        if place.suffix in _PACKED:
            packed = place.with_name(f"{place.name}.gz")
            packed.write_bytes(gzip.compress(served, 9, mtime=0))
        sizes[name] = len(served)
    apps = [name for name in sizes if _APP.fullmatch(name)]
    if not licence or (rooted, viewed) != (_ROOTED, _VIEWED) or len(apps) != 1:
        raise ViewerUnusable(f"{NAME} {VERSION} has another form than this version of edge knows")
    (making / "LICENSE").write_bytes(licence)
    (making / _NOTICES).write_bytes(_written(notices))
    contents = {"place": PLACE, "app": apps[0], "files": sizes}
    (making / CONTENTS).write_text(json.dumps(contents, indent=1, sort_keys=True) + "\n")


def _members(package: Path) -> Iterator[tuple[str, bytes]]:
    """The files that are kept. No name of the archive becomes a path but those that are known."""
    with tarfile.open(package, "r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix(_TOP)
            known = member.name == _LICENCE or (name != member.name and _KEPT.fullmatch(name))
            if not known or not member.isfile():
                continue
            if member.size > _MOST_BYTES:
                raise ViewerUnusable(f"{package.name} holds what no viewer has: {name}")
            file = archive.extractfile(member)
            assert file is not None
            yield name, file.read()


def _changed(name: str, data: bytes) -> bytes:
    """What is served instead."""
    if name.endswith(".css"):
        return data.replace(_ROOT_OF_STYLE, b"url(" + _PUBLIC.encode())
    if name.endswith(".js"):
        data = data.replace(_ROOT_OF_SCRIPT, f'__webpack_require__.p = "{_PUBLIC}";'.encode())
        data = data.replace(_VIEWS, _VIEWS + _OUR_VIEWS)
        if _APP.fullmatch(name):
            data = _PUSHED.sub(_our_mode, data)
    return data


def _our_mode(pushed: re.Match[bytes]) -> bytes:
    return pushed[0] if pushed[1] == _MODE.encode() else b""


def _written(notices: dict[bytes, str]) -> bytes:
    """What the bundles say of their authors, each once."""
    head = f"{NAME} {VERSION} is under the {LICENCE} licence: see LICENSE.\n"
    head += "These notices stand in its bundles, of which one that has it is named.\n"
    pieces = [head.encode()]
    pieces += [f"\n-- {name}\n".encode() + text + b"\n" for text, name in notices.items()]
    return b"".join(pieces)


def main(arguments: list[str]) -> int:
    """``python -m edge.viewer.package FILE FOLDER``; the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m edge.viewer.package FILE FOLDER\n")
        return 2
    try:
        install(Path(arguments[0]), Path(arguments[1]))
    except (ViewerUnusable, OSError, tarfile.TarError) as error:
        hint = getattr(error, "hint", "")
        sys.stderr.write(f"viewer: {error}\n" + (f"viewer: {hint}\n" if hint else ""))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
