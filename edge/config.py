"""The configuration: frozen values, and what they may be together.

Promises that who has a ``Config`` from ``load`` need not check it again: unknown keys, values that
do not fit and what is unsafe outside a laboratory are refused here, before anything listens, with
the file and line, or the variable of the environment, that said so. How files and variables are
read stands in ``settings``.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edge.errors import ConfigError
from edge.rules import pin_of, prior_of
from edge.settings import Settings
from edge.week import RuleError, hours_of, rule_of
from edge.written import WrittenError, read_courier_key

__all__ = [
    "Appliance",
    "Archive",
    "Auth",
    "Backup",
    "Cache",
    "Cloud",
    "Config",
    "Courier",
    "Dimse",
    "DropFolder",
    "Http",
    "Keys",
    "Peer",
    "Pixels",
    "Sync",
    "host_and_port",
    "is_loopback",
    "load",
    "not_listening",
]

GIB = 1024**3
_AUTH_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "none": ((), ()),
    "basic": (("user",), ("password",)),
    "bearer": (("token",), ()),
    "oauth2": (
        ("token_url", "client_id", "client_secret"),
        ("client_auth", "scope", "audience", "resource", "tls_ca"),
    ),
    "google": (("key_file",), ("token_url", "scope", "tls_ca")),
    "aws": (
        ("region", "access_key_id", "secret_access_key"),
        ("session_token", "service", "payload"),
    ),
}
"""Of each kind, what it needs, and what it may have beside it."""


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


Right = Literal["store", "query", "retrieve", "commit", "worklist"]
"""What a peer may ask for."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``[[dimse.peer]]``: a DICOM application entity that we know."""

    ae_title: str
    host: str = ""
    """Address that it must call from; empty means any."""
    port: int = 104
    may: tuple[Right, ...] = ("store",)


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
    cors_origins: tuple[str, ...] = ()
    """Whose pages may use the service from a browser, as browsers write it: ``https://host``."""


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
    rendered_bytes: int = 256 * 1024**2
    """Of rendered pictures, beside ``max_bytes``; 0 keeps none."""
    pin: tuple[str, ...] = ()
    """What is always here, such as ``modality MG within 2 years``. See ``edge.rules``."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """``[pixels]``: what decoding and rendering may take."""

    workers: int = 0
    """Processes; 0 means one on a box of two cores, two on a larger one; one more animates."""
    frame_bytes: int = 128 * 1024**2
    """Of a decoded frame; a worker's memory follows from it."""
    seconds: float = 20.0
    """Of processor time for a frame."""


@dataclass(frozen=True, slots=True)
class Auth:
    """``auth`` of an archive: how we say who we are.

    What shows in no repr is a secret: it may be written as ``crypto.secrets`` reads it, too.
    """

    kind: Literal["none", "basic", "bearer", "oauth2", "google", "aws"] = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    token_url: str = ""
    """Of ``oauth2``; of ``google`` only if it shall not be that of the key file."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_auth: Literal["basic", "body"] = "basic"
    """How the client says its secret: RFC 6749 2.3.1 has both."""
    scope: str = ""
    """Empty means the endpoint's own, and cloud-healthcare for ``google``."""
    audience: str = ""
    resource: str = ""
    tls_ca: Path = Path()
    """Of the token endpoint; empty means the system's."""
    key_file: Path = Path()
    """The service account's, as Google gives it (JSON). Read whenever a token is asked for."""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    service: str = "medical-imaging"
    payload: Literal["streaming", "unsigned"] = "streaming"
    """What is signed in place of the digest of images that are on their way, see ``cloud.aws``."""


@dataclass(frozen=True, slots=True)
class Archive:
    """``[[cloud.archive]]``: where studies go and come from."""

    name: str
    url: str
    """Base of its DICOMweb service, such as ``https://host/dicom-web``."""
    kind: Literal["dicomweb", "orthanc", "edge", "azure", "google", "aws"] = "dicomweb"
    """What it is, for what DICOMweb does not say: what changed in it, and how it deletes."""
    auth: Auth = Auth()
    tls_ca: Path = Path()
    role: Literal["primary", "failover", "copy"] = "primary"
    """Everything goes to the primary one; ``failover`` stands in while that is away; ``copy`` gets
    what is made here, too."""
    tls_certificate: Path = Path()
    """That we show to an archive which asks for one; ``tls_key`` is its key."""
    tls_key: Path = Path()
    proxy: str = ""
    """``http://host:port``; empty means none, whatever the environment says."""
    proxy_user: str = ""
    proxy_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Cloud:
    """``[cloud]``."""

    archive: tuple[Archive, ...] = ()


@dataclass(frozen=True, slots=True)
class Sync:
    """``[sync]``: how the box and the archive become equal."""

    sweep_minutes: float = 15.0
    feed_seconds: float = 30.0
    """Between two looks at the feed of an archive that has one."""
    verify: Literal["all", "sample"] = "all"
    """Whether every instance is read back and compared, or a sample of each series."""
    batch_bytes: int = 16 * 1024**2
    """Size that a batch may grow to; a larger instance travels alone."""
    uploads_in_flight: int = 4
    """Uploads at the same time at the most; more than one only where that is faster."""
    preview_first: bool = False
    """Whether first, middle and last instance of every series go up before the rest."""
    retry_min_seconds: float = 2.0
    retry_max_seconds: float = 300.0
    failover_minutes: float = 60.0
    """So long the primary archive may be away before another stands in."""
    calendar: tuple[str, ...] = ()
    """Rules such as ``mon-fri 08:00-18:00 2000 kbps``; the later ones win. See ``edge.week``."""
    max_upload_kbps: int = 0
    """kbit/s outside of the rules; 0 means no limit."""
    max_download_kbps: int = 0
    monthly_budget_mb: int = 0
    """Megabytes over the line that sync may use in a month; 0 means no limit."""
    budget_day: int = 1
    """Of the month, on which it starts anew; in a shorter month, its last."""
    trash_days: int = 30
    """So long what the archive deleted is kept here, shown to nobody; at least one."""
    prefetch: tuple[str, ...] = ("any: 3 within 5 years",)
    """Which priors come ahead of time. See ``edge.rules``."""
    prefetch_hours: tuple[str, ...] = ("19:00-06:00",)
    """When those of patients come who are expected on a later day; none means at any time."""
    absent: Literal["trash", "ask", "send-again"] = "trash"
    """What becomes of a study that the archive does not have any more."""
    reverify_days: float = 30.0
    """So often the archive is asked about each instance again; 0 means never."""


@dataclass(frozen=True, slots=True)
class DropFolder:
    """``[dropfolder]``: a folder whose files are admitted."""

    path: Path = Path()
    """Empty means none."""
    settle_seconds: float = 2.0
    """A file that has not changed for so long is complete."""


@dataclass(frozen=True, slots=True)
class Backup:
    """``[backup]``: what a new box needs to be this one."""

    archive: bool = True
    """Whether the first archive gets it, sealed, once there is a recovery key."""


@dataclass(frozen=True, slots=True)
class Courier:
    """``[courier]``: whom bundles on a disk are for, and from whom. Keys are courier keys."""

    recipients: tuple[str, ...] = ()
    """Of places that deliver into the primary archive; their receipts are believed."""
    senders: tuple[str, ...] = ()
    """Of boxes whose bundles are delivered from here."""


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    appliance: Appliance = Appliance()
    keys: Keys = Keys()
    dimse: Dimse = Dimse()
    http: Http = Http()
    cache: Cache = Cache()
    pixels: Pixels = Pixels()
    cloud: Cloud = Cloud()
    sync: Sync = Sync()
    dropfolder: DropFolder = DropFolder()
    backup: Backup = Backup()
    courier: Courier = Courier()


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration.

    Later sources win: the defaults above, the file, ``EDGE_SECTION__KEY`` in the environment.

    Args:
        path: The TOML file; None means the defaults and the environment alone.
        environ: Where the variables are looked up.

    Raises:
        ConfigError: The file can't be read, a key is unknown, a value does not fit, or the whole
            is unsafe outside a laboratory.
    """
    settings = Settings(path, environ)
    config = settings.build(Config)
    _Checks(config, settings).run()
    return config


def host_and_port(listen: str) -> tuple[str, int]:
    """Split ``host:port`` (IPv6 in brackets).

    Raises:
        ValueError: It is not of that form.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def is_loopback(listen: str) -> bool:
    """Whether only programs on this machine can reach the address."""
    host, _ = host_and_port(listen)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")
_AZURE_V1 = re.compile(r"/v1(\.[0-9-a-z]*)?(/|$)")
_PROXY = re.compile(r"http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[1-9][0-9]{0,4}/?")
_WHY_NOT = {
    errno.EADDRINUSE: "another program uses the port; ss -ltnp tells which",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 means all that it has",
    errno.EACCES: "a port below 1024 needs a privilege: CAP_NET_BIND_SERVICE in a systemd unit",
}


def not_listening(key: str, listen: str, error: OSError) -> ConfigError:
    """What to raise when the address that a key names can't be listened on."""
    hint = _WHY_NOT.get(error.errno or 0, "name an address of this machine, and a free port")
    return ConfigError(f"{key}: {listen} can't be listened on: {error.strerror}", hint=hint)


class _Checks:
    """What no single value shows.

    Args:
        config: All of it.
        settings: Knows where each key was said.
    """

    def __init__(self, config: Config, settings: Settings) -> None:
        self._config = config
        self._error = settings.error

    def run(self) -> None:
        """Raise ConfigError at the first thing that is wrong."""
        self._check_numbers()
        self._check_addresses()
        self._check_folders()
        self._check_peers()
        self._check_archives()
        self._check_rules()
        self._check_line()
        self._check_courier()

    def _check_numbers(self) -> None:
        """These are waited for, or divided among some: nothing of them would be no service."""
        for section, names in {
            "dimse": ("max_associations", "artim_seconds", "idle_seconds", "pdu_seconds"),
            "sync": (
                "sweep_minutes",
                "feed_seconds",
                "batch_bytes",
                "uploads_in_flight",
                "retry_min_seconds",
                "retry_max_seconds",
                "trash_days",
            ),
            "cache": ("max_instance_bytes",),
            "pixels": ("frame_bytes", "seconds"),
        }.items():
            for name in names:
                if getattr(getattr(self._config, section), name) == 0:
                    raise self._error((section, name), "must be more than 0")
        for section, name, most in (("pixels", "workers", 64), ("sync", "uploads_in_flight", 64)):
            if getattr(getattr(self._config, section), name) > most:
                raise self._error((section, name), f"must be {most} at the most")
        sync = self._config.sync
        if sync.retry_min_seconds > sync.retry_max_seconds:
            raise self._error(("sync", "retry_min_seconds"), "must not be above retry_max_seconds")
        if not 4096 <= self._config.dimse.max_pdu <= 1024 * 1024:
            raise self._error(("dimse", "max_pdu"), "must be 4096 to 1048576")

    def _check_addresses(self) -> None:
        http, dimse = self._config.http, self._config.dimse
        for section, listen in (("dimse", dimse.listen), ("http", http.listen)):
            try:
                host_and_port(listen)
            except ValueError as error:
                raise self._error(
                    (section, "listen"), f"= {error}", 'for example "0.0.0.0:11112"'
                ) from error
        unsafe = [
            (("http", "auth"), http.auth, "none", http.listen),
            (("http", "tls"), http.tls, "off", http.listen),
            (("dimse", "unknown_peers"), dimse.unknown_peers, "accept", dimse.listen),
        ]
        for keys, value, refused, listen in unsafe:
            if value == refused and not is_loopback(listen) and not self._config.appliance.lab:
                raise self._error(
                    keys,
                    f'= "{value}" is refused while {listen} can be reached from outside',
                    "listen on 127.0.0.1, or set appliance.lab = true in a laboratory",
                )
        for number, origin in enumerate(http.cors_origins):
            if not _ORIGIN.fullmatch(origin):
                raise self._error(
                    ("http", "cors_origins", str(number)),
                    f'= "{origin}" is not an origin',
                    "https://HOST or https://HOST:PORT in lower case, without a path or a wildcard",
                )
        if http.tls == "files":
            for name, path in (
                ("tls_certificate", http.tls_certificate),
                ("tls_key", http.tls_key),
            ):
                if path == Path():
                    raise self._error(("http", name), 'is needed by http.tls = "files"')
                self._check_file(("http", name), path)

    def _check_folders(self) -> None:
        data, drop = self._config.appliance.data_dir, self._config.dropfolder.path
        if data == Path():
            raise self._error(("appliance", "data_dir"), "must name a folder")
        if drop != Path():
            drop, data = drop.resolve(), data.resolve()
            if drop.is_relative_to(data) or data.is_relative_to(drop):
                raise self._error(
                    ("dropfolder", "path"),
                    f"= {drop} and appliance.data_dir = {data} overlap",
                    "what is dropped is taken away: name a folder of its own",
                )

    def _check_peers(self) -> None:
        self._check_ae_title(("dimse", "ae_title"), self._config.dimse.ae_title)
        seen: set[tuple[str, str]] = set()
        for number, peer in enumerate(self._config.dimse.peer):
            keys = ("dimse", "peer", str(number))
            self._check_ae_title((*keys, "ae_title"), peer.ae_title)
            if not 1 <= peer.port <= 65535:
                raise self._error((*keys, "port"), "must be 1 to 65535")
            name = (peer.ae_title.strip(), peer.host)
            if name in seen:
                raise self._error(
                    (*keys, "ae_title"),
                    f'= "{peer.ae_title}" stands there twice with the same host',
                    "say all that it may do in one table",
                )
            seen.add(name)

    def _check_ae_title(self, keys: Sequence[str], title: str) -> None:
        # PS3.5 6.2, VR AE
        sound = title.isascii() and title.isprintable() and "\\" not in title
        if not sound or not 1 <= len(title.strip()) <= 16:
            raise self._error(keys, "must be 1 to 16 ASCII characters, no backslash (PS3.5 6.2)")

    def _check_archives(self) -> None:
        names: set[str] = set()
        for number, archive in enumerate(self._config.cloud.archive):
            keys = ("cloud", "archive", str(number))
            if not archive.name or archive.name in names:
                raise self._error((*keys, "name"), "must be a name of its own")
            names.add(archive.name)
            self._check_url((*keys, "url"), archive.url)
            if archive.kind == "azure" and _AZURE_V1.search(urlsplit(archive.url).path):
                raise self._error(
                    (*keys, "url"),
                    f'= "{archive.url}" is of version 1, whose change feed can\'t be followed',
                    "let it end with /v2",
                )
            self._check_auth((*keys, "auth"), archive.auth)
            if archive.tls_ca != Path():
                self._check_file((*keys, "tls_ca"), archive.tls_ca)
            self._check_client_certificate(keys, archive)
            self._check_proxy(keys, archive)
        roles = [archive.role for archive in self._config.cloud.archive]
        if roles and roles.count("primary") != 1:
            raise self._error(
                ("cloud", "archive", str(len(roles) - 1), "role"),
                "must be primary for one archive among all",
                'give the others role = "failover" or "copy"',
            )

    def _check_client_certificate(self, keys: Sequence[str], archive: Archive) -> None:
        pair = {"tls_certificate": archive.tls_certificate, "tls_key": archive.tls_key}
        if set(pair.values()) == {Path()}:
            return
        for name, path in pair.items():
            if path == Path():
                raise self._error((*keys, name), "is needed: a certificate and its key")
            self._check_file((*keys, name), path)
        if not archive.url.startswith("https:"):
            raise self._error((*keys, "tls_certificate"), "is not used by an url without https")

    def _check_proxy(self, keys: Sequence[str], archive: Archive) -> None:
        user, password = archive.proxy_user, archive.proxy_password
        for name, value, needs, needed in (
            ("proxy_user", user, "proxy", archive.proxy),
            ("proxy_password", password, "proxy_user", user),
        ):
            if value and not needed:
                raise self._error((*keys, name), f"is not used without {needs}")
        if ":" in user:
            raise self._error((*keys, "proxy_user"), "must not hold a colon (RFC 7617 2)")
        if archive.proxy and not _PROXY.fullmatch(archive.proxy):
            if "@" in archive.proxy:
                raise self._error((*keys, "proxy"), "holds a password", "say it as proxy_password")
            raise self._error(
                (*keys, "proxy"), f'= "{archive.proxy}" is not a proxy', "http://HOST:PORT"
            )

    def _check_rules(self) -> None:
        sync = self._config.sync
        languages: tuple[tuple[str, Sequence[str], Callable[[str], object], str], ...] = (
            ("sync.calendar", sync.calendar, rule_of, "mon-fri 08:00-18:00 2000 kbps"),
            ("sync.prefetch", sync.prefetch, prior_of, "CT: 2 within 3 years of CT,MR"),
            ("sync.prefetch_hours", sync.prefetch_hours, hours_of, "mon-fri 19:00-06:00"),
            ("cache.pin", self._config.cache.pin, pin_of, "modality MG within 2 years"),
        )
        for key, rules, understand, example in languages:
            for number, rule in enumerate(rules):
                try:
                    understand(rule)
                except RuleError as error:
                    raise self._error(
                        (*key.split("."), str(number)),
                        f'= "{rule}": {error}',
                        f'for example "{example}"',
                    ) from error

    def _check_line(self) -> None:
        sync = self._config.sync
        if not 1 <= sync.budget_day <= 31:
            raise self._error(("sync", "budget_day"), "must be 1 to 31")

    def _check_courier(self) -> None:
        """A typing error is found now, and not once there is no line."""
        for name in ("recipients", "senders"):
            for number, text in enumerate(getattr(self._config.courier, name)):
                try:
                    read_courier_key(text)
                except WrittenError as error:
                    keys = ("courier", name, str(number))
                    raise self._error(keys, f"is no courier key: {error}", error.hint) from error

    def _check_url(self, keys: Sequence[str], text: str) -> None:
        try:
            url = urlsplit(text)
            host, _ = url.hostname, url.port
        except ValueError:
            url, host = urlsplit(""), None
        if url.scheme not in ("http", "https") or not host:
            raise self._error(keys, f'= "{text}" is not an address', "https://HOST/PATH")
        if url.username is not None or url.password is not None:
            raise self._error(keys, "holds a password", "say it as auth = { … }")
        if url.scheme == "http" and not is_loopback(f"{host}:0") and not self._config.appliance.lab:
            raise self._error(
                keys,
                f'= "{text}" is refused: images and secrets would travel in the clear',
                "use https, or set appliance.lab = true in a laboratory",
            )

    def _check_auth(self, keys: Sequence[str], auth: Auth) -> None:
        needed, possible = _AUTH_KEYS[auth.kind]
        for item in fields(auth):
            name, said = item.name, getattr(auth, item.name) != item.default
            if name in needed and not said:
                raise self._error((*keys, name), f'is needed by kind = "{auth.kind}"')
            if said and name not in ("kind", *needed, *possible):
                raise self._error((*keys, name), f'is not used by kind = "{auth.kind}"')
        if auth.token_url:
            self._check_url((*keys, "token_url"), auth.token_url)
        if auth.tls_ca != Path():
            self._check_file((*keys, "tls_ca"), auth.tls_ca)

    def _check_file(self, keys: Sequence[str], path: Path) -> None:
        if not path.is_file():
            raise self._error(keys, f"= {path} is not a file that can be read")
