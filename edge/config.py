"""The configuration: read once at start, frozen, complained about by key and line.

Sources, later ones win: the defaults below, a TOML file, ``EDGE_SECTION__KEY`` in the environment
(for an array of tables ``EDGE_CLOUD__ARCHIVE__0__URL``). Unknown keys are errors. What is unsafe
outside a laboratory is refused here, before anything listens.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from edge.errors import ConfigError

__all__ = [
    "Appliance",
    "Archive",
    "Auth",
    "Cache",
    "Cloud",
    "Config",
    "Dimse",
    "DropFolder",
    "Http",
    "Keys",
    "Peer",
    "Sync",
    "host_and_port",
    "is_loopback",
    "load",
]

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Appliance:
    """``[appliance]``: the box itself."""

    name: str = "edge"
    data_dir: Path = Path("/var/lib/edge")
    lab: bool = False
    """Allows what is refused elsewhere; every screen says so."""


@dataclass(frozen=True, slots=True)
class Keys:
    """``[keys]``: where the root secret comes from."""

    provider: Literal["file"] = "file"
    path: Path = Path()
    """Of the ``file`` provider; empty means ``root.key`` in ``data_dir``."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``[[dimse.peer]]``: a DICOM application entity that we know."""

    ae_title: str
    host: str = ""
    """Address that it must call from; empty means any."""
    port: int = 104
    may: tuple[str, ...] = ("store",)


@dataclass(frozen=True, slots=True)
class Dimse:
    """``[dimse]``: the DICOM upper layer. Times are in seconds, sizes in bytes."""

    listen: str = "0.0.0.0:11112"
    ae_title: str = "EDGE"
    unknown_peers: Literal["reject", "accept"] = "reject"
    peer: tuple[Peer, ...] = ()
    max_pdu: int = 128 * 1024
    max_associations: int = 1000
    artim_seconds: float = 30.0
    """PS3.8 9.1.5: from the connection to a complete A-ASSOCIATE-RQ."""
    idle_seconds: float = 600.0
    """Between two messages of one association."""
    pdu_seconds: float = 60.0
    """From the first byte of a PDU to its last, and between the PDUs of one message."""


@dataclass(frozen=True, slots=True)
class Http:
    """``[http]``: DICOMweb, the API and the web page."""

    listen: str = "0.0.0.0:8443"
    tls: Literal["auto", "files", "off"] = "auto"
    tls_certificate: Path = Path()
    tls_key: Path = Path()
    auth: Literal["required", "none"] = "required"


@dataclass(frozen=True, slots=True)
class Cache:
    """``[cache]``: how much of the archive's content stays here."""

    max_bytes: int = 0
    """Of sealed objects; 0 means as much as the disk has beyond ``reserve_bytes``."""
    reserve_bytes: int = 2 * GIB
    """Free space on the disk that is never used."""
    keep_days: int = 0
    """Eviction spares what was used within so many days, until the high mark forces it."""
    max_instance_bytes: int = 64 * GIB


@dataclass(frozen=True, slots=True)
class Auth:
    """``auth`` of an archive: how we say who we are."""

    kind: Literal["none", "basic", "bearer"] = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Archive:
    """``[[cloud.archive]]``: where studies go and come from."""

    name: str
    url: str
    """Base of its DICOMweb service, such as ``https://host/dicom-web``."""
    kind: Literal["dicomweb"] = "dicomweb"
    auth: Auth = Auth()
    tls_ca: Path = Path()


@dataclass(frozen=True, slots=True)
class Cloud:
    """``[cloud]``."""

    archive: tuple[Archive, ...] = ()


@dataclass(frozen=True, slots=True)
class Sync:
    """``[sync]``: how the box and the archive become equal."""

    sweep_minutes: float = 15.0
    verify: Literal["all", "sample"] = "all"
    """Whether every instance is read back and compared, or a sample of each series."""
    batch_bytes: int = 16 * 1024**2
    """Size that a batch may grow to; a larger instance travels alone."""
    retry_min_seconds: float = 2.0
    retry_max_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class DropFolder:
    """``[dropfolder]``: a folder whose files are admitted."""

    path: Path = Path()
    """Empty means none."""
    settle_seconds: float = 2.0
    """A file that has not changed for so long is complete."""


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    appliance: Appliance = Appliance()
    keys: Keys = Keys()
    dimse: Dimse = Dimse()
    http: Http = Http()
    cache: Cache = Cache()
    cloud: Cloud = Cloud()
    sync: Sync = Sync()
    dropfolder: DropFolder = DropFolder()


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration.

    Args:
        path: The TOML file; None means the defaults and the environment alone.
        environ: Where ``EDGE_SECTION__KEY`` is looked up.

    Raises:
        ConfigError: The file can't be read, a key is unknown, a value does not fit, or the whole
            is unsafe outside a laboratory.
    """
    text, name = "", "environment"
    if path is not None:
        name = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{name}: can't be read: {error}",
                hint="name the file with --config or EDGE_CONFIG",
            ) from error
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from error
    reader = _Reader(name, text)
    _overlay(tree, environ)
    config = typing.cast(Config, reader.build(Config, tree, ()))
    _refuse_unsafe(config, name)
    return config


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay ``EDGE_SECTION__KEY`` over the parsed file; values are TOML, or else plain text."""
    for variable, value in sorted(environ.items()):
        if not variable.startswith("EDGE_") or "__" not in variable:
            continue
        keys = variable.removeprefix("EDGE_").lower().split("__")
        node: Any = tree
        for key, following in itertools.pairwise(keys):
            if isinstance(node, list):
                index = int(key)
                node.extend({} for _ in range(index + 1 - len(node)))
                node = node[index]
            else:
                node = node.setdefault(key, [] if following.isdecimal() else {})
        try:
            node[keys[-1]] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            node[keys[-1]] = value


class _Reader:
    """Turns a tree of TOML values into the dataclasses, by their annotations."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.splitlines()

    def build(self, cls: type[Any], tree: object, keys: tuple[str, ...]) -> object:
        if not isinstance(tree, dict):
            raise self._error(keys, "must be a table")
        hints = typing.get_type_hints(cls)
        for key in tree:
            if key not in hints:
                known = ", ".join(sorted(hints))
                raise self._error((*keys, key), "is not a known key", hint=f"known here: {known}")
        values = {key: self._value(hints[key], value, (*keys, key)) for key, value in tree.items()}
        for item in dataclasses.fields(cls):
            required = item.default is item.default_factory is dataclasses.MISSING
            if required and item.name not in values:
                raise self._error((*keys, item.name), "is missing")
        return cls(**values)

    def _value(self, kind: Any, value: Any, keys: tuple[str, ...]) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if dataclasses.is_dataclass(kind):
            return self.build(typing.cast(type[Any], kind), value, keys)
        if origin is tuple:
            if not isinstance(value, list):
                raise self._error(keys, "must be an array")
            return tuple(
                self._value(arguments[0], item, (*keys, str(index)))
                for index, item in enumerate(value)
            )
        if origin is Literal:
            if value not in arguments:
                raise self._error(keys, f"must be one of {', '.join(map(repr, arguments))}")
            return value
        if kind is Path and isinstance(value, str):
            return Path(value)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            names = {
                str: "text",
                int: "a whole number",
                bool: "true or false",
                float: "a number",
            }
            raise self._error(keys, f"must be {names.get(kind, 'text')}")
        if kind in (int, float) and value < 0:
            raise self._error(keys, "must not be negative")
        return value

    def _error(self, keys: tuple[str, ...], what: str, hint: str = "") -> ConfigError:
        line = self._line_of(keys)
        where = f"{self._name}:{line}" if line else self._name
        return ConfigError(f"{where}: {'.'.join(keys) or 'the file'} {what}", hint=hint)

    def _line_of(self, keys: tuple[str, ...]) -> int:
        """The line of a key, or of the nearest table around it; 0 if neither is in the file."""
        names = [key for key in keys if not key.isdecimal()]
        occurrence = next((int(key) for key in keys if key.isdecimal()), 0)
        best, table, seen = 0, "", -1
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[+\s*([\w.\-\"]+)\s*\]+", line):
                table = header.group(1)
                seen += table == ".".join(names[:-1]) and line.lstrip().startswith("[[")
                if table in (".".join(names), ".".join(names[:-1])):
                    best = best or number
            elif (
                names
                and table == ".".join(names[:-1])
                and seen in (-1, occurrence)
                and re.match(rf"\s*\"?{re.escape(names[-1])}\"?\s*=", line)
            ):
                return number
        return best


def host_and_port(listen: str) -> tuple[str, int]:
    """Split ``host:port`` (IPv6 in brackets).

    Raises:
        ConfigError: It is not of that form.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{listen!r} is not HOST:PORT", hint='for example "0.0.0.0:11112"')
    return host.strip("[]"), int(port)


def is_loopback(listen: str) -> bool:
    """Whether only programs on this machine can reach the address."""
    host, _ = host_and_port(listen)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_unsafe(config: Config, name: str) -> None:
    unsafe = [
        (config.http.auth == "none", "http.auth", '"none"', config.http.listen),
        (config.http.tls == "off", "http.tls", '"off"', config.http.listen),
        (
            config.dimse.unknown_peers == "accept",
            "dimse.unknown_peers",
            '"accept"',
            config.dimse.listen,
        ),
    ]
    for is_set, key, value, listen in unsafe:
        exposed = not is_loopback(listen)
        if is_set and exposed and not config.appliance.lab:
            raise ConfigError(
                f"{name}: {key} = {value} is refused while {listen} can be reached from outside",
                hint="listen on 127.0.0.1, or set appliance.lab = true in a laboratory",
            )
    for number, archive in enumerate(config.cloud.archive):
        where = f"{name}: cloud.archive.{number}.url = {archive.url}"
        url = urlsplit(archive.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"{where} is not an address", hint="https://HOST/PATH")
        local = is_loopback(f"{url.hostname}:0")
        if url.scheme == "http" and not local and not config.appliance.lab:
            raise ConfigError(
                f"{where} is refused: images and secrets would travel in the clear",
                hint="use https, or set appliance.lab = true in a laboratory",
            )
    if config.dropfolder.path != Path():
        drop, data = config.dropfolder.path.resolve(), config.appliance.data_dir.resolve()
        if drop.is_relative_to(data) or data.is_relative_to(drop):
            raise ConfigError(
                f"{name}: dropfolder.path = {drop} and appliance.data_dir = {data} overlap",
                hint="what is dropped is taken away: name a folder of its own",
            )
    ae_title = config.dimse.ae_title
    if not 1 <= len(ae_title.strip()) <= 16 or not ae_title.isascii() or "\\" in ae_title:
        raise ConfigError(f"{name}: dimse.ae_title must be 1 to 16 ASCII characters (PS3.5 6.2)")
    if config.http.tls == "files" and not (
        config.http.tls_certificate.is_file() and config.http.tls_key.is_file()
    ):
        raise ConfigError(
            f'{name}: http.tls = "files" needs http.tls_certificate and http.tls_key to be files'
        )
