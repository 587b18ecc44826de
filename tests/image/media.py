"""Disks, sticks and cards as files: made, laid over another, and read without being mounted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "data_of",
    "esp_of",
    "flash",
    "form_of",
    "found_on",
    "node",
    "on_stick",
    "overlay",
    "parts",
    "raw",
    "run",
    "sector_of",
    "stick",
    "written",
]

ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
PIECE = 8 * 1024**2


def stick(path: Path, files: dict[str, bytes | Path], label: str = "SETUP") -> Path:
    """Make the image of a USB stick: a FAT file system with these files."""
    size = 64 * 1024**2
    for content in files.values():
        size += content.stat().st_size if isinstance(content, Path) else len(content)
    with path.open("wb") as file:
        file.truncate(size)
    run("mkfs.vfat", "-F", "32", "-n", label, path)
    made: set[str] = set()
    for name, content in files.items():
        folders = Path(name).parts[:-1]
        for depth in range(len(folders)):
            folder = "/".join(folders[: depth + 1])
            if folder not in made:
                run("mmd", "-i", path, f"::{folder}")
                made.add(folder)
        if isinstance(content, Path):
            run("mcopy", "-i", path, content, f"::{name}")
        else:
            run("mcopy", "-i", path, "-", f"::{name}", said=content)
    return path


def form_of(image: Path) -> str:
    """QEMU's word for how an image is written."""
    return "qcow2" if image.suffix == ".qcow2" else "raw"


def node(image: Path, name: str) -> dict[str, Any]:
    """An image as QEMU's block layer takes it (``blockdev-add``)."""
    file = {"driver": "file", "filename": str(image)}
    return {"driver": form_of(image), "node-name": name, "file": file}


def overlay(path: Path, base: Path, size: str = "") -> Path:
    """Make a disk that holds what the base has, and writes beside it."""
    words = ("-b", base.resolve(), "-F", form_of(base), path, *([size] if size else []))
    run("qemu-img", "create", "-q", "-f", "qcow2", *words)
    return path


def on_stick(path: Path, name: str) -> bytes | None:
    """What a file on a stick holds; None if it is not there."""
    done = subprocess.run(["mtype", "-i", str(path), f"::{name}"], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def run(*words: object, said: bytes = b"") -> None:
    """Run a program.

    Raises:
        RuntimeError: It failed; what it said.
    """
    done = subprocess.run(
        [str(word) for word in words], input=said, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr.decode(errors='replace')}")


def esp_of(image: Path) -> str:
    """The ESP on the image of a disk, as mtools and `on_stick` name a file system."""
    return f"{image}@@{_part(image, ESP)[0]}"


def sector_of(image: Path) -> int:
    """Bytes of a sector of the FAT on the ESP of a disk's image, as that says itself."""
    with image.open("rb") as file:
        file.seek(_part(image, ESP)[0] + 11)  # BPB_BytsPerSec
        return int.from_bytes(file.read(2), "little")


def flash(path: Path, image: Path, files: dict[str, bytes]) -> Path:
    """A copy of a disk's image, with files on its boot partition."""
    run("cp", "--sparse=always", image, path)
    for name, content in files.items():
        # mmd of what is there fails, and changes nothing.
        subprocess.run(
            ["mmd", "-D", "s", "-i", esp_of(path), f"::{Path(name).parent}"],
            capture_output=True,
            check=False,
        )
        run("mcopy", "-i", esp_of(path), "-", f"::{name}", said=content)
    return path


def raw(path: Path, disk: Path) -> Path:
    """What is on a disk, block by block, as a file with holes."""
    run("qemu-img", "convert", "-O", "raw", disk, path)
    return path


def data_of(image: Path) -> tuple[int, int]:
    """Where the data partition lies on the image of a disk: its first byte, and the one behind."""
    return _part(image, "edge-data")


def parts(image: Path) -> list[dict[str, Any]]:
    """The partition table, as sfdisk tells it, in bytes."""
    said = subprocess.run(["sfdisk", "--json", str(image)], capture_output=True, check=True)
    table = json.loads(said.stdout)["partitiontable"]
    sector = int(table.get("sectorsize", 512))
    return [
        {**part, "start": part["start"] * sector, "size": part["size"] * sector}
        for part in table["partitions"]
    ]


def _part(image: Path, what: str) -> tuple[int, int]:
    found = next(part for part in parts(image) if what in (part["type"], part.get("name")))
    return found["start"], found["start"] + found["size"]


def written(image: Path, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Where the raw image of a disk is no hole: the first byte, and the one behind.

    Args:
        image: Of a disk.
        begin: The first byte that is looked at.
    """
    with image.open("rb") as file:
        position = begin
        while True:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # there is nothing but a hole
                return
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield start, position


def found_on(image: Path, needles: Sequence[bytes], begin: int = 0) -> set[bytes]:
    """Which of these stand anywhere on the image of a disk.

    Args:
        image: A raw one.
        needles: Each shorter than 4 KiB.
        begin: The first byte that is looked at.
    """
    found: set[bytes] = set()
    with image.open("rb") as file:
        for start, end in written(image, begin):
            file.seek(start)
            tail = b""
            while piece := file.read(min(PIECE, end - file.tell())):
                found |= {needle for needle in needles if needle in tail + piece}
                tail = piece[-4096:]
    return found
