"""A package in the form of OHIF's, small enough to be made for each test."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

ROOT = b'__webpack_require__.p = "/";'
APP = "app.bundle.0123456789abcdef0123.js"
WASM = "fedcba9876543210fedc.wasm"
MODES = b'modes.push("@ohif/mode-longitudinal");\nmodes.push("@ohif/mode-segmentation");\n'
VIEWS = (
    b"function compileConstructor(dtype, dimension) {\n  var procedure = new Function(code)\n}\n"
)
NOTICE = b"/*! somebody's library | (c) somebody | MIT */"


def contents() -> dict[str, bytes]:
    """The files of a package; a test may change them."""
    scripts = {f"{number}.bundle.{number:020x}.js": ROOT for number in range(1, 7)}
    scripts[f"7.bundle.{7:020x}.js"] = VIEWS
    scripts[APP] = NOTICE + b"\n" + VIEWS + ROOT + b"\n" + MODES + b"/* no notice */\n"
    served = {
        **scripts,
        WASM: b"\0asm\1\0\0\0",
        "app.bundle.css": b"@font-face { src: url(/00000000000000000000.woff2) }",
        "assets/favicon.ico": b"icon",
        "assets/images/CT-Bone.png": b"picture",
    }
    dropped = {
        "app-config.js": b"https://elsewhere.example/dicomweb",
        "sw.js": b"a service worker",
        "google.js": b"an analytics host",
        "ort/model.wasm": b"a model's machine",
        "dicom-microscopy-viewer/viewer.min.js": b"slides",
    }
    files = {f"package/dist/{name}": data for name, data in {**served, **dropped}.items()}
    return {**files, "package/LICENSE": b"The MIT License", "package/package.json": b"{}"}


def packed(folder: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> tuple[Path, str]:
    """Write the file of a package; it and its integrity."""
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in more:
            archive.addfile(member)
    digest = hashlib.sha512(path.read_bytes()).digest()
    return path, f"sha512-{base64.b64encode(digest).decode()}"
