"""A chain of sealed records: the form of a log that nobody changes unseen. No I/O here.

    segment  128 bytes of header, then records, one behind the other
    header   magic, version, algorithm, number of the segment, number of its first record, when it
             was begun, salt, digest of the record before that, HMAC of all this
    record   length, number, nonce; box: (digest of the record before, content) + tag

Each segment has a key of its own, HKDF-SHA256(key of the log, salt). A box binds the header of its
segment, and its own number; inside stands the digest (SHA-256) of the whole record before it. So a
record opens by itself, whatever became of its neighbours, and says what the one before it was.

Attack model. Who has the files without the key can't read, make or change a record: a changed one
does not open, one that was moved, repeated or taken from another segment has the wrong number, one
that was left out is missed by its number, and one that was exchanged for an older record of the
same number is missed by the digest in the next. What the files alone can't tell is that their
very end was cut off, or that all of them were exchanged for older copies: whoever keeps the log
remembers its head elsewhere. Who has the key, as root of a running box has, can write a log anew:
only one that was told to another machine in time stands against that.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.sealed import Algorithm
from edge.errors import SealBroken

__all__ = ["DIGEST", "HEADER", "MOST", "START", "Link", "Links", "SegmentHeader", "digest_of"]

DIGEST = 32
"""Bytes of a digest."""
START = bytes(DIGEST)
"""Stands for the digest of the record before the first."""
HEADER = 128
"""Bytes of a segment's header."""
MOST = 64 * 1024
"""Bytes of content in a record."""

_MAGIC = b"EDGECHAN"
_VERSION = 1
_FIELDS = struct.Struct(">8sBB2xIQQ32s32s")
_RECORD = struct.Struct(">IQ12s")
_TAG = 16


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """How a segment begins."""

    number: int
    """Of the segment, from 1."""
    first: int
    """Number of its first record, from 1."""
    begun: int
    """POSIX seconds, by the clock of then; readable without the key, and a hint only."""
    previous: bytes = START
    """Digest of the record before its first."""
    salt: bytes = b""
    algorithm: Algorithm = Algorithm.AES_256_GCM

    @classmethod
    def new(
        cls, number: int, first: int, begun: int, previous: bytes, algorithm: Algorithm
    ) -> SegmentHeader:
        """Of a new segment, with a salt of its own."""
        return cls(number, first, begun, previous, os.urandom(32), algorithm)

    def to_bytes(self, key: bytes) -> bytes:
        """The 128 bytes, proven by the key of the log."""
        fields = _FIELDS.pack(
            _MAGIC,
            _VERSION,
            self.algorithm,
            self.number,
            self.first,
            self.begun,
            self.salt,
            self.previous,
        ).ljust(HEADER - DIGEST, b"\0")
        return fields + _proof(key, fields)

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes) -> SegmentHeader:
        """Read a header.

        Raises:
            SealBroken: It was changed, is none, or of a newer version.
        """
        fields = data[: HEADER - DIGEST]
        if len(data) < HEADER or data[: len(_MAGIC)] != _MAGIC:
            raise SealBroken("it is no segment of a sealed log")
        if not hmac.compare_digest(_proof(key, fields), data[HEADER - DIGEST : HEADER]):
            raise SealBroken("the header of a segment was changed, or has another key")
        _, version, algorithm, number, first, begun, salt, previous = _FIELDS.unpack_from(fields)
        if version != _VERSION:
            raise SealBroken(
                f"a segment of the log has version {version}, newer than this program",
                hint="install the newer version again",
            )
        return cls(number, first, begun, previous, salt, Algorithm(algorithm))


@dataclass(frozen=True, slots=True)
class Link:
    """A record that was opened."""

    number: int
    before: bytes
    """Digest of the record before it, as it says."""
    content: bytes
    digest: bytes
    """Its own."""
    end: int
    """Where the next one begins."""


class Links:
    """Seals and opens the records of one segment.

    Args:
        key: 32 bytes, of the log.
        header: The segment's.
    """

    def __init__(self, key: bytes, header: SegmentHeader) -> None:
        self._key = key
        self._header = header

    @cached_property
    def _aead(self) -> AESGCM | ChaCha20Poly1305:
        hkdf = HKDF(SHA256(), length=32, salt=self._header.salt, info=b"edge/1 chain")
        key = hkdf.derive(self._key)
        is_aes = self._header.algorithm is Algorithm.AES_256_GCM
        return AESGCM(key) if is_aes else ChaCha20Poly1305(key)

    @cached_property
    def _bound(self) -> bytes:
        return hashlib.sha256(self._header.to_bytes(self._key)).digest()

    def seal(self, number: int, before: bytes, content: bytes) -> bytes:
        """A record.

        Args:
            number: One more than that of the record before.
            before: The digest of that.
            content: Up to ``MOST`` bytes.

        Raises:
            ValueError: It is longer.
        """
        if len(content) > MOST:
            raise ValueError("a record of the log is too long")
        # Random, for a number may be used twice: what a power cut tore off is written again.
        nonce = os.urandom(12)
        opening = _RECORD.pack(DIGEST + len(content) + _TAG, number, nonce)
        return opening + self._aead.encrypt(nonce, before + content, self._bound + opening[:12])

    def open(self, data: bytes | memoryview, offset: int) -> Link:
        """The record that begins at an offset of the segment.

        Raises:
            SealBroken: None does, or it does not open.
        """
        if offset + _RECORD.size > len(data):
            raise SealBroken("a record of the log ends early")
        length, number, nonce = _RECORD.unpack_from(data, offset)
        end = offset + _RECORD.size + length
        if not DIGEST + _TAG <= length <= DIGEST + MOST + _TAG or end > len(data):
            raise SealBroken("a record of the log ends early")
        record = bytes(data[offset:end])
        try:
            opened = self._aead.decrypt(
                nonce, record[_RECORD.size :], self._bound + record[: _RECORD.size - len(nonce)]
            )
        except InvalidTag as error:
            raise SealBroken("a record of the log does not open") from error
        return Link(number, opened[:DIGEST], opened[DIGEST:], digest_of(record), end)

    def find(self, data: bytes, offset: int, number: int) -> Link | None:
        """The first record behind an offset that opens and has at least this number.

        By their numbers: what stands between is damaged, and its length means nothing.
        """
        high = number.to_bytes(8, "big")[:5]  # a neighbour has these in common, or nearly all do
        at = offset
        while (at := data.find(high, at)) >= 0:
            start = at - 4
            if start >= offset:
                try:
                    link = self.open(data, start)
                except SealBroken:
                    pass
                else:
                    if link.number >= number:
                        return link
            at += 1
        return None


def digest_of(record: bytes) -> bytes:
    """Of a whole record as it stands in its segment."""
    return hashlib.sha256(record).digest()


def _proof(key: bytes, fields: bytes) -> bytes:
    return hmac.new(key, b"edge/1 chain header " + fields, hashlib.sha256).digest()
