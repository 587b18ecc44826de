"""The root secret under a passphrase, which somebody must say after the machine has started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.crypto.kernel import KernelMemory
from edge.crypto.passphrases import Stretching, require_strength, wipe
from edge.crypto.providers.base import ROOT_LENGTH
from edge.crypto.providers.wrapped import ByPassphrase, WrappedRoot, unwrap, wrap
from edge.crypto.twin import copies
from edge.errors import KeyLocked, Needs, WrongKey

__all__ = ["PassphraseKeyProvider"]

_CHOOSE = "choose one: edge key unlock, on this machine; or its web page, if a console shows a code"
_TYPE = "type it, or name a file that has it with --file"
_SAY = "edge key unlock, on this machine; or its web page"


@dataclass
class PassphraseKeyProvider:
    """Opens the box to who says the passphrase; nobody can read it anywhere.

    Args:
        wrapped: The file.
        kernel: Keeps the secret over a restart of the service.
    """

    wrapped: WrappedRoot
    kernel: KernelMemory
    _said: bytearray = field(default_factory=bytearray, repr=False)

    opens_alone = False
    is_destroyed_by_locking = False

    @contextmanager
    def saying(self, passphrase: bytearray | None) -> Iterator[None]:
        """What attempts are made with until the block ends; it is wiped then."""
        self._said = passphrase or bytearray()
        try:
            yield
        finally:
            wipe(self._said)
            self._said = bytearray()

    def root_secret(self, *, first_start: bool) -> bytes:
        """Unwrap it with what was said; make it, if this is the first start and there is none.

        Raises:
            KeyLocked: Nothing was said, and the kernel has nothing either.
            WrongKey: It was another passphrase.
            SecretError: What was chosen is too weak, or the file is damaged.
        """
        if first_start and not self.wrapped.exists():
            if not self._said:
                raise KeyLocked(
                    "nobody has chosen its passphrase yet", needs=Needs.NEW_PASSPHRASE, hint=_CHOOSE
                )
            return self._wrapped_anew(os.urandom(ROOT_LENGTH))
        found = self.wrapped.required(ByPassphrase)
        assert isinstance(found, ByPassphrase)
        if not self._said:
            if (remembered := self.kernel.recall(self.wrapped.digest())) is not None:
                return remembered
            raise KeyLocked("it waits for its passphrase", needs=Needs.PASSPHRASE, hint=_SAY)
        how = Stretching(found.salt, found.memory_kib, found.passes, found.lanes)
        try:
            return unwrap(found.box, how.key(self._said), *_bound(how))
        except WrongKey as error:
            raise WrongKey("the passphrase is wrong", hint="nothing was changed") from error

    @property
    def files(self) -> tuple[Path, ...]:
        """Both copies."""
        return copies(self.wrapped.path)

    def keep(self, secret: bytes) -> None:
        """Wrap it with what was said, whatever it was wrapped with before.

        Raises:
            KeyLocked: Nothing was said.
            SecretError: What was said is too weak.
        """
        if not self._said:
            raise KeyLocked("it needs a passphrase", needs=Needs.NEW_PASSPHRASE, hint=_TYPE)
        self._wrapped_anew(secret)

    put_back = keep

    def mend(self) -> None:
        """Make both copies whole."""
        self.wrapped.mend()

    def destroy(self) -> None:
        """Destroy the file."""
        self.wrapped.destroy()

    def remember(self, secret: bytes) -> bool:
        """Over a restart of the service, for ``keys.grace_hours``."""
        return self.kernel.keep(self.wrapped.digest(), secret)

    def forget(self) -> None:
        """The kernel has it no more."""
        self.kernel.forget()

    def _wrapped_anew(self, secret: bytes) -> bytes:
        require_strength(self._said)
        how = Stretching.new()
        box = wrap(secret, how.key(self._said), *_bound(how))
        self.wrapped.write(ByPassphrase(how.salt, how.memory_kib, how.passes, how.lanes, box))
        return secret


def _bound(how: Stretching) -> tuple[bytes | int, ...]:
    return b"passphrase", how.salt, how.memory_kib, how.passes, how.lanes
