"""What every provider has in common: the length of a root secret, and how one is asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["ROOT_LENGTH", "Given", "Keeper", "KeyProvider"]

ROOT_LENGTH = 32


class KeyProvider(Protocol):
    """Releases the root secret."""

    def root_secret(self, *, first_start: bool) -> bytes:
        """The 32 bytes; made now if *first_start*.

        Raises:
            KeyUnavailable: It can't be had now.
            KeyLocked: The same, and nothing is wrong: it waits for somebody or something.
            WrongKey: What is there is not a root secret.
        """
        ...


class Keeper(KeyProvider, Protocol):
    """A provider as the box uses it, which also takes the secret back, and lets it go."""

    @property
    def opens_alone(self) -> bool:
        """Whether it releases the secret with nobody there, unless it is told to stay shut."""
        ...

    @property
    def is_destroyed_by_locking(self) -> bool:
        """Whether it stays shut only if what it has in the box is destroyed."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """What it keeps the secret in, in the box."""
        ...

    def keep(self, secret: bytes) -> None:
        """Keep a secret, in place of whatever is there.

        Raises:
            KeyUnavailable: It can't be kept now.
        """
        ...

    def put_back(self, secret: bytes) -> None:
        """Keep a secret that was lost here, as it was kept before.

        Raises:
            KeyUnavailable: It can't be kept now.
            WrongKey: Another one is there; it is left alone.
        """
        ...

    def mend(self) -> None:
        """Make what is kept twice whole again; for who owns the folder."""
        ...

    def destroy(self) -> None:
        """Destroy what is kept in the box: only the recovery key opens it from now on.

        Raises:
            OSError: Something is left; it is to be tried again.
        """
        ...

    def remember(self, secret: bytes) -> bool:
        """Have the kernel keep it over a restart of the service, if that is wanted.

        Never over one of the machine.

        Returns:
            Whether it does.
        """
        ...

    def forget(self) -> None:
        """Take it from the kernel again."""
        ...


class Given:
    """A root secret that somebody has already, as a provider."""

    def __init__(self, root: bytes) -> None:
        self._root = root

    def root_secret(self, *, first_start: bool) -> bytes:
        """It."""
        del first_start
        return self._root
