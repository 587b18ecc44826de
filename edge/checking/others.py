"""Those that the box calls: archives, the identity provider, a machine for the audit, couriers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from edge.addresses import host_and_port
from edge.authorities import LONGEST, AuthorityError, certificates_in
from edge.checking.whole import Kinds, Whole
from edge.config import Update
from edge.issuing import fault_of_issuer
from edge.others import Archive, Auth, Oidc, Syslog
from edge.written import WrittenError, read_courier_key

__all__ = ["check_archives", "check_courier", "check_issuer", "check_syslog", "check_update"]

_KINDS: Kinds = {
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
_AZURE_V1 = re.compile(r"/v1(\.[0-9-a-z]*)?(/|$)")
_PROXY = re.compile(r"http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[1-9][0-9]{0,4}/?")


def check_issuer(whole: Whole) -> None:
    """The identity provider."""
    oidc, keys = whole.config.access.oidc, ("access", "oidc")
    if fault := fault_of_issuer(oidc):
        raise whole.error((*keys, fault.key), fault.what, fault.hint)
    if not oidc.issuer:
        return
    whole.check_url((*keys, "issuer"), oidc.issuer)
    for name, path in (("tls_ca", oidc.tls_ca), ("client_key", oidc.client_key)):
        if path != Path():
            whole.check_file((*keys, name), path)
    _check_proxy(whole, keys, oidc)


def check_archives(whole: Whole) -> None:
    """Every archive, and that one of them is the primary one."""
    names: set[str] = set()
    for number, archive in enumerate(whole.config.cloud.archive):
        keys = ("cloud", "archive", str(number))
        if not archive.name or archive.name in names:
            raise whole.error((*keys, "name"), "must be a name of its own")
        names.add(archive.name)
        whole.check_url((*keys, "url"), archive.url)
        if archive.kind == "azure" and _AZURE_V1.search(urlsplit(archive.url).path):
            raise whole.error(
                (*keys, "url"),
                f'= "{archive.url}" is of version 1, whose change feed can\'t be followed',
                "let it end with /v2",
            )
        _check_auth(whole, (*keys, "auth"), archive.auth)
        if archive.tls_ca != Path():
            whole.check_file((*keys, "tls_ca"), archive.tls_ca)
        if archive.authority:
            _check_authority(whole, (*keys, "authority"), archive)
        _check_client_certificate(whole, keys, archive)
        _check_proxy(whole, keys, archive)
    roles = [archive.role for archive in whole.config.cloud.archive]
    if roles and roles.count("primary") != 1:
        raise whole.error(
            ("cloud", "archive", str(len(roles) - 1), "role"),
            "must be primary for one archive among all",
            'give the others role = "failover" or "copy"',
        )


def _check_authority(whole: Whole, keys: Sequence[str], archive: Archive) -> None:
    """That it ended is no reason not to start: the archive is out of reach then, which is told."""
    if len(archive.authority) > LONGEST:
        raise whole.error(keys, f"is longer than {LONGEST // 1024} KiB")
    try:
        certificates_in(archive.authority)
    except AuthorityError as error:
        raise whole.error(keys, str(error), error.hint) from error


def _check_client_certificate(whole: Whole, keys: Sequence[str], archive: Archive) -> None:
    pair = {"tls_certificate": archive.tls_certificate, "tls_key": archive.tls_key}
    if set(pair.values()) == {Path()}:
        return
    for name, path in pair.items():
        if path == Path():
            raise whole.error((*keys, name), "is needed: a certificate and its key")
        whole.check_file((*keys, name), path)
    if not archive.url.startswith("https:"):
        raise whole.error((*keys, "tls_certificate"), "is not used by an url without https")


def _check_auth(whole: Whole, keys: Sequence[str], auth: Auth) -> None:
    whole.check_kind(keys, auth, "kind", _KINDS)
    if auth.token_url:
        whole.check_url((*keys, "token_url"), auth.token_url)
    if auth.tls_ca != Path():
        whole.check_file((*keys, "tls_ca"), auth.tls_ca)


def _check_proxy(whole: Whole, keys: Sequence[str], other: Archive | Oidc | Update) -> None:
    user, password = other.proxy_user, other.proxy_password
    for name, value, needs, needed in (
        ("proxy_user", user, "proxy", other.proxy),
        ("proxy_password", password, "proxy_user", user),
    ):
        if value and not needed:
            raise whole.error((*keys, name), f"is not used without {needs}")
    if ":" in user:
        raise whole.error((*keys, "proxy_user"), "must not hold a colon (RFC 7617 2)")
    if other.proxy and not _PROXY.fullmatch(other.proxy):
        if "@" in other.proxy:
            raise whole.error((*keys, "proxy"), "holds a password", "say it as proxy_password")
        hint = "it is http://HOST:PORT, such as http://proxy.clinic.example:3128"
        raise whole.error((*keys, "proxy"), f'= "{other.proxy}" is not a proxy', hint)


def check_syslog(whole: Whole) -> None:
    """Where the audit is sent."""
    syslog, keys = whole.config.audit.syslog, ("audit", "syslog")
    if not syslog.server:
        if syslog != Syslog():
            raise whole.error(keys, "says how a server is reached, and names none")
        return
    try:
        _, port = host_and_port(syslog.server)
    except ValueError as error:
        raise whole.error(
            (*keys, "server"), f"= {error}", 'for example "log.example.org:6514"'
        ) from error
    if not port:
        raise whole.error((*keys, "server"), "has no port that can be called")
    pair = {"tls_certificate": syslog.tls_certificate, "tls_key": syslog.tls_key}
    for name, path in {**pair, "tls_ca": syslog.tls_ca}.items():
        if path != Path():
            whole.check_file((*keys, name), path)
        elif name in pair and any(other != Path() for other in pair.values()):
            raise whole.error((*keys, name), "is needed: a certificate and its key")


def check_courier(whole: Whole) -> None:
    """A typing error is found now, and not once there is no line."""
    for name in ("recipients", "senders"):
        for number, text in enumerate(getattr(whole.config.courier, name)):
            try:
                read_courier_key(text)
            except WrittenError as error:
                keys = ("courier", name, str(number))
                raise whole.error(keys, f"is no courier key: {error}", error.hint) from error


def check_update(whole: Whole) -> None:
    """Where updates come from."""
    update, keys = whole.config.update, ("update",)
    if update.url:
        whole.check_url((*keys, "url"), update.url)
        if urlsplit(update.url).query:
            raise whole.error((*keys, "url"), "must not have a query: files are asked for below it")
    if update.tls_ca != Path():
        whole.check_file((*keys, "tls_ca"), update.tls_ca)
    _check_proxy(whole, keys, update)
