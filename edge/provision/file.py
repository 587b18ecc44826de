"""The file that sets a box up: its configuration, and beside it what the machine shall be.

It is an ``edge.toml`` as any, with one more table::

    [setup]
    token = "XXXX-XXXX-XXXX-XXXX"      # edge provision token: the first admin's code
    ca = "ca.pem"                      # beside this file: the clinic's own authority

    [setup.network]
    address = ["192.168.1.10/24"]
    gateway = ["192.168.1.1"]
    dns = ["192.168.1.1"]

Or it has the box take the place of another one, that was stolen or burnt::

    [setup.restore]
    key = "…"                          # the recovery key, from paper
    file = "backup.edge"               # beside this file; or else of the archive:

    [[cloud.archive]]
    url = "https://archive.example.org/dicom-web"

Owns that table. Promises that whoever has a `Setup` has one that was checked as a whole: what is
wrong is said with the file, the line and the key, as much of it at once as can be. Does no I/O but
for files that the configuration itself names.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.access import codes
from edge.changing import all_settings, setting_of
from edge.checking import check
from edge.config import Config
from edge.crypto.recovery import RecoveryKey
from edge.errors import ConfigError, MachineRefused, WrongKey
from edge.machine.wishes import NetworkSettings, checked_network
from edge.others import Auth
from edge.overlay import take
from edge.provision.authority import NAME, authority_of
from edge.provision.faults import Faults
from edge.provision.reach import check_reach
from edge.provision.text import parsed, without_token
from edge.settings import Settings

__all__ = ["Restore", "Setup", "read_setup"]

_LEAST_VARIED: Final = 7
"""Different characters of a code: of those that were drawn, one in a million has fewer."""
_HEADER = re.compile(r"[ \t]*\[\[?([A-Za-z0-9_\-\"'. \t]+)\]")
"""Whatever a line is made of, it is looked at once: what can't be a header may be 64 KiB long."""
_FIXED: Final = {
    "keys": "the disk image chose what opens its box; elsewhere edge key change does",
    "appliance.data_dir": "the image says where its data is",
    "update.keys": "the image says whose updates are believed",
}


_DRAW: Final = (
    "have a password manager draw 16 digits and letters (no U; seven or more different ones), or"
    " edge provision token where Edge is installed"
)
_KEY: Final = ("setup", "restore", "key")
_ARCHIVES: Final = "cloud.archive"
_LAB: Final = "appliance.lab"
_ANY_NETWORK: Final[Mapping[str, Any]] = {
    "interface": "any",
    "address": ("203.0.113.77/0", "2001:db8::4d/0"),
}
"""In the place of what is wrong: any gateway is in them."""
_LEAVE_OUT: Final = "or leave it out: then the code on the screen of the box makes the first admin"


@dataclass(frozen=True, slots=True)
class _Network:
    """``[setup.network]``, as `edge.machine.wishes.NetworkSettings` has it."""

    interface: str = ""
    address: tuple[str, ...] = ()
    gateway: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    vlan: int = 0
    ntp: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restore:
    """``[setup.restore]``."""

    key: str = field(default="", repr=False)
    """The recovery key as it was typed; empty once it was struck out."""
    file: str = ""
    """Name of the backup beside the file; empty: the newest of the archive."""


@dataclass(frozen=True, slots=True)
class _Table:
    """``[setup]``."""

    token: str = ""
    ca: str = ""
    network: _Network = _Network()
    restore: Restore = Restore()


@dataclass(frozen=True, slots=True)
class _File:
    """What is read here of it."""

    setup: _Table = _Table()


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
    ca_place: str
    """File and line that name the authority's file."""
    restore: Restore | None = None
    """The box takes the place of another; None: it does not."""

    @property
    def secret(self) -> str:
        """What is struck out of the file once it is taken; empty if there is none."""
        return self.token or (self.restore.key if self.restore else "")


def read_setup(text: str, where: str, beside: Mapping[str, bytes] | None = None) -> Setup:
    """Read a file, and check all of it.

    Args:
        text: Its content.
        where: What it is called in errors.
        beside: Files that lie beside it, by their names; None: they are not looked at.

    Raises:
        ConfigError: Something is wrong with it; nothing of it must be taken.
    """
    tree = parsed(text, where)
    said = tree.pop("setup", {})
    if not isinstance(said, dict):
        raise ConfigError(f"{where}: setup must be a table", hint="write it as [setup]")
    mine, plain = _apart(text)
    try:
        # By what they look like: what is no number equals nothing, not even itself.
        is_told = repr(parsed(plain, where)) == repr(tree) and repr(
            parsed(mine, where).get("setup", {})
        ) == repr(said)
    except ConfigError:
        is_told = False
    if not is_told:
        raise ConfigError(
            f"{where}: the table setup can't be told from the rest",
            hint="write it as [setup] and [setup.network], each key on a line of its own",
        )
    own, settings = Settings(None, {}), Settings(None, {})
    own.under(Path(where), mine)
    settings.under(Path(where), plain)
    faults = Faults(where)
    table = faults.found(own, _File, lambda file: _check_table(file.setup, own, text)).setup
    network = _network_of(table.network, own, faults) if "network" in said else None
    restore = table.restore if "restore" in said else None
    for key, why in _FIXED.items():
        keys = key.split(".")
        if settings.is_own(keys):
            with faults.told():
                raise settings.error(keys, f"can't be said here: {why}", "leave it out")
            settings.forget(keys)
    place = own.place(("setup", "ca")) or where
    if beside is not None:
        with faults.told():
            authority_of(table.ca, place, beside)
    config = faults.found(settings, Config, lambda config: check(config, settings))
    with faults.told():
        check_reach(config, settings)
    _check_passwords(tree, settings, faults)
    changes = {
        key: said for key in all_settings() if (said := take(tree, key.split("."))) is not None
    }
    if restore is not None:
        _check_restore(restore, table, own, settings, changes, faults)
    faults.refuse()
    for key in _leaves(tree):
        if not any(key == known or key.startswith(f"{known}.") for known in changes):
            setting_of(key)  # which says that it is not known
    secret = table.token or table.restore.key
    digest = hashlib.sha256(without_token(text, secret).encode()).hexdigest()
    return Setup(changes, config, table.token, table.ca, network, digest, place, restore)


def _check_table(table: _Table, own: Settings, text: str) -> None:
    if table.token and codes.digest_of(table.token) is None:
        raise own.error(("setup", "token"), "is no code", f"{_DRAW}; {_LEAVE_OUT}")
    if table.token and len(set(codes.typed(table.token))) < _LEAST_VARIED:
        raise own.error(("setup", "token"), "can be guessed", f"{_DRAW}; {_LEAVE_OUT}")
    if not _can_be_struck_out(table.token, text, ("setup", "token")):
        raise own.error(
            ("setup", "token"),
            "is written in a way in which it can't be struck out",
            "write it as it was printed, between quotation marks",
        )
    key = table.restore.key
    if key:
        try:
            RecoveryKey.from_text(key)
        except WrongKey as error:
            raise own.error(_KEY, f"is no recovery key: {error}", error.hint) from error
    if not _can_be_struck_out(key, text, _KEY):
        raise own.error(
            _KEY,
            "is written in a way in which it can't be struck out",
            "write it on one line, between quotation marks",
        )
    if table.restore.file and not NAME.fullmatch(table.restore.file):
        raise own.error(
            ("setup", "restore", "file"),
            "is no name of a file beside this one",
            'such as "backup.edge"',
        )
    if table.ca and not NAME.fullmatch(table.ca):
        raise own.error(("setup", "ca"), "is no name of a file beside this one", 'such as "ca.pem"')


def _check_restore(
    restore: Restore,
    table: _Table,
    own: Settings,
    settings: Settings,
    changes: Mapping[str, Any],
    faults: Faults,
) -> None:
    """What can stand beside it: where the backup is, and how the box reaches that.

    Whether that is a laboratory, where it may be http, holds for that way alone: of the restored
    box, the backup says it.
    """
    if table.token:
        with faults.told():
            raise own.error(
                ("setup", "token"),
                "makes no admin beside [setup.restore]",
                "leave it out: the restored box has its people, who log in as before",
            )
    for key in changes:
        if key != _ARCHIVES and (key != _LAB or restore.file) and not faults.at(key):
            with faults.told():
                raise settings.error(
                    key.split("."),
                    "can't be said beside [setup.restore]: the backup has the settings",
                    "leave it out",
                )
    if bool(restore.file) == (_ARCHIVES in changes) and not faults.at("setup.restore.file"):
        with faults.told():
            raise own.error(
                ("setup", "restore"),
                "must say one place of the backup",
                'either its file = "…" beside this one, or the archive that has it, as'
                " [[cloud.archive]]",
            )


def _check_passwords(tree: Mapping[str, Any], settings: Settings, faults: Faults) -> None:
    """Who says a user means a password, too; elsewhere it may be given on the page, later."""
    archives = take(tree, _ARCHIVES.split("."))
    known = {one.name for one in fields(Auth)}
    for number, archive in enumerate(archives if isinstance(archives, list) else ()):
        auth = archive.get("auth") if isinstance(archive, dict) else None
        if not isinstance(auth, dict) or auth.get("kind") != "basic" or not auth.keys() <= known:
            continue
        if "password" not in auth:
            with faults.told():
                raise settings.error(
                    (*_ARCHIVES.split("."), str(number), "auth", "password"),
                    "is missing",
                    'write it; where the archive wants none, write password = ""',
                )


def _can_be_struck_out(secret: str, text: str, keys: tuple[str, ...]) -> bool:
    if not secret:
        return True
    try:
        struck: Any = tomllib.loads(without_token(text, secret))
    except ValueError:
        return False
    for key in keys:
        struck = struck[key]
    return secret.isascii() and struck == ""


def _network_of(said: _Network, own: Settings, faults: Faults) -> NetworkSettings | None:
    """The network; None if something of it is wrong, which is told of each of its values."""
    inside, whole = ("setup", "network"), asdict(said)
    for name, value in whole.items():
        keys = (*inside, name)
        if faults.at(".".join(keys)):  # so it is not there, and others may need it
            whole[name] = _ANY_NETWORK.get(name, value)
            continue
        is_many = isinstance(value, tuple)
        try:
            msgspec.convert({name: value}, NetworkSettings)
            for number, one in enumerate(value if is_many else (value,)):
                alone = {
                    **_ANY_NETWORK,
                    "address": whole["address"],
                    "interface": whole["interface"],
                    name: (one,) if is_many else one,
                }
                with faults.told():
                    _refuse_network(alone, own, f".{number}" if is_many else "")
        except msgspec.ValidationError:
            with faults.told():
                raise own.error(keys, "has more, or longer, values than a network has") from None
        if faults.at(".".join(keys)):
            whole[name] = _ANY_NETWORK.get(name, ())
    if faults.at(".".join(inside)):
        return None
    return checked_network(msgspec.convert(whole, NetworkSettings))


def _refuse_network(said: Mapping[str, Any], own: Settings, which: str) -> None:
    try:
        checked_network(msgspec.convert(said, NetworkSettings))
    except MachineRefused as error:
        name, _, what = str(error).partition(": ")
        wrong = own.error(("setup", "network", name), f"= {what}", error.hint)
        wrong.key += which
        raise wrong from error


def _apart(text: str) -> tuple[str, str]:
    """The lines of the table ``setup``, and the others; in each, those of the other one are empty.

    So errors name the right line.
    """
    mine, others, is_setup = [], [], False
    for line in text.split("\n"):
        if header := _HEADER.match(line):
            is_setup = header[1].split(".")[0].strip(" \t\"'") == "setup"
        mine.append(line if is_setup else "")
        others.append("" if is_setup else line)
    return "\n".join(mine), "\n".join(others)


def _leaves(tree: Mapping[str, Any], inside: str = "") -> Iterator[str]:
    for name, value in tree.items():
        key = f"{inside}.{name}" if inside else name
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, key)
        else:
            yield key
