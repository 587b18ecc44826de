"""Sealed secrets of the configuration that this box can't open any more: which, and whose.

Whose they are is out of use until somebody gives them again (`edge.cloud.shut`, `edge.entering`,
`edge.updating`); all else goes on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.cache.own_settings import written_in
from edge.config import Config
from edge.crypto.secrets import unopened

__all__ = ["LostSecret", "lost_secrets"]


@dataclass(frozen=True, slots=True)
class LostSecret:
    """One of them."""

    key: str
    """Of the setting, such as ``cloud.archive.0.auth.password``."""
    archive: str
    """Whose it is; empty: it is the identity provider's, or the server's of updates."""
    why: str
    """It can't be opened, with the key."""
    by_page: bool
    """It can be given again on the page; else on the machine alone."""

    @property
    def is_of_updates(self) -> bool:
        """It is for the way to the server of updates."""
        return self.key.startswith("update.")

    @property
    def sentence(self) -> str:
        """For a nurse, without its full stop."""
        whose = f"Archive {self.archive}" if self.archive else "The identity provider"
        if self.is_of_updates:
            whose = "The server of updates"
        return f"{whose} is out of use, its secret must be given again: {self.why}"


def lost_secrets(config: Config, key: bytes) -> tuple[LostSecret, ...]:
    """All that are in use, in the order of the configuration. Blocks.

    Args:
        config: All of it.
        key: Of this box, see `edge.crypto.secrets.PURPOSE`.
    """
    return tuple(_found(config, key))


def _found(config: Config, key: bytes) -> Iterator[LostSecret]:
    own = _own(config)
    for number, archive in enumerate(config.cloud.archive):
        for error in unopened(archive, key, f"cloud.archive.{number}"):
            yield LostSecret(error.key, archive.name, str(error), _says(own, config, error.key))
    others = [*unopened(config.access, key, "access")] if config.access.oidc.issuer else []
    others += unopened(config.update, key, "update") if config.update.url else ()
    for error in others:
        yield LostSecret(error.key, "", str(error), _says(own, config, error.key))


def _own(config: Config) -> Mapping[str, Any]:
    """What the box's own file says; nothing, if that can't be read."""
    try:
        return tomllib.loads(written_in(config.appliance.data_dir).text)
    except (OSError, ValueError, RecursionError):
        return {}


def _says(own: Mapping[str, Any], config: Config, key: str) -> bool:
    """Whether it says the very secret that is in force: else the machine's file says another."""
    keys = key.split(".")
    return bool(_at(own, keys) == _at(config, keys))


def _at(node: Any, keys: Sequence[str]) -> Any:
    """What stands at these keys of a tree or of dataclasses; None if nothing does."""
    for key in keys:
        if isinstance(node, Mapping):
            node = node.get(key)
        elif isinstance(node, list | tuple):
            node = node[int(key)] if int(key) < len(node) else None
        else:
            node = getattr(node, key, None)
    return node
