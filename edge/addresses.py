"""Addresses: what is listened on (``HOST:PORT``), and by what name a box is called on the LAN."""

from __future__ import annotations

import errno
import ipaddress
import re
import unicodedata

from edge.errors import ConfigError

__all__ = [
    "host_and_port",
    "host_name",
    "is_everywhere",
    "is_loopback",
    "machine_name",
    "not_listening",
]

_LABEL, _MOST = 63, 253
"""Letters of a part of a host name, and of all of it (RFC 1035 2.3.1, 2.3.4)."""
_PART = rf"[a-zA-Z0-9](?:[a-zA-Z0-9-]{{0,{_LABEL - 2}}}[a-zA-Z0-9])?"
_HOST = re.compile(rf"{_PART}(?:\.{_PART})*")


def host_and_port(listen: str) -> tuple[str, int]:
    """Split ``host:port`` (IPv6 in brackets).

    Raises:
        ValueError: It is not of that form.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def is_everywhere(host: str) -> bool:
    """Whether what listens there is reached at each address of the machine."""
    return host in ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def is_loopback(listen: str) -> bool:
    """Whether only programs on this machine can reach the address."""
    host, _ = host_and_port(listen)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(name: str) -> str:
    """What a box is called on the LAN, that people call so: "St. Brigid" is ``st-brigid``.

    A name that is a host name stays, in small letters; one without a Latin letter or digit is
    ``edge``.
    """
    if _HOST.fullmatch(name) and len(name) <= _MOST:
        return name.lower()
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LABEL].rstrip("-") or "edge"


def machine_name(name: str) -> str:
    """The first part of that: what the machine under the box is called."""
    return host_name(name).partition(".")[0]


_WHY_NOT = {
    errno.EADDRINUSE: "another program uses the port; ss -ltnp tells which",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 means all that it has",
    errno.EACCES: "a port below 1024 needs a privilege: CAP_NET_BIND_SERVICE in a systemd unit",
}


def not_listening(key: str, listen: str, error: OSError) -> ConfigError:
    """What to raise when the address that a key names can't be listened on."""
    hint = _WHY_NOT.get(error.errno or 0, "name an address of this machine, and a free port")
    return ConfigError(f"{key}: {listen} can't be listened on: {error.strerror}", hint=hint)
