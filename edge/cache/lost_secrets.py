"""Sealed secrets of the configuration that this box can't open any more: which, and whose.

Whose they are is out of use until somebody gives them again (`edge.cloud.shut`, `edge.entering`);
all else goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.config import Config
from edge.crypto.secrets import unopened

__all__ = ["LostSecret", "lost_secrets"]


@dataclass(frozen=True, slots=True)
class LostSecret:
    """One of them."""

    key: str
    """Of the setting, such as ``cloud.archive.0.auth.password``."""
    archive: str
    """Whose it is; empty: it is the identity provider's."""
    why: str
    """It can't be opened, with the key."""

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        whose = f"Archive {self.archive}" if self.archive else "The identity provider"
        return f"{whose} is out of use, its secret must be given again: {self.why}"


def lost_secrets(config: Config, key: bytes) -> tuple[LostSecret, ...]:
    """All that are in use, in the order of the configuration. Blocks.

    Args:
        config: All of it.
        key: Of this box, see `edge.crypto.secrets.PURPOSE`.
    """
    return tuple(_found(config, key))


def _found(config: Config, key: bytes) -> Iterator[LostSecret]:
    for number, archive in enumerate(config.cloud.archive):
        for error in unopened(archive, key, f"cloud.archive.{number}"):
            yield LostSecret(error.key, archive.name, str(error))
    if config.access.oidc.issuer:
        for error in unopened(config.access, key, "access"):
            yield LostSecret(error.key, "", str(error))
