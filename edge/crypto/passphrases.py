"""Passphrases for the root secret: what is taken, and how a guess is made expensive.

Whoever has the disk of a box can guess as long as he likes, with machines of his own; so what may
be chosen must be long, and each guess costs 64 MiB and three passes over them (Argon2id, RFC 9106:
its second recommended choice), about a second on a small box. No I/O here.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.errors import SecretError

__all__ = ["LEAST", "Stretching", "normal", "require_strength", "wipe"]

LEAST = 16
"""Characters of a passphrase that is chosen."""
_LEAST_DIFFERENT = 7
_MOST_BYTES = 1024
_RUN = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijqwertyuiopasdfghjklzxcvbnm"
_HINT = f"{LEAST} characters or more: five words that nobody would put together, say"


@dataclass(frozen=True, slots=True)
class Stretching:
    """How much a guess costs."""

    salt: bytes
    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4

    @classmethod
    def new(cls) -> Stretching:
        """With a salt of its own."""
        return cls(os.urandom(16))

    def key(self, passphrase: bytearray) -> bytes:
        """32 bytes that follow from a passphrase. Takes about a second, and blocks.

        Raises:
            SecretError: These parameters are none, or more than a box can do.
        """
        is_sane = self.memory_kib <= 1024 * 1024 and self.passes <= 64 and self.lanes <= 16
        if not is_sane:
            raise SecretError("a passphrase can't be stretched like this: it would take too much")
        try:
            function = Argon2id(
                salt=self.salt,
                length=32,
                iterations=self.passes,
                lanes=self.lanes,
                memory_cost=self.memory_kib,
            )
            return function.derive(bytes(passphrase))
        except (ValueError, MemoryError, UnsupportedAlgorithm) as error:
            raise SecretError(f"a passphrase can't be stretched like this: {error}") from error


def normal(text: str | bytes | bytearray) -> bytearray:
    """A passphrase as it is used: however a keyboard put its accents together, it is the same.

    Raises:
        SecretError: It is not text, or longer than any.
    """
    try:
        text = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError:
        raise SecretError("the passphrase is not text in UTF-8") from None
    found = unicodedata.normalize("NFKC", text.removesuffix("\n").removesuffix("\r"))
    passphrase = bytearray(found.encode("utf-8", "surrogatepass"))
    if len(passphrase) > _MOST_BYTES:
        raise SecretError(f"a passphrase of more than {_MOST_BYTES} bytes is not taken")
    return passphrase


def require_strength(passphrase: bytearray) -> None:
    """Do nothing if it may be chosen.

    Raises:
        SecretError: It is too easily guessed; the message says why, and holds nothing of it.
    """
    text = passphrase.decode("utf-8", "surrogatepass").lower()
    plain = "".join(filter(str.isalnum, text))
    if len(text) < LEAST:
        raise SecretError(f"the passphrase has {len(text)} characters: too few", hint=_HINT)
    if len(set(text)) < _LEAST_DIFFERENT:
        raise SecretError("the passphrase is made of very few different characters", hint=_HINT)
    if any(plain == (plain[:n] * len(plain))[: len(plain)] for n in range(1, len(plain) // 2 + 1)):
        raise SecretError("the passphrase is one word, over and over", hint=_HINT)
    if plain in _RUN * 2 or plain[::-1] in _RUN * 2:
        raise SecretError("the passphrase is a row of keys of the keyboard", hint=_HINT)


def wipe(secret: bytearray) -> None:
    """Overwrite a secret; copies that the interpreter made are beyond anybody's reach."""
    secret[:] = bytes(len(secret))
