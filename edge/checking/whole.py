"""The whole configuration, and what is asked of many values in it.

Every check is a function that gets a ``Whole``, and raises ``ConfigError`` at the first thing that
is wrong, with the place that said it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.addresses import is_loopback
from edge.config import Config
from edge.errors import ConfigError
from edge.peering import is_ae_title
from edge.settings import Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Kinds", "Whole"]

Kinds = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Of each kind of a table, what it needs, and what it may have beside it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it."""

    config: Config
    settings: Settings
    """Know where each key was said."""

    def error(self, keys: Sequence[str], what: str, hint: str = "") -> ConfigError:
        """An error that names the key, and the place that said it."""
        return self.settings.error(keys, what, hint)

    def check_kind(
        self,
        keys: Sequence[str],
        table: DataclassInstance,
        by: str,
        kinds: Kinds,
        also: Sequence[str] = (),
    ) -> None:
        """Whether a table says what its kind needs, and nothing that is not of its kind.

        Args:
            keys: Of the table.
            table: It.
            by: The key of its kind.
            kinds: What each needs, and may have.
            also: What every kind may have.
        """
        kind = getattr(table, by)
        needed, possible = kinds[kind]
        for item in fields(table):
            name, said = item.name, getattr(table, item.name) != item.default
            if name in needed and not said:
                raise self.error((*keys, name), f'is needed by {by} = "{kind}"')
            if said and name not in (by, *also, *needed, *possible):
                raise self.error((*keys, name), f'is not used by {by} = "{kind}"', "leave it out")

    def check_file(self, keys: Sequence[str], path: Path) -> None:
        """Whether it is there, as far as whoever runs this can see."""
        try:
            is_there, why = path.is_file(), ""
        except OSError as error:  # a folder above it is another's
            is_there, why = False, f": {error.strerror}"
        if not is_there:
            raise self.error(keys, f"= {path} is not a file that can be read{why}")

    def check_url(self, keys: Sequence[str], text: str) -> None:
        """Whether it is an address to which images and secrets may go."""
        try:
            url = urlsplit(text)
            host, _ = url.hostname, url.port
        except ValueError:
            url, host = urlsplit(""), None
        if url.scheme not in ("http", "https") or not host:
            raise self.error(keys, f'= "{text}" is not an address', "https://HOST/PATH")
        if url.username is not None or url.password is not None:
            raise self.error(keys, "holds a password", "say it as auth = { … }")
        if url.scheme == "http" and not is_loopback(f"{host}:0") and not self.config.appliance.lab:
            raise self.error(
                keys,
                f'= "{text}" is refused: images and secrets would travel in the clear',
                "use https, or set appliance.lab = true in a laboratory",
            )

    def check_ae_title(self, keys: Sequence[str], title: str) -> None:
        """Whether it is one."""
        if not is_ae_title(title):
            raise self.error(keys, "must be 1 to 16 ASCII characters, no backslash (PS3.5 6.2)")
