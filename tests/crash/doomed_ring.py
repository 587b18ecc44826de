"""A ring of keys in a process of its own that is killed at a step of what is done to it."""

from __future__ import annotations

from pathlib import Path

from edge.crypto import rotation
from edge.crypto.keys import KeyRing
from tests.crash.forkserver import CONTEXT
from tests.crash.steps import Steps, watch_files
from tests.crypto.rings import Fixed

__all__ = ["doomed_ring"]


def _live(path: Path, root: bytes, new_root: bytes | None, fatal: int) -> None:
    rotation._LOT = 4
    steps = Steps(path.with_suffix(".steps"), fatal, is_service=True)
    watch_files(steps)
    steps.arm()
    keys = KeyRing(path, Fixed(root), may_create=False)
    if new_root is not None:
        keys.rewrap_root(new_root)
    keys.rotate()
    keys.close()
    path.with_suffix(".done").write_text("\n".join(steps.names))


def doomed_ring(path: Path, root: bytes, new_root: bytes | None, fatal: int) -> list[str]:
    """Change the root, if that is wanted, and rotate; die before step *fatal*.

    Returns:
        The names of all steps; none if it did not come to the end of them.
    """
    process = CONTEXT.Process(target=_live, args=(path, root, new_root, fatal))
    process.start()
    process.join()
    done = path.with_suffix(".done")
    return done.read_text().split() if done.exists() else []
