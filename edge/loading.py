"""The configuration is read here, once, and what may not stand together is refused.

Promises that who has a ``Config`` from ``load`` need not check it again: unknown keys, values that
do not fit and what is unsafe outside a laboratory are refused here, before anything listens, with
the file and line, or the variable of the environment, that said so. How files and variables are
read stands in ``settings``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

from edge.config import (
    Archive,
    Auth,
    Config,
    Oidc,
    Syslog,
    WorklistSource,
    host_and_port,
    is_loopback,
)
from edge.issuing import fault_of_issuer
from edge.peering import fault_of, is_ae_title, is_host, is_network
from edge.rules import pin_of, prior_of
from edge.settings import Settings
from edge.week import RuleError, hours_of, rule_of
from edge.written import WrittenError, read_courier_key

__all__ = ["load"]

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
_WORKLIST_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "dicom": (
        ("ae_title", "host"),
        ("port", "calling", "stations", "days_ahead", "tls", "certificate"),
    ),
    "folder": (("path",), ()),
}
"""The same of the sources of the worklist."""
_KEYS_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "file": ((), ("path",)),
    "passphrase": ((), ("grace_hours",)),
    "systemd-creds": ((), ("credential",)),
    "network": (("server",), ("grace_hours",)),
}
"""The same of the providers of the root secret."""
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names that systemd takes, and that are those of files."""
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in Base64 (RFC 7638)."""
_MOST_SERVERS = 8
_MOST_DAYS = 365
_MOST_RULES = {
    "sync.calendar": 100,
    "sync.prefetch_hours": 100,
    "sync.prefetch": 200,
    "cache.pin": 1000,
}
"""Beyond any use, and each is looked at over and over."""
_FEWER = {
    "sync.calendar": "one rule may name several days",
    "sync.prefetch_hours": "one rule may name several days",
    "sync.prefetch": "one rule may name several modalities",
    "cache.pin": "pin single studies and patients with edge pin, which has no limit",
}
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")
_AZURE_V1 = re.compile(r"/v1(\.[0-9-a-z]*)?(/|$)")
_PROXY = re.compile(r"http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[1-9][0-9]{0,4}/?")


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
        self._check_keys()
        self._check_issuer()
        self._check_peers()
        self._check_archives()
        self._check_rules()
        self._check_line()
        self._check_courier()
        self._check_worklist()
        self._check_syslog()

    def _check_numbers(self) -> None:
        """These are waited for, or divided among some: nothing of them would be no service."""
        for section, names in {
            "dimse": (
                "max_associations",
                "artim_seconds",
                "idle_seconds",
                "pdu_seconds",
                "commit_days",
                "commit_report_days",
            ),
            "sync": (
                "sweep_minutes",
                "feed_seconds",
                "batch_bytes",
                "uploads_in_flight",
                "retry_min_seconds",
                "retry_max_seconds",
                "trash_days",
            ),
            "access": ("idle_minutes", "session_hours"),
            "cache": ("max_instance_bytes",),
            "pixels": ("frame_bytes", "seconds"),
            "audit": ("keep_days", "max_bytes"),
        }.items():
            for name in names:
                if getattr(getattr(self._config, section), name) == 0:
                    raise self._error((section, name), "must be more than 0")
        for section, name, most in (
            ("access", "idle_minutes", 24 * 60),
            ("access", "session_hours", 7 * 24),
            ("access", "link_days", 366),
            ("pixels", "workers", 64),
            ("sync", "uploads_in_flight", 64),
            ("dimse", "commit_grace_seconds", 3600),
            ("dimse", "commit_days", 365),
            ("dimse", "commit_report_days", 365),
            ("keys", "grace_hours", 24 * 31),
        ):
            if getattr(getattr(self._config, section), name) > most:
                raise self._error((section, name), f"must be {most} at the most")
        if not 1 <= self._config.access.emergency.minutes <= 720:
            raise self._error(("access", "emergency", "minutes"), "must be 1 to 720")
        sync = self._config.sync
        if sync.retry_min_seconds > sync.retry_max_seconds:
            raise self._error(("sync", "retry_min_seconds"), "must not be above retry_max_seconds")
        if not 4096 <= self._config.dimse.max_pdu <= 1024 * 1024:
            raise self._error(("dimse", "max_pdu"), "must be 4096 to 1048576")

    def _check_addresses(self) -> None:
        http, dimse = self._config.http, self._config.dimse
        for section, key, listen in (
            ("dimse", "listen", dimse.listen),
            ("dimse", "tls_listen", dimse.tls_listen),
            ("http", "listen", http.listen),
        ):
            if section == "dimse" and not listen and (dimse.listen or dimse.tls_listen):
                continue  # one of the two is enough
            try:
                host_and_port(listen)
            except ValueError as error:
                raise self._error(
                    (section, key), f"= {error}", 'for example "0.0.0.0:11112"'
                ) from error
        unsafe = [
            (("http", "auth"), http.auth, "none", http.listen),
            (("http", "tls"), http.tls, "off", http.listen),
            (("dimse", "unknown_peers"), dimse.unknown_peers, "accept", dimse.listen),
            (("dimse", "unknown_peers"), dimse.unknown_peers, "accept", dimse.tls_listen),
        ]
        for keys, value, refused, listen in unsafe:
            is_open = value == refused and listen and not is_loopback(listen)
            if is_open and not self._config.appliance.lab:
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
        for number, called in enumerate(http.names):
            if not is_host(called) or is_network(called) or called.endswith("."):
                raise self._error(
                    ("http", "names", str(number)),
                    f'= "{called}" is neither a DNS name nor an address',
                    "pacs.clinic.example, for example; without a port or a wildcard",
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

    def _check_keys(self) -> None:
        keys = self._config.keys
        needed, possible = _KEYS_KEYS[keys.provider]
        for item in fields(keys):
            name, said = item.name, getattr(keys, item.name) != item.default
            if name in needed and not said:
                raise self._error(("keys", name), f'is needed by provider = "{keys.provider}"')
            if said and name not in ("provider", *needed, *possible):
                raise self._error(
                    ("keys", name), f'is not used by provider = "{keys.provider}"', "leave it out"
                )
        if not _CREDENTIAL.fullmatch(keys.credential):
            raise self._error(
                ("keys", "credential"),
                f'= "{keys.credential}" is no name of a credential',
                "letters, digits, dots and hyphens, as in edge.root-key",
            )
        self._check_key_servers()

    def _check_key_servers(self) -> None:
        servers = self._config.keys.server
        if len(servers) > _MOST_SERVERS:
            keys = ("keys", "server", str(_MOST_SERVERS))
            raise self._error(keys, f"is one too many: {_MOST_SERVERS} are the most")
        for number, server in enumerate(servers):
            keys = ("keys", "server", str(number))
            try:
                url = urlsplit(server.url)
                is_plain = url.hostname and not (url.username or url.password or url.query)
                is_plain = is_plain and url.path in ("", "/") and url.port != 0
            except ValueError:
                is_plain = False
            if not is_plain or url.scheme not in ("http", "https"):
                raise self._error(
                    (*keys, "url"),
                    f'= "{server.url}" is no address of a server',
                    "http://HOST:PORT",
                )
            if not _THUMBPRINT.fullmatch(server.thumbprint):
                raise self._error(
                    (*keys, "thumbprint"),
                    f'= "{server.thumbprint}" is no thumbprint',
                    "43 characters, as tang-show-keys prints them on the server",
                )
            if server.thumbprint in {other.thumbprint for other in servers[:number]}:
                raise self._error((*keys, "thumbprint"), "stands there twice")

    def _check_issuer(self) -> None:
        oidc, keys = self._config.access.oidc, ("access", "oidc")
        if fault := fault_of_issuer(oidc):
            raise self._error((*keys, fault.key), fault.what, fault.hint)
        if not oidc.issuer:
            return
        self._check_url((*keys, "issuer"), oidc.issuer)
        for name, path in (("tls_ca", oidc.tls_ca), ("client_key", oidc.client_key)):
            if path != Path():
                self._check_file((*keys, name), path)
        self._check_proxy(keys, oidc)

    def _check_ae_title(self, keys: Sequence[str], title: str) -> None:
        if not is_ae_title(title):
            raise self._error(keys, "must be 1 to 16 ASCII characters, no backslash (PS3.5 6.2)")

    def _check_peers(self) -> None:
        dimse = self._config.dimse
        self._check_ae_title(("dimse", "ae_title"), dimse.ae_title)
        keys: Sequence[str]
        self._check_dicom_tls()
        seen: set[tuple[str, str]] = set()
        for number, peer in enumerate(dimse.peer):
            keys = ("dimse", "peer", str(number))
            if fault := fault_of(peer, has_authority=dimse.tls_ca != Path()):
                raise self._error((*keys, fault.key), fault.what, fault.hint)
            if peer.tls_only and not dimse.tls_listen:
                raise self._error((*keys, "tls_only"), "would keep it out without dimse.tls_listen")
            for told in ("forward_mpps", "notify"):
                if getattr(peer, told) and not peer.host:
                    raise self._error(
                        (*keys, told), "needs to know where the peer is", "name its host"
                    )
            name = (peer.ae_title.strip(), peer.host)
            if name in seen:
                raise self._error(
                    (*keys, "ae_title"),
                    f'= "{peer.ae_title}" stands there twice with the same host',
                    "say all that it may do in one table",
                )
            seen.add(name)

    def _check_dicom_tls(self) -> None:
        dimse = self._config.dimse
        pair = {"tls_certificate": dimse.tls_certificate, "tls_key": dimse.tls_key}
        if set(pair.values()) != {Path()}:
            for name, path in pair.items():
                if path == Path():
                    raise self._error(("dimse", name), "is needed: a certificate and its key")
                self._check_file(("dimse", name), path)
        if dimse.tls_ca != Path():
            self._check_file(("dimse", "tls_ca"), dimse.tls_ca)

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

    def _check_proxy(self, keys: Sequence[str], archive: Archive | Oidc) -> None:
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

    def _check_syslog(self) -> None:
        syslog, keys = self._config.audit.syslog, ("audit", "syslog")
        if not syslog.server:
            if syslog != Syslog():
                raise self._error(keys, "says how a server is reached, and names none")
            return
        try:
            _, port = host_and_port(syslog.server)
        except ValueError as error:
            raise self._error(
                (*keys, "server"), f"= {error}", 'for example "log.example.org:6514"'
            ) from error
        if not port:
            raise self._error((*keys, "server"), "has no port that can be called")
        pair = {"tls_certificate": syslog.tls_certificate, "tls_key": syslog.tls_key}
        for name, path in {**pair, "tls_ca": syslog.tls_ca}.items():
            if path != Path():
                self._check_file((*keys, name), path)
            elif name in pair and any(other != Path() for other in pair.values()):
                raise self._error((*keys, name), "is needed: a certificate and its key")

    def _check_rules(self) -> None:
        sync = self._config.sync
        languages: tuple[tuple[str, Sequence[str], Callable[[str], object], str], ...] = (
            ("sync.calendar", sync.calendar, rule_of, "mon-fri 08:00-18:00 2000 kbps"),
            ("sync.prefetch", sync.prefetch, prior_of, "CT: 2 within 3 years of CT,MR"),
            ("sync.prefetch_hours", sync.prefetch_hours, hours_of, "mon-fri 19:00-06:00"),
            ("cache.pin", self._config.cache.pin, pin_of, "modality MG within 2 years"),
        )
        for key, rules, understand, example in languages:
            most = _MOST_RULES[key]
            if len(rules) > most:
                raise self._error(
                    key.split("."), f"has {len(rules)} rules; {most} are the most", _FEWER[key]
                )
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

    def _check_worklist(self) -> None:
        if self._config.worklist.keep_days > _MOST_DAYS:
            raise self._error(("worklist", "keep_days"), f"must be {_MOST_DAYS} at the most")
        names = {"api"}
        for number, source in enumerate(self._config.worklist.source):
            keys = ("worklist", "source", str(number))
            if not source.name or source.name in names:
                raise self._error((*keys, "name"), 'must be a name of its own, and not "api"')
            names.add(source.name)
            self._check_worklist_source(keys, source)

    def _check_worklist_source(self, keys: Sequence[str], source: WorklistSource) -> None:
        for item in fields(source):
            name, said = item.name, getattr(source, item.name) != item.default
            needed, possible = _WORKLIST_KEYS[source.kind]
            if name in needed and not said:
                raise self._error((*keys, name), f'is needed by kind = "{source.kind}"')
            if said and name not in ("name", "kind", "interval_seconds", *needed, *possible):
                raise self._error((*keys, name), f'is not used by kind = "{source.kind}"')
        if source.interval_seconds == 0:
            raise self._error((*keys, "interval_seconds"), "must be more than 0")
        drop = self._config.dropfolder.path
        if source.kind == "folder" and drop != Path():
            path, drop = source.path.resolve(), drop.resolve()
            if path.is_relative_to(drop):
                raise self._error(
                    (*keys, "path"),
                    f"= {path} is in dropfolder.path = {drop}",
                    "what is dropped is taken away: name a folder of its own",
                )
        if source.kind == "dicom":
            self._check_upstream(keys, source)

    def _check_upstream(self, keys: Sequence[str], source: WorklistSource) -> None:
        """Another worklist SCP."""
        has_authority = self._config.dimse.tls_ca != Path()
        if fault := fault_of(source.peer, has_authority=has_authority):
            raise self._error((*keys, fault.key), fault.what, fault.hint)
        if source.certificate and not source.tls:
            raise self._error((*keys, "certificate"), "is not used without tls = true")
        if source.calling:
            self._check_ae_title((*keys, "calling"), source.calling)
        for place, station in enumerate(source.stations):
            self._check_ae_title((*keys, "stations", str(place)), station)
        if source.days_ahead > _MOST_DAYS:
            raise self._error((*keys, "days_ahead"), f"must be {_MOST_DAYS} at the most")

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
