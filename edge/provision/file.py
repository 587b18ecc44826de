"""The file that sets a box up: its configuration, and beside it what the machine shall be.

It is an ``edge.toml`` as any, with one more table::

    [setup]
    token = "XXXX-XXXX-XXXX-XXXX"      # edge provision token: the first admin's code
    ca = "ca.pem"                      # beside this file: the clinic's own authority

    [setup.network]
    address = ["192.168.1.10/24"]
    gateway = ["192.168.1.1"]
    dns = ["192.168.1.1"]

Owns that table. Promises that whoever has a `Setup` has one that was checked as a whole: what is
wrong is said with the file, the line and the key. Does no I/O but for files that the configuration
itself names.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.access import codes
from edge.changing import all_settings, setting_of
from edge.checking import check
from edge.config import Config
from edge.errors import ConfigError, MachineRefused
from edge.machine.wishes import NetworkSettings, checked_network
from edge.overlay import take
from edge.settings import Settings

__all__ = ["LONGEST", "Setup", "read_setup", "without_token"]

LONGEST: Final = 64 * 1024
"""Bytes of a file."""
_DEEPEST: Final = 16
"""Tables and lists in each other: settings have four."""
_MOST_BITS: Final = 63
_LEAST_VARIED: Final = 7
"""Different characters of a code: of those that were drawn, one in a million has fewer."""
_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_\-\"'.\s]+?)\s*\]\]?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIXED: Final = {
    "keys": "what opens the box is chosen on it: edge key change",
    "appliance.data_dir": "the image says where its data is",
    "update.keys": "the image says whose updates are believed",
}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[setup]``."""

    token: str = ""
    ca: str = ""
    network: NetworkSettings | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a file says."""

    changes: Mapping[str, Any]
    """Names of settings -> values, as `edge.cache.own_settings` takes them."""
    config: Config
    """As it would be with nothing beside it."""
    token: str
    """One-time code of the first admin; empty if there is none."""
    ca: str
    """Name of the file beside it with the clinic's own authority; empty if there is none."""
    network: NetworkSettings | None
    """None: as it is."""
    digest: str
    """By which the file is known again, whether its token was struck out or not."""


def read_setup(text: str, where: str) -> Setup:
    """Read a file, and check all of it.

    Args:
        text: Its content.
        where: What it is called in errors.

    Raises:
        ConfigError: Something is wrong with it; nothing of it must be taken.
    """
    tree = _parsed(text, where)
    table = _table(tree.pop("setup", {}), where)
    if table.token not in text:
        raise ConfigError(
            f"{where}: setup.token is written in a way in which it can't be struck out",
            hint="write it as it was printed, between quotation marks",
        )
    plain = _without_setup(text)
    try:
        is_told = _parsed(plain, where) == tree
    except ConfigError:
        is_told = False
    if not is_told:
        raise ConfigError(
            f"{where}: the table setup can't be told from the rest",
            hint="write it as [setup] and [setup.network], each key on a line of its own",
        )
    settings = Settings(None, {})
    settings.under(Path(where), plain)
    for key, why in _FIXED.items():
        if settings.is_own(key.split(".")):
            raise settings.error(key.split("."), f"can't be said here: {why}", "leave it out")
    config = settings.build(Config)
    check(config, settings)
    changes = {
        key: said for key in all_settings() if (said := take(tree, key.split("."))) is not None
    }
    for key in _leaves(tree):
        if not any(key == known or key.startswith(f"{known}.") for known in changes):
            setting_of(key)  # which says that it is not known
    digest = hashlib.sha256(without_token(text, table.token).encode()).hexdigest()
    return Setup(changes, config, table.token, table.ca, table.network, digest)


def without_token(text: str, token: str) -> str:
    """The file with its token struck out: it was taken, and opens nothing any more."""
    return text.replace(token, "") if token else text


def _parsed(text: str, where: str) -> dict[str, Any]:
    """It as TOML, with nothing in it that those who read on could not take."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError
        raise ConfigError(f"{where}: is not TOML: {error}") from error
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        within = [
            one
            for holder in level
            for one in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if any(isinstance(one, int) and one.bit_length() > _MOST_BITS for one in within):
            raise ConfigError(f"{where}: has a number that is too large for TOML")
        level = [one for one in within if isinstance(one, (dict, list))]
        if not level:
            return tree
    raise ConfigError(f"{where}: has tables in tables, more than {_DEEPEST}")


def _table(said: object, where: str) -> _Table:
    try:
        table = msgspec.convert(said, _Table)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{where}: setup: {error}", hint="known there: token, ca, and the table network"
        ) from error
    if table.token and codes.digest_of(table.token) is None:
        raise ConfigError(
            f"{where}: setup.token is no code", hint="edge provision token prints one"
        )
    if table.token and len(set(codes.typed(table.token))) < _LEAST_VARIED:
        raise ConfigError(
            f"{where}: setup.token can be guessed", hint="edge provision token prints another"
        )
    if table.ca and not _NAME.fullmatch(table.ca):
        raise ConfigError(
            f"{where}: setup.ca is no name of a file beside this one", hint='such as "ca.pem"'
        )
    if table.network is not None:
        try:
            network = checked_network(table.network)
        except MachineRefused as error:
            raise ConfigError(f"{where}: setup.network.{error}", hint=error.hint) from error
        table = msgspec.structs.replace(table, network=network)
    return table


def _without_setup(text: str) -> str:
    """The same lines, those of the table ``setup`` empty: errors name the right one."""
    kept, is_setup = [], False
    for line in text.split("\n"):
        if header := _HEADER.match(line):
            is_setup = header[1].split(".")[0].strip(" \t\"'") == "setup"
        kept.append("" if is_setup else line)
    return "\n".join(kept)


def _leaves(tree: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    for name, value in tree.items():
        key = f"{inside}.{name}" if inside else name
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, key)
        else:
            yield key
