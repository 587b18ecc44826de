"""Rendered pictures on disk: sealed, bounded, the least used go first.

What it owns is ``data_dir/rendered/<name>``. A picture is sealed with the key of its study, so that
erasing the study erases it; its name is a MAC of what it shows, so it says nothing. Pictures are
worth no more than the time to make them again: nothing is synced to the disk, what can't be opened
is removed, and what can't be written is not kept. The times of the files are the order of use; they
survive a restart. Nobody waits for a picture to be written: it is found in memory until it is, and
what comes faster than it can be written is not kept.

One thing is durable: the mark of a deletion whose pictures have not gone yet. The start that finds
one, after a crash, removes all pictures: that is simpler than to find those. A picture that was
being made while something was deleted is not kept, whatever it shows, for the same reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import hmac
import os
import re
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.config import Cache
from edge.crypto.durable import write_file
from edge.crypto.keys import KeyRing
from edge.crypto.sealed import HEADER_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import SealBroken, StorageFull
from edge.pixels.presentation import Picture

__all__ = ["PictureCache"]

_NAME: Final = re.compile(r"[0-9a-f]{32}")
_MARK: Final = ".forgetting"
"""Ends the name of an empty file: a deletion is under way, or was when the last run ended."""
_SHARE: Final = 4
"""No picture takes more than so much of the whole: one part of it."""
_WAITING: Final = 16 * 1024**2
"""Bytes of pictures that wait to be written; if half of that do, they are written at once."""
_PAUSE: Final = 0.2
"""Seconds without a new picture after which those that wait are written: whoever leafs through a
series shall not wait for files."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A picture that waits to be written."""

    key_id: bytes
    picture: Picture
    deletions: int
    """That had been when it was begun."""


class PictureCache:
    """The pictures below one folder.

    Args:
        settings: How much room there is.
        folder: ``data_dir``.
        keys: Where study keys are found.
        algorithm: What new pictures are sealed with.
    """

    def __init__(self, settings: Cache, folder: Path, keys: KeyRing, algorithm: Algorithm) -> None:
        self._max_bytes = settings.rendered_bytes
        self._reserve = settings.reserve_bytes
        self._folder = folder / "rendered"
        self._keys = keys
        self._algorithm = algorithm
        self._secret = keys.derive("names of rendered pictures")
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_bytes = 0
        self._kept = asyncio.Event()
        self.deletions = 0
        """That were since the start; to be noted before a picture is begun."""

    async def open(self) -> None:
        """Look at what is there.

        What is beyond the bounds goes; all goes if a deletion was interrupted by a crash.
        """
        await asyncio.to_thread(self._open)

    def name(self, *what: object) -> str:
        """The name of a picture: the same for the same words, and for no others."""
        data = msgspec.json.encode(what)
        return hmac.digest(self._secret, data, hashlib.sha256)[:16].hex()

    async def get(self, name: str) -> Picture | None:
        """A picture; None if it is not here, or can't be opened any more."""
        if (waiting := self._waiting.get(name)) is not None:
            return waiting.picture
        if name not in self._sizes:
            return None
        return await asyncio.to_thread(self._get, name)

    def keep(self, name: str, key_id: bytes, picture: Picture, deletions: int) -> None:
        """Keep a picture, if there is room for it; ``run`` writes it, and ``get`` finds it at once.

        Args:
            name: From `name`.
            key_id: Of the study's key.
            picture: What to keep.
            deletions: As many as there had been before its instance was opened.
        """
        length = len(picture.data)
        if name in self._waiting or length > self._max_bytes // _SHARE:
            return
        if not self._waiting or self._waiting_bytes + length <= _WAITING:
            self._waiting[name] = _Waiting(key_id, picture, deletions)
            self._waiting_bytes += length
            self._kept.set()

    async def run(self) -> None:
        """Write what is kept, until cancelled; what waits then is made again one day."""
        while True:
            await self._kept.wait()
            while self._kept.is_set() and self._waiting_bytes < _WAITING // 2:
                self._kept.clear()
                await asyncio.sleep(_PAUSE)
            self._kept.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now."""
        writing = dict(self._waiting)
        try:
            await asyncio.to_thread(self._write, writing)
        finally:
            for name in writing:
                written = self._waiting.pop(name, None)
                self._waiting_bytes -= len(written.picture.data) if written else 0

    @contextlib.asynccontextmanager
    async def forgetting(self, key_ids: Collection[bytes]) -> AsyncIterator[None]:
        """While something is deleted: at the end, the pictures of its studies go.

        What else is of those studies is made again. Crash order: the mark is durable before
        anything is deleted, and goes after the pictures.

        Args:
            key_ids: Of the studies.

        Raises:
            StorageFull: There is no room for the mark.
        """
        mark = self._folder / f"{secrets.token_hex(8)}{_MARK}"
        try:
            await asyncio.to_thread(write_file, mark, b"")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("the disk is full; nothing was deleted") from error
            raise
        try:
            yield
        finally:
            await asyncio.to_thread(self._forget, key_ids, mark)

    async def sealed_with(self, key_ids: Collection[bytes]) -> set[bytes]:
        """Those of these keys that some picture is, or will be, sealed with."""
        waiting = {one.key_id for one in self._waiting.values()}
        return await asyncio.to_thread(self._sealed_with, key_ids) | waiting & set(key_ids)

    def _sealed_with(self, key_ids: Collection[bytes]) -> set[bytes]:
        with self._lock:
            names = list(self._sizes)
        found = set[bytes]()
        for name in names:
            with contextlib.suppress(OSError, SealBroken):
                found.add(self._key_id(name))
        return found & set(key_ids)

    def _key_id(self, name: str) -> bytes:
        with (self._folder / name).open("rb") as file:
            return Header.from_bytes(file.read(HEADER_LENGTH)).key_id

    def _forget(self, key_ids: Collection[bytes], mark: Path) -> None:
        with self._lock:
            self.deletions += 1
            names = list(self._sizes)
        for name in names:
            try:
                is_spared = self._key_id(name) not in key_ids
            except (OSError, SealBroken):
                is_spared = False
            if not is_spared:
                self._remove(name)
        mark.unlink(missing_ok=True)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found: list[tuple[float, str, int]] = []
        marks = list(self._folder.glob(f"*{_MARK}"))
        with os.scandir(self._folder) as entries:
            for entry in entries:
                is_picture = _NAME.fullmatch(entry.name) is not None
                if is_picture and not marks:
                    state = entry.stat(follow_symlinks=False)
                    found.append((state.st_mtime, entry.name, state.st_size))
                elif is_picture or entry.name.endswith((".part", ".new")):
                    Path(entry.path).unlink(missing_ok=True)
        for mark in marks:
            mark.unlink()
        with self._lock:
            for _, name, size in sorted(found):
                self._sizes[name] = size
                self._total += size
        self._shrink()

    def _get(self, name: str) -> Picture | None:
        path = self._folder / name
        try:
            data = path.read_bytes()
            header = Header.from_bytes(data[:HEADER_LENGTH])
            key = self._keys.study_key(header.key_id)

            def read_at(offset: int, length: int) -> bytes:
                return data[offset : offset + length]

            opener = Opener(header, key.secret, bytes.fromhex(name), len(data), read_at)
            content = opener.read(0, opener.length)
            picture = msgspec.msgpack.decode(content, type=Picture)
            os.utime(path)
        except (OSError, SealBroken, msgspec.MsgspecError):
            self._remove(name)
            return None
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        return picture

    def _write(self, pictures: Mapping[str, _Waiting]) -> None:
        for name, kept in pictures.items():
            self._put(name, kept)
        self._shrink()

    def _put(self, name: str, kept: _Waiting) -> None:
        part = self._folder / f"{secrets.token_hex(8)}.part"
        try:
            if shutil.disk_usage(self._folder).free < self._reserve + len(kept.picture.data):
                return
            key = self._keys.study_key(kept.key_id)
            header = Header.new(self._algorithm, kept.key_id)
            sealer = Sealer(header, key.secret, bytes.fromhex(name))
            pieces = [header.to_bytes(), *sealer.seal(msgspec.msgpack.encode(kept.picture))]
            data = b"".join([*pieces, sealer.finish()])
            descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            with self._lock:
                # Together: a deletion sees the picture among the names, or the picture sees it.
                if kept.deletions == self.deletions:
                    part.rename(self._folder / name)
                    self._total += len(data) - self._sizes.pop(name, 0)
                    self._sizes[name] = len(data)
                    return
        except (OSError, SealBroken):
            pass  # a full disk, or a study that was erased meanwhile
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)

    def _shrink(self) -> None:
        while True:
            with self._lock:
                if self._total <= self._max_bytes or not self._sizes:
                    return
                name = next(iter(self._sizes))
            self._remove(name)

    def _remove(self, name: str) -> None:
        with self._lock:
            self._total -= self._sizes.pop(name, 0)
        with contextlib.suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)
