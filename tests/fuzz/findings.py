"""Examples as files: what was found once is kept in ``regressions`` and tried again for good.

A target whose examples are bytes has them as they are; any other has JSON, in which bytes are
base64. Names of files say what is wrong with them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["KEPT", "keep", "kept", "read"]

KEPT = Path(__file__).parent / "regressions"
"""A folder for each target, with the examples that were findings once."""


def kept(name: str) -> list[Path]:
    """Those of a target."""
    folder = KEPT / name
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def read(path: Path, kind: Any) -> Any:
    data = path.read_bytes()
    return data if kind is bytes else msgspec.json.decode(data, type=kind)


def keep(folder: Path, name: str, example: Any) -> Path:
    """Write an example; its name in the folder of the target follows from what it is."""
    data = example if isinstance(example, bytes) else msgspec.json.encode(example)
    path = folder / name / hashlib.sha256(data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
