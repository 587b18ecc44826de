r"""The file ``*.edgeupdate``: an update in one piece, on a stick or on a server that knows ranges.

    0     magic ``EDGEUPD\1``, length of manifest and of signatures (4 bytes each, big endian)
    16    manifest, signatures
    …     parts, in the manifest's order, each at the next multiple of 4096; zeros between them

The head alone says whether the rest is wanted. Promises that lengths are checked before memory is
taken, that nothing of a part is unpacked before all of it was proven as it is stored, and that a
file which is longer or shorter than its manifest says is refused. Everything here blocks.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.errors import UpdateRefused
from edge.updates import signature
from edge.updates.manifest import ALIGN, Manifest, Name, Part, parse
from edge.updates.manifest import written as manifest_written

__all__ = [
    "FIRST",
    "MOST_HEAD",
    "SUFFIX",
    "Bundle",
    "Head",
    "head_length",
    "open_bundle",
    "pack",
    "read_head",
    "write",
]

SUFFIX: Final = ".edgeupdate"
_MAGIC: Final = b"EDGEUPD\x01"
_FIXED: Final = struct.Struct(">8sII")
FIRST: Final = _FIXED.size
"""Bytes that say how long the head is."""
_MOST_MANIFEST, _MOST_SIGNATURES = 1024**2, 64 * 1024
MOST_HEAD: Final = FIRST + _MOST_MANIFEST + _MOST_SIGNATURES
_PIECE: Final = 1024**2
_PRESET: Final = 2
"""Of xz: what a root holds is packed already, but for the zeros behind it."""
_XZ_MEMORY: Final = 128 * 1024**2
"""Bytes that unpacking may take."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the parts, proven."""

    manifest: Manifest
    length: int
    """Bytes of it."""
    key: str
    """Which key has signed it."""

    def offsets(self) -> dict[Name, int]:
        """Where each part begins."""
        found: dict[Name, int] = {}
        at = self.length
        for part in self.manifest.parts:
            at = _aligned(at)
            found[part.name] = at
            at += part.stored_bytes
        return found

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        last = self.manifest.parts[-1]
        return self.offsets()[last.name] + last.stored_bytes


def head_length(first: bytes) -> int:
    """How long the head is, by the file's first bytes.

    Raises:
        UpdateRefused: It is no bundle.
    """
    if len(first) < FIRST:
        raise _no_bundle()
    magic, manifest, signatures = _FIXED.unpack_from(first)
    if magic != _MAGIC or not 0 < manifest <= _MOST_MANIFEST or signatures > _MOST_SIGNATURES:
        raise _no_bundle()
    return FIRST + int(manifest) + int(signatures)


def read_head(data: bytes, keys: Sequence[Ed25519PublicKey]) -> Head:
    """Prove and understand a head.

    Args:
        data: It, or more.
        keys: That are believed.

    Raises:
        UpdateRefused: It is no bundle, is not signed by one of them, or can't be understood.
    """
    length = head_length(data)
    if len(data) < length:
        raise UpdateRefused("the update ends within its head")
    _, count, _ = _FIXED.unpack_from(data)
    manifest = data[FIRST : FIRST + count]
    signatures = signature.read_signatures(data[FIRST + count : length])
    key = signature.prove(manifest, signatures, keys)
    return Head(parse(manifest), length, key)


class Bundle:
    """A file, open, its head proven. Use it as a context manager.

    Args:
        file: It.
        head: Its own.
    """

    def __init__(self, file: BinaryIO, head: Head) -> None:
        self._file = file
        self.head = head
        self.manifest = head.manifest
        self._offsets = head.offsets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def prove(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Go through all parts as they are stored.

        Args:
            stop: Whether nobody wants to know any more.

        Raises:
            UpdateRefused: One is not what the manifest says.
        """
        for part in self.manifest.parts:
            self.prove_part(part, stop)

    def prove_part(self, part: Part, stop: Callable[[], bool] = lambda: False) -> None:
        """The same, of one."""
        digest = hashlib.sha256()
        for piece in self._stored(part):
            digest.update(piece)
            if stop():
                raise UpdateRefused("nobody waits for the update any more")
        if digest.hexdigest() != part.stored_sha256:
            raise _changed(part)

    def content(self, part: Part) -> Iterator[bytes]:
        """What belongs into the slot, piece by piece; it was proven as it is stored before.

        Raises:
            UpdateRefused: It is not what the manifest says; known at the end only.
        """
        digest, length = hashlib.sha256(), 0
        for piece in self._unpacked(part):
            length += len(piece)
            if length > part.bytes:
                raise _changed(part)
            digest.update(piece)
            yield piece
        if length != part.bytes or digest.hexdigest() != part.sha256:
            raise _changed(part)

    def _unpacked(self, part: Part) -> Iterator[bytes]:
        if part.packing != "xz":
            yield from self._stored(part)
            zeros = part.bytes - part.stored_bytes
            while zeros:
                yield bytes(min(zeros, _PIECE))
                zeros -= min(zeros, _PIECE)
            return
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        try:
            for stored in self._stored(part):
                data = stored
                while not unpacker.eof:
                    if piece := unpacker.decompress(data, _PIECE):
                        yield piece
                    data = b""
                    if unpacker.needs_input:
                        break
        except lzma.LZMAError as error:
            raise _changed(part) from error
        if not unpacker.eof:
            raise _changed(part)

    def _stored(self, part: Part) -> Iterator[bytes]:
        at, left = self._offsets[part.name], part.stored_bytes
        while left:
            try:
                piece = os.pread(self._file.fileno(), min(_PIECE, left), at)
            except OSError as error:  # a stick was pulled out, say
                raise UpdateRefused(
                    f"the update can't be read any more: {error.strerror}",
                    hint="put the stick in again; if it lies on the box's disk, that fails",
                ) from error
            if not piece:
                raise UpdateRefused(f"the update ends within its part {part.name}")
            yield piece
            at += len(piece)
            left -= len(piece)


def open_bundle(path: Path, keys: Sequence[Ed25519PublicKey]) -> Bundle:
    """Open a file that lies here; no link is followed, for the reader may be root.

    Raises:
        UpdateRefused: It can't be read, or is no bundle that is believed.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.fdopen(os.open(path, flags), "rb", buffering=0)
    except OSError as error:
        raise UpdateRefused(f"{path} can't be read: {error.strerror}") from error
    try:
        head = read_head(os.pread(file.fileno(), MOST_HEAD, 0), keys)
        _refuse_size(path, os.fstat(file.fileno()).st_size, head.total)
        return Bundle(file, head)
    except OSError as error:
        file.close()
        raise UpdateRefused(f"{path} can't be read: {error.strerror}") from error
    except BaseException:
        file.close()
        raise


def _refuse_size(path: Path, size: int, total: int) -> None:
    if size != total:
        raise UpdateRefused(
            f"{path.name} has {size} bytes, and should have {total}",
            hint="it was not copied as a whole: copy it again",
        )


# Making one ---------------------------------------------------------------------------------------


def pack(name: Name, source: Path, into: Path, *, xz: bool) -> Part:
    """Have a part as it will be stored in a file of its own; what the manifest says of it.

    If it is not packed, the zeros at its end are left out.
    """
    whole, stored = hashlib.sha256(), hashlib.sha256()
    count = stored_count = 0
    packer = lzma.LZMACompressor(preset=_PRESET) if xz else None
    end = source.stat().st_size if xz else _end_of(source)
    with source.open("rb") as file, into.open("wb") as made:
        while piece := file.read(_PIECE):
            kept = piece[: max(0, end - count)]
            whole.update(piece)
            count += len(piece)
            packed = packer.compress(kept) if packer else kept
            stored.update(packed)
            stored_count += made.write(packed)
        if packer:
            packed = packer.flush()
            stored.update(packed)
            stored_count += made.write(packed)
    return Part(
        name,
        count,
        whole.hexdigest(),
        stored_count,
        stored.hexdigest(),
        "xz" if xz else "none" if count == stored_count else "trimmed",
    )


def _end_of(source: Path) -> int:
    """Where the zeros at the end of a file begin; one byte is left of a file of zeros."""
    end = at = 0
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            if kept := piece.rstrip(b"\0"):
                end = at + len(kept)
            at += len(piece)
    return max(end, 1)


def write(
    path: Path,
    manifest: Manifest,
    stored: Mapping[Name, Path],
    keys: Sequence[Ed25519PrivateKey],
) -> int:
    """Write a bundle; its bytes.

    Args:
        path: Made, or replaced once it is whole.
        manifest: What it says of itself.
        stored: Part -> file that has it as it is to be stored.
        keys: That sign.
    """
    said = manifest_written(manifest)
    signatures = signature.written([signature.sign(said, key) for key in keys])
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("wb") as file:
        file.write(_FIXED.pack(_MAGIC, len(said), len(signatures)) + said + signatures)
        for part in manifest.parts:
            file.write(bytes(_aligned(file.tell()) - file.tell()))
            with stored[part.name].open("rb") as source:
                while piece := source.read(_PIECE):
                    file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        total = file.tell()
    unfinished.replace(path)
    return total


def _aligned(at: int) -> int:
    return -(-at // ALIGN) * ALIGN


def _no_bundle() -> UpdateRefused:
    return UpdateRefused(
        "that is no update", hint="an update is a file whose name ends with .edgeupdate"
    )


def _changed(part: Part) -> UpdateRefused:
    return UpdateRefused(
        f"the part {part.name} of the update is damaged", hint="get the update again"
    )
