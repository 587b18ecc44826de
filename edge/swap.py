"""Whether the kernel may write this process's memory, with keys in it, to a disk in the clear.

Python can't wipe what it copied, nor lock all of its memory: so swap has to be off, encrypted, in
memory itself (zram), or forbidden to the service, as its unit does (``MemorySwapMax=0``). This says
which of swap's areas is none of that. Owns nothing, and changes nothing. Reads a few files of /proc
and /sys: calls block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["exposure"]


def exposure(root: Path = Path("/")) -> str:
    """Why swap is a danger here, in words; empty if it is none."""
    if _is_forbidden(root):
        return ""
    clear = [name for name in _areas(root) if not _is_safe(root, name)]
    if not clear:
        return ""
    return (
        f"swap is on and not encrypted ({', '.join(sorted(clear))}): keys and images may be written"
        " there; turn it off, encrypt it, or give the service MemorySwapMax=0"
    )


def _is_forbidden(root: Path) -> bool:
    """Whether this process, or all of its group of processes, is never swapped."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        if not line.startswith("0::/"):
            continue
        group = root / "sys/fs/cgroup"
        for part in Path(line.removeprefix("0::/")).parts:
            group /= part
            if _read(group / "memory.swap.max").strip() == "0":
                return True
    return False


def _areas(root: Path) -> Iterator[str]:
    """Devices and files that are swapped to."""
    for line in _read(root / "proc/swaps").splitlines()[1:]:
        if words := line.split():
            yield words[0].replace("\\040", " ")


def _is_safe(root: Path, area: str) -> bool:
    path = root / area.lstrip("/")
    try:
        if path.is_file():
            device = path.stat().st_dev
            number = f"{os.major(device)}:{os.minor(device)}"
            # A file system of several devices has a number that is none of theirs.
            name = (root / "sys/dev/block" / number).resolve(strict=True).name
        else:
            name = path.resolve().name
    except OSError:
        return False
    return _is_encrypted(root, name)


def _is_encrypted(root: Path, name: str) -> bool:
    """Whether what is written to a block device reaches no disk in the clear."""
    device = root / "sys/class/block" / name
    if name.startswith("zram"):
        return _read(device / "backing_dev").strip() in ("", "none")
    if _read(device / "dm/uuid").startswith("CRYPT-"):
        return True
    below = [each.name for each in (device / "slaves").glob("*")]
    return bool(below) and all(_is_encrypted(root, each) for each in below)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
