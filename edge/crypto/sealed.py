"""The sealed form of bytes: what every object on disk looks like.

    header   64 bytes  magic, version, algorithm, chunk size, key id, salt
    chunk 0  64 KiB of content + 16 bytes of tag
    chunk 1  …
    chunk n  the rest (perhaps nothing) + 16 bytes of tag, marked as the last

This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015). The key of one object is
HKDF-SHA256(study key, salt, info = header); a chunk's nonce is a 7-byte prefix from the same
derivation, the chunk's number and a flag for the last one. The associated data binds the header and
the object's name, so a chunk that was changed, moved, repeated, left out or put into another object
does not open, and an object that was cut short has no last chunk.

Any range opens by opening its chunks alone. No I/O here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.errors import SealBroken

__all__ = [
    "CHUNK",
    "HEADER_LENGTH",
    "KEY_ID_LENGTH",
    "Algorithm",
    "Header",
    "Opener",
    "Sealer",
    "content_length",
    "sealed_length",
]

CHUNK = 64 * 1024
"""Bytes of content in every chunk but the last."""
TAG = 16
HEADER_LENGTH = 64
KEY_ID_LENGTH = 16

_HEADER = struct.Struct(">8sBBBx16s32s4x")
_MAGIC = b"EDGESEAL"
_VERSION = 1
Chunk = bytearray | memoryview
_NONCE = struct.Struct(">7sI?")


class Algorithm(IntEnum):
    """The AEAD; it stands in every header, so that objects move between machines."""

    AES_256_GCM = 1
    CHACHA20_POLY1305 = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The first 64 bytes of an object."""

    algorithm: Algorithm
    key_id: bytes
    salt: bytes

    @classmethod
    def new(cls, algorithm: Algorithm, key_id: bytes) -> Header:
        """A header for a new object, with a salt of its own."""
        return cls(algorithm, key_id, os.urandom(32))

    def to_bytes(self) -> bytes:
        """The 64 bytes."""
        shift = CHUNK.bit_length() - 1
        return _HEADER.pack(_MAGIC, _VERSION, self.algorithm, shift, self.key_id, self.salt)

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Read a header.

        Raises:
            SealBroken: These are not the first bytes of a sealed object that we can read.
        """
        try:
            magic, version, algorithm, shift, key_id, salt = _HEADER.unpack(data)
            header = cls(Algorithm(algorithm), key_id, salt)
        except (struct.error, ValueError) as error:
            raise SealBroken("the header of a sealed object can't be read") from error
        if magic != _MAGIC or 1 << shift != CHUNK or header.to_bytes() != data:
            raise SealBroken("the header of a sealed object can't be read")
        if version != _VERSION:
            raise SealBroken(
                f"a sealed object has version {version}, newer than this program",
                hint="install the newer version again",
            )
        return header


def sealed_length(content: int) -> int:
    """Bytes on disk of *content* bytes."""
    chunks = max(1, -(-content // CHUNK))
    return HEADER_LENGTH + content + chunks * TAG


def content_length(sealed: int) -> int:
    """Bytes of content in an object of *sealed* bytes.

    Raises:
        SealBroken: No object has this length.
    """
    body = sealed - HEADER_LENGTH
    chunks = max(1, -(-body // (CHUNK + TAG)))
    content = body - chunks * TAG
    if content < 0 or sealed_length(content) != sealed:
        raise SealBroken(f"a sealed object has an impossible length: {sealed} bytes")
    return content


class _Chunks:
    """Key, nonces and associated data of one object."""

    def __init__(self, header: Header, study_key: bytes, name: bytes) -> None:
        info = header.to_bytes()
        derived = HKDF(SHA256(), length=32 + 7, salt=header.salt, info=info).derive(study_key)
        if header.algorithm is Algorithm.AES_256_GCM:
            self.aead: AESGCM | ChaCha20Poly1305 = AESGCM(derived[:32])
        else:
            self.aead = ChaCha20Poly1305(derived[:32])
        self._prefix = derived[32:]
        self.associated = info + name

    def nonce(self, index: int, *, last: bool) -> bytes:
        return _NONCE.pack(self._prefix, index, last)


class Sealer:
    """Seals one object, piece by piece, in whatever thread; its key is derived with the first one.

    Args:
        header: Its header, which the caller writes first.
        study_key: 32 bytes.
        name: The object's name, which the seal binds.
    """

    def __init__(self, header: Header, study_key: bytes, name: bytes) -> None:
        self._header, self._study_key, self._name = header, study_key, name
        self._held = bytearray()
        self._index = 0

    @cached_property
    def _chunks(self) -> _Chunks:
        return _Chunks(self._header, self._study_key, self._name)

    def seal(
        self, data: bytes | bytearray | memoryview, room: Callable[[int], Chunk] = bytearray
    ) -> list[Chunk]:
        """The chunks that *data* completes; the end of it waits for more.

        Args:
            data: The next content.
            room: Gives memory for a chunk of so many bytes; by default memory of its own.
        """
        held, sealed = self._held, list[Chunk]()
        # The last chunk is marked, so one that could be the last stays behind.
        with memoryview(data) as view:
            position = 0
            if held:
                position = CHUNK - len(held)
                held += view[:position]
                if len(view) <= position:
                    return sealed
                sealed.append(self._encrypt(held, room, last=False))
                held.clear()
            while len(view) - position > CHUNK:
                sealed.append(self._encrypt(view[position : position + CHUNK], room, last=False))
                position += CHUNK
            held += view[position:]
        return sealed

    def finish(self, room: Callable[[int], Chunk] = bytearray) -> Chunk:
        """The last chunk."""
        return self._encrypt(self._held, room, last=True)

    def _encrypt(
        self, content: bytearray | memoryview, room: Callable[[int], Chunk], *, last: bool
    ) -> Chunk:
        nonce = self._chunks.nonce(self._index, last=last)
        self._index += 1
        chunk = room(len(content) + TAG)
        self._chunks.aead.encrypt_into(nonce, content, self._chunks.associated, chunk)
        return chunk


class Opener:
    """Opens any range of one object.

    Args:
        header: Its header.
        study_key: 32 bytes.
        name: The object's name.
        length: Bytes on disk.
        read_at: ``read_at(offset, length)`` gives bytes of the object as it lies on disk.

    Raises:
        SealBroken: No object has this length.
    """

    def __init__(
        self,
        header: Header,
        study_key: bytes,
        name: bytes,
        length: int,
        read_at: Callable[[int, int], bytes | memoryview],
    ) -> None:
        self._chunks = _Chunks(header, study_key, name)
        self._read_at = read_at
        self.length = content_length(length)
        self._last = max(0, -(-self.length // CHUNK) - 1)

    def read(self, offset: int, length: int) -> bytes:
        """Content from *offset*, *length* bytes of it or what there is.

        Raises:
            SealBroken: A chunk of this range does not open.
        """
        end = min(offset + length, self.length)
        first, last = offset // CHUNK, max(0, end - 1) // CHUNK
        if offset >= end and not (offset == self.length == 0):
            return b""
        step = CHUNK + TAG
        sealed = memoryview(self._read_at(HEADER_LENGTH + first * step, (last - first + 1) * step))
        parts = [
            self._decrypt(index, sealed[(index - first) * step : (index - first + 1) * step])
            for index in range(first, last + 1)
        ]
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        start = offset - first * CHUNK
        if start == 0 and len(content) == end - offset:
            return content
        return content[start : start + end - offset]

    def read_into(self, buffers: Iterable[memoryview]) -> None:
        """All of the content, into buffers one after another: whole chunks, but for the last one.

        Raises:
            SealBroken: A chunk does not open; what the buffers hold then means nothing.
        """
        sealed = memoryview(self._read_at(HEADER_LENGTH, self.length + (self._last + 1) * TAG))
        step, index = CHUNK + TAG, 0
        for buffer in buffers:
            for at in range(0, len(buffer), CHUNK):
                if index > self._last:
                    return
                chunk = sealed[index * step : (index + 1) * step]
                nonce = self._chunks.nonce(index, last=index == self._last)
                room = buffer[at : at + len(chunk) - TAG]
                try:
                    self._chunks.aead.decrypt_into(nonce, chunk, self._chunks.associated, room)
                except InvalidTag as error:
                    raise _broken(index) from error
                index += 1

    def _decrypt(self, index: int, sealed: memoryview) -> bytes:
        nonce = self._chunks.nonce(index, last=index == self._last)
        try:
            return self._chunks.aead.decrypt(nonce, sealed, self._chunks.associated)
        except InvalidTag as error:
            raise _broken(index) from error


def _broken(index: int) -> SealBroken:
    return SealBroken(f"chunk {index} of a sealed object does not open")
