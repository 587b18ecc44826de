"""Records of what was deleted, sealed: with them, an index that is made anew forgets no deletion.

What it owns is ``data_dir/tombstones/<name>``, one small file for each deletion. They have a key of
their own, so that they open when the keys of what was deleted are destroyed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import secrets
from pathlib import Path

import msgspec

from edge.crypto.durable import sync_folder, write_file
from edge.crypto.keys import KeyRing
from edge.crypto.sealed import HEADER_LENGTH, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.dicom.instance import InstanceRef
from edge.errors import SealBroken, StorageFull

__all__ = ["DeletionRecord", "TombstoneStore"]

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{32}")
_NO_KEY = bytes(KEY_ID_LENGTH)
"""Where objects name their study's key: these have none."""


class DeletionRecord(msgspec.Struct, frozen=True):
    """One deletion."""

    at: float
    """POSIX seconds."""
    withdraw: bool
    """Whether the archive is to be told."""
    refs: tuple[InstanceRef, ...]
    """The instances that are deleted."""
    objects: tuple[str, ...]
    """Names of the objects that go."""


class TombstoneStore:
    """The records below one folder.

    Args:
        folder: ``data_dir``.
        keys: The ring that their key is derived from.
        algorithm: What new records are sealed with.
    """

    def __init__(self, folder: Path, keys: KeyRing, *, algorithm: Algorithm) -> None:
        self._folder = folder / "tombstones"
        self._secret = keys.derive("tombstones")
        self._algorithm = algorithm

    async def write(self, record: DeletionRecord) -> str:
        """Keep a record; it is durable when its name is returned.

        Raises:
            StorageFull: The disk is full.
        """
        return await asyncio.to_thread(self._write, record)

    async def remove(self, name: str) -> None:
        """Remove a record; it is no error if there is none."""
        await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)

    async def read_all(self) -> dict[str, DeletionRecord]:
        """Every record by its name, the oldest first; one that does not open is left out."""
        return await asyncio.to_thread(self._read_all)

    def _write(self, record: DeletionRecord) -> str:
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

    def _read_all(self) -> dict[str, DeletionRecord]:
        if not self._folder.exists():
            return {}
        found: dict[str, DeletionRecord] = {}
        for path in self._folder.iterdir():
            if not _NAME.fullmatch(path.name):
                if path.suffix == ".new":
                    path.unlink()  # was being written when the last run ended
                continue
            try:
                found[path.name] = self._read(path)
            except (SealBroken, msgspec.MsgspecError) as error:
                log.error("the record of a deletion can't be read (%s): %s", path.name, error)
        return dict(sorted(found.items(), key=lambda item: item[1].at))

    def _read(self, path: Path) -> DeletionRecord:
        data = path.read_bytes()
        header = Header.from_bytes(data[:HEADER_LENGTH])

        def read_at(offset: int, length: int) -> bytes:
            return data[offset : offset + length]

        opener = Opener(header, self._secret, bytes.fromhex(path.name), len(data), read_at)
        return msgspec.msgpack.decode(opener.read(0, opener.length), type=DeletionRecord)
