"""One connection to the index's file: how it is opened, checked and migrated; what its errors mean.

SQLCipher's errors are not those of the standard library's ``sqlite3``. They are translated here,
once: a damaged file is ``DatabaseBroken``, a full disk ``StorageFull``.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from edge.dicom.names import fold_name, is_alike
from edge.dicom.query import instant, moment
from edge.errors import EdgeError, SecretError, StorageFull
from edge.index.former import keep_former

__all__ = [
    "Connection",
    "DatabaseBroken",
    "NewerIndex",
    "check",
    "connect",
    "connect_writer",
    "damage",
    "roll_back",
    "suspicion",
    "translated",
]

Connection = Any
"""A connection of SQLCipher's DB-API module, which has no types of its own."""

SCHEMA_VERSION = 20
"""Of ``schema.sql``; `migrations` has a file for every version after the first."""
_NEARLY_FULL = 1024 * 1024
"""Free bytes below which SQLite's failures are put down to the full disk: they go by many names."""


class NewerIndex(SecretError):
    """The file was written by a version that is newer than this one."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"the index was written by a newer version ({version} > {SCHEMA_VERSION})",
            hint="install the newer version again",
        )
        self.version = version


class DatabaseBroken(EdgeError):
    """The file is not a database that the key opens, though the key is right."""


def _inflated(document: bytes | None) -> str:
    return "{}" if document is None else zlib.decompress(document).decode()


def _moment(time: object) -> str:
    return moment(str(time), "0")


def _instant(time: object) -> str:
    return instant(str(time), "0")


def _alike(name: str, words: str) -> bool:
    return is_alike(name, words.split(" "))


_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "inflated": (1, _inflated),
    "folded": (1, fold_name),
    "alike": (2, _alike),
    "moment": (1, _moment),
    "instant": (1, _instant),
}
"""What searches need beyond SQLite's own functions."""


def connect(path: Path, key: bytes, *, cache_kib: int) -> Connection:
    """A connection that reads.

    Raises:
        DatabaseBroken: The file was damaged, or is not ours.
        StorageFull: The disk is full.
        EdgeError: It can't be opened now.
    """
    db = sqlcipher.connect(str(path), check_same_thread=False, isolation_level=None, timeout=10)
    try:
        db.execute("PRAGMA cipher_log_level = NONE")  # its errors are raised, and logged by us
        db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        # Every page that is read or written is authenticated; processors are quicker at this one.
        db.execute("PRAGMA cipher_hmac_algorithm = HMAC_SHA256")
        db.execute(f"PRAGMA cache_size = -{cache_kib}")
        db.execute("PRAGMA temp_store = MEMORY")  # nothing readable in a temporary file
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for name, (arguments, call) in _FUNCTIONS.items():
            db.create_function(name, arguments, call, deterministic=True)
    except sqlcipher.DatabaseError as error:
        db.close()
        meaning = translated(error, path)
        if isinstance(meaning, EdgeError):
            raise meaning from error
        # A lock or a missing right says nothing against the file itself.
        raise EdgeError(f"{path.name} can't be opened: {error}") from error
    return db


def connect_writer(path: Path, key: bytes) -> Connection:
    """The connection that writes; makes the file if it is not there, and migrates it forward.

    Raises:
        NewerIndex: The file was written by a newer version.
        DatabaseBroken, StorageFull, EdgeError: As ``connect``.
    """
    path.touch(mode=0o600)
    db = connect(path, key, cache_kib=16 * 1024)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 16777216")
        if _version(db) == 0:
            _make_schema(db)
        elif _version(db) < SCHEMA_VERSION:
            keep_former(db, path, _version(db))
        version = _migrate(db)
    except sqlcipher.Error as error:
        db.close()
        raise translated(error, path) from error
    except BaseException:
        db.close()
        raise
    if version > SCHEMA_VERSION:
        db.close()
        raise NewerIndex(version)
    return db


def _make_schema(db: Connection) -> None:
    schema = resources.files("edge.index").joinpath("schema.sql").read_text("utf-8")
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    except sqlcipher.OperationalError:
        # Somebody else was first with it, or else it can't be done.
        roll_back(db)
        if _version(db) == 0:
            raise


def _migrate(db: Connection) -> int:
    """Bring an older schema up to this version, all of it in one transaction; which version it is.

    A crash leaves the schema as it was, and the next start does it again.
    """
    if (version := _version(db)) >= SCHEMA_VERSION:
        return version
    folder = resources.files("edge.index").joinpath("migrations")
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first with it.
        for number in range(_version(db) + 1, SCHEMA_VERSION + 1):
            for statement in _statements(folder.joinpath(f"{number:04}.sql").read_text("utf-8")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    except BaseException:
        roll_back(db)
        raise
    return _version(db)


def _statements(script: str) -> Iterator[str]:
    """One by one: the driver commits before it runs a whole script."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _version(db: Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def suspicion(path: Path) -> Path:
    """The file that says that damage was met while the index at *path* was in use."""
    return path.with_name(f"{path.name}.suspect")


def check(path: Path, key: bytes) -> None:
    """Authenticate every page of the file, which takes about half a second for 100,000 instances.

    Where damage was met while it was in use, its structure is gone through as well.

    Raises:
        DatabaseBroken: A page was changed, or the structure is wrong.
        EdgeError: It can't be checked now.
    """
    db = connect(path, key, cache_kib=8 * 1024)
    try:
        # Pages that lie in the write-ahead log are not looked at otherwise.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        faults = db.execute("PRAGMA cipher_integrity_check").fetchmany(1)
        if not faults and suspicion(path).exists():
            faults = [row for row in db.execute("PRAGMA quick_check(1)") if row != ("ok",)]
    except sqlcipher.Error as error:
        raise translated(error, path) from error
    finally:
        db.close()
    if faults:
        raise DatabaseBroken(f"{path.name} is damaged: {faults[0][0]}")
    suspicion(path).unlink(missing_ok=True)


def damage(error: BaseException, path: Path) -> DatabaseBroken | None:
    """What an error says of the file, if that is damaged."""
    if type(error) is sqlcipher.DatabaseError:  # of its subclasses, none speaks of damage
        return DatabaseBroken(f"{path.name} is damaged: {error}")
    return None


def translated(error: BaseException, path: Path) -> BaseException:
    """What an error of a write means; another one is given back as it is. May ask the disk."""
    if isinstance(error, sqlcipher.OperationalError):
        full = "full" in str(error) or shutil.disk_usage(path.parent).free < _NEARLY_FULL
        return StorageFull("the disk is full; the index could not be written") if full else error
    return damage(error, path) or error


def roll_back(db: Connection) -> None:
    """End the transaction without its changes, in whatever state an error has left it."""
    with contextlib.suppress(sqlcipher.Error):
        if db.in_transaction:
            db.execute("ROLLBACK")
