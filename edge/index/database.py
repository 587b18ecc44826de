"""The encrypted database: one writer with group commit, a few readers.

What it owns is ``index.db`` (SQLCipher, WAL, synchronous FULL). One thread owns the one write
connection. Writes that arrive while a commit is under way share the next one: each is a function
of the connection, run in a savepoint of its own, so that one that fails takes nothing of the others
with it. ``write`` returns after the commit is durable, and not before; that is the crash story.

Reads go to connections of their own and see the last commit; they never wait for a writer.

SQLCipher's errors are not those of the standard library's ``sqlite3``; nothing outside this file
needs to know.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import zlib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiosqlite
from sqlcipher3 import dbapi2 as sqlcipher

from edge.dicom.query import fold_name, moment
from edge.errors import EdgeError, SecretError, StorageFull

__all__ = ["Connection", "Database", "DatabaseBroken"]

T = TypeVar("T")
Connection = Any
"""A connection of SQLCipher's DB-API module, which has no types of its own."""

SCHEMA_VERSION = 1
_BATCH = 512
"""Writes that share a commit at the most."""


def _inflated(document: bytes | None) -> str:
    return "{}" if document is None else zlib.decompress(document).decode()


def _moment(time: object) -> str:
    return moment(str(time), "0")


_FUNCTIONS = {"inflated": _inflated, "folded": fold_name, "moment": _moment}
"""What searches need beyond SQLite's own functions."""


class DatabaseBroken(EdgeError):
    """The file is not a database that the key opens, though the key is right."""


def _connect(path: Path, key: bytes, *, cache_kib: int) -> Connection:
    db = sqlcipher.connect(str(path), check_same_thread=False, isolation_level=None, timeout=10)
    try:
        db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        db.execute(f"PRAGMA cache_size = -{cache_kib}")
        db.execute("PRAGMA temp_store = MEMORY")  # nothing readable in a temporary file
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for name, call in _FUNCTIONS.items():
            db.create_function(name, 1, call, deterministic=True)
    except sqlcipher.DatabaseError as error:
        db.close()
        # A full disk, a lock or a missing right says nothing against the file itself.
        kind = EdgeError if isinstance(error, sqlcipher.OperationalError) else DatabaseBroken
        raise kind(f"{path.name} can't be opened: {error}") from error
    return db


class _Write:
    """One function that waits for the writer."""

    def __init__(self, call: Callable[[Connection], Any]) -> None:
        self.call = call
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def deliver(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class Database:
    """The index's file, open.

    Args:
        path: ``index.db``; made if it is not there.
        key: 32 bytes, used as they are (no passphrase derivation).
        readers: Connections that searches share.
    """

    def __init__(self, path: Path, key: bytes, *, readers: int = 2) -> None:
        self._path = path
        self._key = key
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._reader_count = readers
        self._opened: list[aiosqlite.Connection] = []
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="index-writer", daemon=True)
        self._db: Connection = None
        self.created = False
        """Whether this start made the file."""

    async def __aenter__(self) -> Self:
        """Open, and migrate forward.

        Raises:
            DatabaseBroken: The file was damaged, or is not ours.
            SecretError: The file was written by a newer version.
        """
        try:
            self._db = await asyncio.to_thread(self._open)
            self._thread.start()
            for _ in range(self._reader_count):
                reader = aiosqlite.Connection(
                    lambda: _connect(self._path, self._key, cache_kib=8 * 1024), iter_chunk_size=256
                )
                self._opened.append(reader)
                await reader
                self._readers.put_nowait(reader)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        """End every thread that was begun, however far opening got."""
        for reader in self._opened:
            await reader.close()
        if self._thread.ident is not None:
            self._writes.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._db is not None:
            self._db.close()

    async def write(self, call: Callable[[Connection], T]) -> T:
        """Run *call* in a transaction; its result is returned once that is durable.

        *call* runs in the writer's thread and must be quick. A caller that is cancelled while it
        waits does not know whether it happened.

        Raises:
            StorageFull: The disk is full.
            Exception: What *call* raised; nothing that it did is kept.
        """
        write = _Write(call)
        self._writes.put(write)
        answer: T = await write.answer
        return answer

    async def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        reader = await self._readers.get()
        try:
            return list(await reader.execute_fetchall(sql, parameters))  # type: ignore[arg-type]
        finally:
            self._readers.put_nowait(reader)

    def _open(self) -> Connection:
        self.created = not self._path.exists() or self._path.stat().st_size == 0
        self._path.touch(mode=0o600)
        db = _connect(self._path, self._key, cache_kib=16 * 1024)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 16777216")
        if _version(db) == 0:
            schema = resources.files("edge.index").joinpath("schema.sql").read_text("utf-8")
            try:
                db.executescript(
                    f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            except sqlcipher.OperationalError:
                # Somebody else was first with it, or else it can't be done.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if _version(db) == 0:
                    db.close()
                    raise
        if (version := _version(db)) > SCHEMA_VERSION:
            db.close()
            raise SecretError(
                f"the index was written by a newer version ({version} > {SCHEMA_VERSION})",
                hint="install the newer version again",
            )
        return db

    def _serve(self) -> None:
        """The writer's thread."""
        while (first := self._writes.get()) is not None:
            batch, stop = [first], False
            while len(batch) < _BATCH:
                try:
                    following = self._writes.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                batch.append(following)
            self._commit(batch)
            for loop in {write.loop for write in batch}:
                deliveries = [write for write in batch if write.loop is loop]
                loop.call_soon_threadsafe(_deliver, deliveries)
            if stop:
                return

    def _commit(self, batch: list[_Write]) -> None:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            for write in batch:
                db.execute("SAVEPOINT one")
                try:
                    write.result = write.call(db)
                except Exception as error:  # noqa: BLE001 - it is the caller's, and goes there
                    db.execute("ROLLBACK TO one")
                    write.error = _translated(error)
                db.execute("RELEASE one")
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the whole batch failed, and each caller learns it
            if db.in_transaction:
                db.execute("ROLLBACK")
            for write in batch:
                write.error = _translated(error)


def _version(db: Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _deliver(writes: list[_Write]) -> None:
    for write in writes:
        write.deliver()


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, sqlcipher.OperationalError) and "full" in str(error):
        return StorageFull("the disk is full; the index could not be written")
    return error
