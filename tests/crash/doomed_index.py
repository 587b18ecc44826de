"""An index in a process of its own that is killed at a step of being kept, or taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.index import connection, former, taking_back
from edge.index.connection import SCHEMA_VERSION
from tests.crash.forkserver import CONTEXT
from tests.crash.steps import Steps, watch_files

__all__ = ["NEWER", "doomed_index", "keep", "take_back"]

NEWER = SCHEMA_VERSION + 1


def keep(path: Path, key: bytes) -> None:
    """What the newer version does at its first start."""
    db = connection.connect_writer(path, key)
    former.keep_former(db, path, SCHEMA_VERSION)
    db.execute("BEGIN IMMEDIATE")
    db.execute("ALTER TABLE instances ADD COLUMN novelty TEXT NOT NULL DEFAULT 'new'")
    db.execute(f"PRAGMA user_version = {NEWER}")
    db.execute("COMMIT")
    db.close()


def take_back(path: Path, key: bytes) -> None:
    """What this version does then."""
    assert taking_back.take_back(path, key, NEWER, SCHEMA_VERSION) is not None


def _live(act: Callable[[Path, bytes], None], path: Path, key: bytes, fatal: int) -> None:
    steps = Steps(path.parent.with_suffix(".steps"), fatal, is_service=True)
    watch_files(steps)

    class Writing(connection.sqlcipher.Connection):
        def execute(self, sql: str, *parameters: Any) -> Any:
            if sql.split(maxsplit=1)[0] not in {"SELECT", "PRAGMA", "SAVEPOINT", "RELEASE"}:
                steps.reach(sql.split(maxsplit=1)[0])
            return super().execute(sql, *parameters)

    connect = connection.sqlcipher.connect
    connection.sqlcipher.connect = lambda *a, **n: connect(*a, factory=Writing, **n)
    steps.arm()
    act(path, key)
    path.parent.with_suffix(".done").write_text("\n".join(steps.names))


def doomed_index(
    act: Callable[[Path, bytes], None], path: Path, key: bytes, fatal: int
) -> list[str]:
    """Do it; die before step *fatal*.

    Returns:
        The names of all steps; none if it did not come to the end of them.
    """
    process = CONTEXT.Process(target=_live, args=(act, path, key, fatal))
    process.start()
    process.join()
    done = path.parent.with_suffix(".done")
    return done.read_text().split() if done.exists() else []
