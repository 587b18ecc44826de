"""Where the box listens, and to whom: nothing is open to everybody outside of a laboratory."""

from __future__ import annotations

import re
from pathlib import Path

from edge.addresses import host_and_port, is_loopback
from edge.checking.whole import Whole
from edge.peering import fault_of, is_host, is_network

__all__ = ["check_addresses", "check_peers"]

_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")


def check_addresses(whole: Whole) -> None:
    """Where it can be reached, and that nobody may come in there unasked."""
    http, dimse = whole.config.http, whole.config.dimse
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
            raise whole.error(
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
        if is_open and not whole.config.appliance.lab:
            raise whole.error(
                keys,
                f'= "{value}" is refused while {listen} can be reached from outside',
                "listen on 127.0.0.1, or set appliance.lab = true in a laboratory",
            )
    _check_names(whole)


def _check_names(whole: Whole) -> None:
    """By what the page is reached, and by whose pages it is used."""
    http = whole.config.http
    if http.interface and not _PORT.fullmatch(http.interface):
        raise whole.error(
            ("http", "interface"),
            f'= "{http.interface}" is no network port',
            "as the screen of the box names it, such as enp1s0; edge-vlan, where there is a VLAN",
        )
    for number, origin in enumerate(http.cors_origins):
        if not _ORIGIN.fullmatch(origin):
            raise whole.error(
                ("http", "cors_origins", str(number)),
                f'= "{origin}" is not an origin',
                "https://HOST or https://HOST:PORT in lower case, without a path or a wildcard",
            )
    for number, called in enumerate(http.names):
        if not is_host(called) or is_network(called) or called.endswith("."):
            raise whole.error(
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
                raise whole.error(("http", name), 'is needed by http.tls = "files"')
            whole.check_file(("http", name), path)


def check_peers(whole: Whole) -> None:
    """The box among DICOM peers, and those that the configuration names."""
    dimse = whole.config.dimse
    whole.check_ae_title(("dimse", "ae_title"), dimse.ae_title)
    _check_dicom_tls(whole)
    seen: set[tuple[str, str]] = set()
    for number, peer in enumerate(dimse.peer):
        keys = ("dimse", "peer", str(number))
        if fault := fault_of(peer, has_authority=dimse.tls_ca != Path()):
            raise whole.error((*keys, fault.key), fault.what, fault.hint)
        if peer.tls_only and not dimse.tls_listen:
            raise whole.error((*keys, "tls_only"), "would keep it out without dimse.tls_listen")
        for told in ("forward_mpps", "notify"):
            if getattr(peer, told) and not peer.host:
                raise whole.error((*keys, told), "needs to know where the peer is", "name its host")
        name = (peer.ae_title.strip(), peer.host)
        if name in seen:
            raise whole.error(
                (*keys, "ae_title"),
                f'= "{peer.ae_title}" stands there twice with the same host',
                "say all that it may do in one table",
            )
        seen.add(name)


def _check_dicom_tls(whole: Whole) -> None:
    dimse = whole.config.dimse
    pair = {"tls_certificate": dimse.tls_certificate, "tls_key": dimse.tls_key}
    if set(pair.values()) != {Path()}:
        for name, path in pair.items():
            if path == Path():
                raise whole.error(("dimse", name), "is needed: a certificate and its key")
            whole.check_file(("dimse", name), path)
    if dimse.tls_ca != Path():
        whole.check_file(("dimse", "tls_ca"), dimse.tls_ca)
