"""Bytes as people write them down, read out and type: groups of eight characters with checks.

Crockford's base 32. Six characters of a group are data, two are checks of a code over GF(32) with
distance three that counts the number of the group in: any two wrong characters of a group are
found, and so are groups in the wrong order. What the groups have room for beyond the data is a
check over all of it. Case, spaces and hyphens don't matter; O is 0, and I and L are 1.
"""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "ALPHABET",
    "GROUP",
    "WrittenError",
    "from_groups",
    "read_courier_key",
    "to_groups",
    "write_courier_key",
]

GROUP = 8
"""Characters of a group."""
_DATA = GROUP - 2
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_POLYNOMIAL = 0b100101


class WrittenError(ValueError):
    """What was typed is not what was written; ``hint`` says where to look."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def to_groups(data: bytes, groups: int, purpose: bytes) -> list[str]:
    """Data for paper.

    Args:
        data: Five bits of it go into each of six characters of a group.
        groups: At most 31.
        purpose: What the data is; that of another purpose is not read as this.
    """
    spare = groups * _DATA * 5 - len(data) * 8
    number = int.from_bytes(data, "big") << spare | _check_of(data, spare, purpose)
    symbols = [number >> 5 * at & 31 for at in reversed(range(groups * _DATA))]
    written = []
    for index in range(groups):
        part = symbols[index * _DATA : (index + 1) * _DATA]
        group = [*part, *_checks(index + 1, part)]
        written.append("".join(ALPHABET[symbol] for symbol in group))
    return written


def from_groups(
    text: str, length: int, groups: int, purpose: bytes, *, name: str, compare: str
) -> bytes:
    """Data as somebody typed it.

    Args:
        text: What was typed.
        length: Bytes of the data.
        groups: As ``to_groups``.
        purpose: Likewise.
        name: What messages call it, behind "the".
        compare: What to do if some of it is wrong.

    Raises:
        WrittenError: It is none; the message names the groups to look at.
    """
    words = re.findall(r"[^\W_]+", text.upper())
    if len(words) != groups:
        joined = "".join(words)
        words = [joined[at : at + GROUP] for at in range(0, len(joined), GROUP)] or [""]
    symbols: list[int] = []
    wrong: list[int] = []
    for number, word in enumerate(words[:groups], 1):
        group = [_VALUES.get(character, -1) for character in word]
        data, checks = group[:_DATA], group[_DATA:]
        if len(group) != GROUP or -1 in group or checks != _checks(number, data):
            wrong.append(number)
        symbols += data
    typed = sum(map(len, words))
    if typed != groups * GROUP:
        where = f"look at group {wrong[0]}" if wrong else f"look behind group {len(words)}"
        raise WrittenError(
            f"the {name} has {groups * GROUP} characters, and these are {typed}",
            f"{where}: there are {groups} groups of {GROUP}",
        )
    if wrong:
        named = ", ".join(map(str, wrong))
        one = len(wrong) == 1
        raise WrittenError(
            f"group{'' if one else 's'} {named} of the {name} {'is' if one else 'are'} not right",
            compare,
        )
    total = 0
    for symbol in symbols:
        total = total << 5 | symbol
    spare = groups * _DATA * 5 - length * 8
    found = (total >> spare).to_bytes(length, "big")
    if total & (1 << spare) - 1 != _check_of(found, spare, purpose):
        raise WrittenError(f"the groups are not those of one {name}", compare)
    return found


_COURIER = (18, b"edge courier key 1")
_COURIER_LENGTH = 64


def write_courier_key(key: bytes) -> list[str]:
    """The courier key of a place, 64 bytes."""
    return to_groups(key, *_COURIER)


def read_courier_key(text: str) -> bytes:
    """A courier key, as it stands in a configuration.

    Raises:
        WrittenError: It is none; the message names the groups to look at.
    """
    compare = "compare with what edge courier key prints there"
    return from_groups(text, _COURIER_LENGTH, *_COURIER, name="courier key", compare=compare)


def _check_of(data: bytes, bits: int, purpose: bytes) -> int:
    digest = hashlib.sha256(purpose + data).digest()
    return int.from_bytes(digest[:8], "big") >> 64 - bits


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
