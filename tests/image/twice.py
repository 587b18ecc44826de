"""Whether two builds of one commit are the same, and if not, in what they differ.

``scripts/test-image twice`` makes them, in two folders, and calls this; ``--record`` has it keep
what came of that.
"""

from __future__ import annotations

import datetime as dt
import filecmp
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.image import results

__all__ = ["differences", "main", "recorded", "root_hash"]

PARTS = ("edge.root.raw", "edge.verity.raw", "edge.efi", "edge.raw")
"""Root, its tree of hashes, kernel with that hash, and the whole disk."""
LISTS = "*.packages.txt", "*.cdx.json"


def main() -> int:
    """Compare what two builds left in two folders; the second of them shows its tools."""
    first, second = map(Path, sys.argv[1:3])
    different = list(differences(first, second))
    for line in different:
        print(f"differs: {line}")
    if not different:
        size = size_of(first) // 1_000_000
        print(f"the same: root hash {root_hash(first)}, {size} MB in {len(PARTS)} parts compared")
    if "--record" in sys.argv[3:]:
        recorded(first, is_same=not different)
    return bool(different)


def size_of(build: Path) -> int:
    """Bytes that are compared."""
    return sum((build / part).stat().st_size for part in PARTS)


def recorded(build: Path, *, is_same: bool, path: Path = results.FILE) -> None:
    """Keep what came of it."""
    line = results.Result(
        day=dt.datetime.now(dt.UTC).date().isoformat(),
        commit=(build / "commit").read_text().strip(),
        kind="passed" if is_same else "failed",
        value=size_of(build) / 1e6,
        unit="MB",
        name=f"test-image twice: two builds of the commit are the same [{build.name}]",
    )
    results.write(results.merged(results.read(path), [line]), path)


def root_hash(build: Path) -> str:
    """That which the kernel of a build checks its root by."""
    found = re.search(rb"roothash=([0-9a-f]{64})", (build / "edge.efi").read_bytes())
    assert found, f"{build} has no root hash"
    return found[1].decode()


def differences(first: Path, second: Path) -> Iterator[str]:
    """What is not the same in two builds, file by file where it is the root."""
    for pattern in (*PARTS, *LISTS):
        pairs = zip(sorted(first.glob(pattern)), sorted(second.glob(pattern)), strict=True)
        for one, other in pairs:
            if not filecmp.cmp(one, other, shallow=False):
                yield one.name
    if root_hash(first) == root_hash(second):
        return
    tools = second.parent / "tools"
    with TemporaryDirectory(dir=tools) as folder:
        trees = []
        for number, build in enumerate((first, second)):
            image = Path(folder, f"{number}.raw")
            image.hardlink_to(build / "edge.root.raw")
            tree = Path(folder, str(number))
            inside = Path("/", folder).relative_to(tools)
            subprocess.run(
                [
                    "chroot",
                    tools,
                    "fsck.erofs",
                    f"--extract=/{inside}/{number}",
                    f"/{inside}/{image.name}",
                ],
                check=True,
                capture_output=True,
            )
            trees.append(tree)
        yield from between(*trees)


def between(first: Path, second: Path) -> Iterator[str]:
    """In which files two trees differ, by content, kind, owner, mode or time."""
    names = {path.relative_to(tree) for tree in (first, second) for path in tree.rglob("*")}
    for name in sorted(names):
        one, other = first / name, second / name
        if not (one.is_symlink() or one.exists()) or not (other.is_symlink() or other.exists()):
            yield f"/{name}: only in one of them"
            continue
        said = [_facts(each) for each in (one, other)]
        if said[0] != said[1]:
            yield f"/{name}: {said[0]} and {said[1]}"
        elif one.is_file() and not one.is_symlink() and one.read_bytes() != other.read_bytes():
            yield f"/{name}: its content"


def _facts(path: Path) -> tuple[object, ...]:
    stat = path.lstat()
    leads = str(path.readlink()) if path.is_symlink() else ""
    return oct(stat.st_mode), stat.st_uid, stat.st_gid, int(stat.st_mtime), leads


if __name__ == "__main__":
    sys.exit(main())
