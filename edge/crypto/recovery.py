"""The recovery key: what is left of a box after theft or fire, on paper and in nobody's disk.

A key is 256 random bits. From them follows a pair of keys (X25519); the box keeps its public half
alone, so that it can seal for whoever has the paper and can't open that itself. Who knows the
public half could make such a sealed thing, too: the box keeps it as a secret (``escrow``), and what
is sealed names it by a hash.

On paper it is nine groups of eight characters, Crockford's base 32. Six of a group are key, two are
checks of a code over GF(32) with distance three that counts the number of the group in: any two
wrong characters of a group are found, and so are groups in the wrong order. Case, spaces and
hyphens don't matter; O is 0, and I and L are 1.

    sealed for a key     magic, version, whose key, ephemeral public key, their digest
                         then a sealed object (``sealed``), its key from X25519 and HKDF-SHA256

No I/O here.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.crypto.sealed import HEADER_LENGTH, KEY_ID_LENGTH, Algorithm, Header, Opener, Sealer
from edge.errors import SealBroken, WrongKey

__all__ = ["GROUPS", "Recipient", "RecoveryKey"]

GROUPS, GROUP = 9, 8
"""Groups of a written key, and characters of each."""
_DATA = GROUP - 2
_LENGTH = 32
_SPARE = GROUPS * _DATA * 5 - _LENGTH * 8
"""Bits that the groups have beyond the key: a check over all of it."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_POLYNOMIAL = 0b100101
_MAGIC, _VERSION = b"EDGEBKUP", 1
_ENVELOPE = struct.Struct(">8sB7x16s32s")
_CHECK = 16
_HEAD = _ENVELOPE.size + _CHECK
_NO_KEY = bytes(KEY_ID_LENGTH)
_DAMAGED = "the backup is damaged or cut short"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom the box seals for: the public half of a recovery key. Kept secret all the same."""

    public: bytes = field(repr=False)

    @property
    def mark(self) -> bytes:
        """16 bytes that tell one key from another, and nothing else of it."""
        return self.number("mark").to_bytes(16, "big")

    def number(self, purpose: str) -> int:
        """128 bits for a purpose, in the form of a UUID (RFC 9562 5.8); always the same ones."""
        digest = hashlib.sha256(b"edge recovery 1 " + purpose.encode() + b"\0" + self.public)
        number = int.from_bytes(digest.digest()[:16], "big")
        number = number & ~(0xF << 76) | (8 << 76)
        return number & ~(3 << 62) | (2 << 62)

    def seal(self, content: bytes) -> bytes:
        """Seal something that only the recovery key opens."""
        ephemeral = X25519PrivateKey.generate()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self.public))
        sender = ephemeral.public_key().public_bytes_raw()
        head = _ENVELOPE.pack(_MAGIC, _VERSION, self.mark, sender)
        head += hashlib.sha256(head).digest()[:_CHECK]
        header = Header.new(Algorithm.AES_256_GCM, _NO_KEY)
        sealer = Sealer(header, _secret(shared, sender, self.public), head)
        return b"".join([head, header.to_bytes(), *sealer.seal(content), sealer.finish()])


@dataclass(frozen=True)
class RecoveryKey:
    """The key itself, for as long as a command runs."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> RecoveryKey:
        """Another one."""
        return cls(os.urandom(_LENGTH))

    @cached_property
    def _private(self) -> X25519PrivateKey:
        info = b"edge recovery key pair 1"
        derived = HKDF(SHA256(), length=32, salt=None, info=info).derive(self.secret)
        return X25519PrivateKey.from_private_bytes(derived)

    @cached_property
    def recipient(self) -> Recipient:
        """Its public half."""
        return Recipient(self._private.public_key().public_bytes_raw())

    def open(self, data: bytes) -> bytes:
        """What was sealed for this key.

        Raises:
            WrongKey: It was sealed for another.
            SealBroken: It was changed or cut short, or is no backup.
        """
        head, sealed = data[:_HEAD], data[_HEAD:]
        if head[: len(_MAGIC)] != _MAGIC:
            raise SealBroken("this is no backup of an edge, or its beginning is damaged")
        if hashlib.sha256(head[: _ENVELOPE.size]).digest()[:_CHECK] != head[_ENVELOPE.size :]:
            raise SealBroken(_DAMAGED)
        _, version, mark, sender = _ENVELOPE.unpack_from(head)
        if version != _VERSION:
            raise SealBroken(
                f"the backup has version {version}, newer than this program",
                hint="install the version that made it",
            )
        if mark != self.recipient.mark:
            raise WrongKey(
                "this recovery key does not open it: it was sealed for another",
                hint="a key that was made with --renew opens only what was made after it",
            )
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
            header = Header.from_bytes(sealed[:HEADER_LENGTH])
            secret = _secret(shared, sender, self.recipient.public)

            def read_at(offset: int, length: int) -> bytes:
                return sealed[offset : offset + length]

            opener = Opener(header, secret, head, len(sealed), read_at)
            return opener.read(0, opener.length)
        except (SealBroken, ValueError) as error:
            raise SealBroken(_DAMAGED) from error

    # The written form -----------------------------------------------------------------------------

    def to_groups(self) -> list[str]:
        """The key for paper."""
        number = int.from_bytes(self.secret, "big") << _SPARE | _spare_of(self.secret)
        symbols = [number >> 5 * at & 31 for at in reversed(range(GROUPS * _DATA))]
        groups = []
        for index in range(GROUPS):
            data = symbols[index * _DATA : (index + 1) * _DATA]
            group = [*data, *_checks(index + 1, data)]
            groups.append("".join(_ALPHABET[symbol] for symbol in group))
        return groups

    @classmethod
    def from_text(cls, text: str) -> RecoveryKey:
        """A key as somebody typed it.

        Raises:
            WrongKey: It is none; the message names the groups to look at.
        """
        words = re.findall(r"[^\W_]+", text.upper())
        if len(words) != GROUPS:
            joined = "".join(words)
            words = [joined[at : at + GROUP] for at in range(0, len(joined), GROUP)] or [""]
        symbols: list[int] = []
        wrong: list[int] = []
        for number, word in enumerate(words[:GROUPS], 1):
            group = [_VALUES.get(character, -1) for character in word]
            data, checks = group[:_DATA], group[_DATA:]
            if len(group) != GROUP or -1 in group or checks != _checks(number, data):
                wrong.append(number)
            symbols += data
        length = sum(map(len, words))
        if length != GROUPS * GROUP:
            where = f"look at group {wrong[0]}" if wrong else f"look behind group {len(words)}"
            raise WrongKey(
                f"the recovery key has {GROUPS * GROUP} characters, and these are {length}",
                hint=f"{where}: {GROUPS} groups of {GROUP} are on the paper",
            )
        if wrong:
            named = ", ".join(map(str, wrong))
            one = len(wrong) == 1
            raise WrongKey(
                f"group{'' if one else 's'} {named} of the recovery key {'is' if one else 'are'}"
                " not right",
                hint="compare with the paper, and type the key again",
            )
        total = 0
        for symbol in symbols:
            total = total << 5 | symbol
        secret = (total >> _SPARE).to_bytes(_LENGTH, "big")
        if total & (1 << _SPARE) - 1 != _spare_of(secret):
            raise WrongKey(
                "the groups are not those of one recovery key",
                hint="compare with the paper, and type the key again",
            )
        return cls(secret)


def _secret(shared: bytes, sender: bytes, public: bytes) -> bytes:
    info = b"edge backup 1"
    return HKDF(SHA256(), length=32, salt=sender + public, info=info).derive(shared)


def _spare_of(secret: bytes) -> int:
    digest = hashlib.sha256(b"edge recovery key 1" + secret).digest()
    return int.from_bytes(digest[:2], "big") >> 16 - _SPARE


# GF(32), the field of five bits -------------------------------------------------------------------


def _times(one: int, other: int) -> int:
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 32:
            one ^= _POLYNOMIAL
        other >>= 1
    return product


def _power(exponent: int) -> int:
    """Of two, which generates the field."""
    result = 1
    for _ in range(exponent):
        result = _times(result, 2)
    return result


def _checks(number: int, data: list[int]) -> list[int]:
    """Two symbols with which all of a group, its number first, adds up to nothing, in two ways.

    The second sum weighs each place by a power of two, no two alike: two wrong symbols can't make
    both come out right.
    """
    plain = weighed = 0
    for place, symbol in enumerate([number, *data]):
        plain ^= symbol
        weighed ^= _times(_power(place), symbol)
    first, second = _power(_DATA + 1), _power(_DATA + 2)
    last = _times(weighed ^ _times(first, plain), _power(31 - _logarithm(first ^ second)))
    return [plain ^ last, last]


def _logarithm(value: int) -> int:
    return next(exponent for exponent in range(31) if _power(exponent) == value)
