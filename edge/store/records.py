"""Sealed records: small files that tell an index which is made anew what no object says.

What it owns is one folder below ``data_dir``, a file for each record. They have a key of their own,
so that they open when the keys of what they speak of are destroyed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import secrets
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from edge.crypto.durable import sync_folder, write_file
from edge.crypto.keys import KeyRing
from edge.crypto.sealed import HEADER_LENGTH, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import SealBroken, StorageFull

__all__ = ["Record", "Records"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{32}")
_NO_KEY = bytes(KEY_ID_LENGTH)
"""Where objects name their study's key: these have none."""


class Record(msgspec.Struct, frozen=True):
    """One record."""

    at: float
    """POSIX seconds."""


R = TypeVar("R", bound=Record)


class Records(Generic[R]):
    """The records of one kind.

    Args:
        folder: ``data_dir``.
        keys: The ring that their key is derived from.
        kind: What they are.
        name: Of their folder.
        what: They are of, for messages.
        algorithm: What new records are sealed with.
    """

    def __init__(
        self,
        folder: Path,
        keys: KeyRing,
        kind: type[R],
        *,
        name: str,
        what: str,
        algorithm: Algorithm,
    ) -> None:
        self._folder = folder / name
        self._secret = keys.derive(name)
        self._kind = kind
        self._what = what
        self._algorithm = algorithm

    async def write(self, record: R) -> str:
        """Keep a record; it is durable when its name is returned.

        Raises:
            StorageFull: The disk is full.
        """
        return await asyncio.to_thread(self._write, record)

    async def remove(self, name: str) -> None:
        """Remove a record; it is no error if there is none."""
        await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)

    async def read(self, name: str) -> R | None:
        """One record; None if there is none, or it does not open."""
        return await asyncio.to_thread(self._try, self._folder / name)

    async def read_all(self) -> dict[str, R]:
        """Every record by its name, the oldest first; one that does not open is left out."""
        return await asyncio.to_thread(self._read_all)

    def _write(self, record: R) -> str:
        name = secrets.token_hex(16)
        header = Header.new(self._algorithm, _NO_KEY)
        sealer = Sealer(header, self._secret, bytes.fromhex(name))
        content = msgspec.msgpack.encode(record)
        data = b"".join([header.to_bytes(), *sealer.seal(content), sealer.finish()])
        try:
            if not self._folder.exists():
                self._folder.mkdir(mode=0o700)
                sync_folder(self._folder.parent)
            write_file(self._folder / name, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull("the disk is full; nothing was deleted") from error
            raise
        return name

    def _read_all(self) -> dict[str, R]:
        if not self._folder.exists():
            return {}
        found: dict[str, R] = {}
        for path in self._folder.iterdir():
            if not _NAME.fullmatch(path.name):
                if path.suffix == ".new":
                    path.unlink()  # was being written when the last run ended
                continue
            if (record := self._try(path)) is not None:
                found[path.name] = record
        return dict(sorted(found.items(), key=lambda item: item[1].at))

    def _try(self, path: Path) -> R | None:
        try:
            return self._read(path)
        except FileNotFoundError:
            return None
        except (SealBroken, msgspec.MsgspecError) as error:
            log.error("the record of a %s can't be read (%s): %s", self._what, path.name, error)
            return None

    def _read(self, path: Path) -> R:
        data = path.read_bytes()
        header = Header.from_bytes(data[:HEADER_LENGTH])

        def read_at(offset: int, length: int) -> bytes:
            return data[offset : offset + length]

        opener = Opener(header, self._secret, bytes.fromhex(path.name), len(data), read_at)
        return msgspec.msgpack.decode(opener.read(0, opener.length), type=self._kind)
