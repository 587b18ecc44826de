"""Passwords: which ones may be, and what is kept of them.

Owns the one hash, Argon2id (RFC 9106), and its cost. Promises that nothing but the hash is kept;
that hashing never holds up the event loop and takes no more than a bounded part of a small box's
memory, however many log in at once; and that a name which nobody has, or a user without a password,
costs as much time as a wrong password. There is no default password. Rules are those of NIST
SP 800-63B: a length, no list of kinds of characters, no end by the calendar, and nothing that is
guessed first.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.errors import TooManyAttempts

__all__ = ["MOST_CHARACTERS", "SHORTEST", "Cost", "Passwords", "fault_of", "is_same"]

T = TypeVar("T")

SHORTEST = 10
MOST_CHARACTERS = 256
_AT_ONCE = 2
_MOST_WAITING = 64
_BUSY_SECONDS = 2.0

_FEW = 5
"""With fewer different characters it is a pattern."""
_REST = 6
"""Fewer characters beside a word add little to it."""
_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)
_GUESSED_FIRST = frozenset(
    """
    abcdefgh access admin administrator baseball bienvenue changeit changeme clinic computer
    contrasena default dicom doctor dragon edge edgecache football geheim guest hallo hello
    hospital iloveyou internet klinik letmein login master medical michael minedujeme monkey
    motdepasse nurse orthanc pacs parola passord passphrase passwd password passwort princess
    qwerty qwertz radiologie radiology roentgen secret senha service shadow starwars sunshine
    superman support system temporary test testing trustno wachtwoord welcome whatever
    willkommen xray
    """.split()
)
"""What a password may not be made of alone, beside digits and signs."""
_LOOKS_LIKE = str.maketrans("01345@$!7", "oleasasit")
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one hash."""

    memory_kib: int = 46 * 1024
    """Twice that at the most is in use: 92 MiB, which a box with 1 GiB has."""
    iterations: int = 2
    """A third of a second on a Raspberry Pi 4's core, a tenth on a mini-PC's."""

    @property
    def beginning(self) -> str:
        """Of a hash of this cost, in PHC form."""
        return f"$argon2id$v=19$m={self.memory_kib},t={self.iterations},p=1$"


class Passwords:
    """Hashes and compares, a few at a time.

    Args:
        cost: Of new hashes; others are still compared.
    """

    def __init__(self, cost: Cost | None = None) -> None:
        self._cost = cost or Cost()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        # Fits no password, and costs what a real one does.
        salt, tag = (b64encode(secrets.token_bytes(size)).decode() for size in (15, 30))
        self._nobody = f"{self._cost.beginning}{salt}${tag}"

    async def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            TooManyAttempts: Too many others wait for theirs.
        """
        return await self._take_turn(self._hash, password)

    async def fits(self, password: str, kept: str) -> bool:
        """Whether it is the password of which *kept* was kept; empty: none was, and none fits.

        Raises:
            TooManyAttempts: Too many others wait for theirs.
        """
        fits = await self._take_turn(_fits, password, kept or self._nobody)
        return fits and bool(kept)

    def is_outdated(self, kept: str) -> bool:
        """Whether new hashes cost something else: it is time to make one of the same password."""
        return not kept.startswith(self._cost.beginning)

    async def _take_turn(self, call: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= _MOST_WAITING:
            raise TooManyAttempts("too many log in at once", retry_after=_BUSY_SECONDS)
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(call, *arguments)
        finally:
            self._waiting -= 1

    def _hash(self, password: str) -> str:
        return Argon2id(
            salt=secrets.token_bytes(16),
            length=32,
            iterations=self._cost.iterations,
            lanes=1,
            memory_cost=self._cost.memory_kib,
        ).derive_phc_encoded(_bytes(password))


def fault_of(password: str, *names: str) -> str:
    """Why it may not be one, in words that follow "the password"; empty if it may.

    Args:
        password: As it was typed.
        names: Of the user and of the box: it may not be made of those.
    """
    text = unicodedata.normalize("NFKC", password)
    if len(text) < SHORTEST:
        return f"has less than {SHORTEST} characters"
    if len(text) > MOST_CHARACTERS:
        return f"has more than {MOST_CHARACTERS} characters"
    folded = text.casefold()
    if len(set(folded)) < _FEW or _is_run(folded):
        return "is a pattern that is guessed first"
    own = {word for name in names for word in _LETTERS.findall(name.casefold()) if len(word) > 2}
    for spelt in (folded, folded.translate(_LOOKS_LIKE)):
        if _is_made_of(spelt, own):
            return "is made of the name"
        if _is_made_of(spelt, own | _GUESSED_FIRST):
            return "is made of a word that is guessed first"
    return ""


def is_same(one: str, other: str) -> bool:
    """Whether two are one password, however they were typed."""
    return secrets.compare_digest(_bytes(one), _bytes(other))


def _is_made_of(text: str, words: Iterable[str]) -> bool:
    """Whether it is such words, and little beside them."""
    rest = text
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return rest != text and (len(rest) < _REST or _is_run(rest))


def _is_run(text: str) -> bool:
    return any(text in run or text in run[::-1] for run in _RUNS)


def _fits(password: str, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(_bytes(password), kept)
    except InvalidKey:
        return False
    return True


def _bytes(password: str) -> bytes:
    # One keyboard sends a letter and its accent apart, another as one (NIST SP 800-63B 3.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
