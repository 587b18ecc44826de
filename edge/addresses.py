"""Addresses to listen on, ``HOST:PORT``: read, and what is to be done where one can't be had."""

from __future__ import annotations

import errno
import ipaddress

from edge.errors import ConfigError

__all__ = ["host_and_port", "is_loopback", "not_listening"]


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


_WHY_NOT = {
    errno.EADDRINUSE: "another program uses the port; ss -ltnp tells which",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 means all that it has",
    errno.EACCES: "a port below 1024 needs a privilege: CAP_NET_BIND_SERVICE in a systemd unit",
}


def not_listening(key: str, listen: str, error: OSError) -> ConfigError:
    """What to raise when the address that a key names can't be listened on."""
    hint = _WHY_NOT.get(error.errno or 0, "name an address of this machine, and a free port")
    return ConfigError(f"{key}: {listen} can't be listened on: {error.strerror}", hint=hint)
