"""Whether anybody finds a box that is set up so: only on its page could that be put right.

Promises to refuse what is known to keep everybody out, before anything is changed. What is not
known, such as an address that DHCP will give, the service finds out when it starts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from edge.addresses import host_and_port
from edge.config import Config
from edge.errors import MachineRefused
from edge.machine.held import addresses
from edge.machine.networks import read_network
from edge.machine.page_port import ports_with_address
from edge.machine.places import Places
from edge.machine.wishes import NetworkSettings
from edge.settings import Settings

__all__ = ["NetworkAway", "check_reach", "refuse_out_of_reach"]

_PAGE: Final = ("http", "listen")
_LISTENS: Final = ("http.listen", "dimse.listen", "dimse.tls_listen")
_ANY: Final = 'leave it out, or change its port alone: "0.0.0.0:8443"'

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NetworkAway(MachineRefused):
    """The network of a file did not come up in time, or the machine has not an address of it."""


def check_reach(config: Config, settings: Settings) -> None:
    """Whether the page is where somebody else than the box can come, as far as a file tells.

    Raises:
        ConfigError: It is not; the error says where that stands.
    """
    listen = config.http.listen
    if not settings.is_own(_PAGE):
        return
    host, port = host_and_port(listen)
    found = _address(host)
    if found is None:
        raise settings.error(_PAGE, f'= "{listen}" names no address', _ANY)
    if found.is_loopback:
        raise settings.error(
            _PAGE,
            f'= "{listen}" can be reached from the box alone: nobody would see its page',
            _ANY,
        )
    if not port:
        raise settings.error(_PAGE, f'= "{listen}" names no port', _ANY)
    for name, other in (("listen", config.dimse.listen), ("tls_listen", config.dimse.tls_listen)):
        if other and host_and_port(other)[1] == port:
            what = f"and dimse.{name} have the same port, {port}"
            raise settings.error(_PAGE, what, "give each its own")


def refuse_out_of_reach(
    changes: Mapping[str, Any], network: NetworkSettings | None, places: Places
) -> None:
    """Do nothing if this machine can be reached so, as far as that is known. Blocks.

    Args:
        changes: Settings, by their names.
        network: That it shall have; None: as it is.
        places: Of the machine.

    Raises:
        MachineRefused: It has no such port, or one that would have no address.
        NetworkAway: It has no such address now.
    """
    _refuse_a_page_by_no_port(str(changes.get("http.interface", "")), network, places)
    if network is not None and not network.address:
        return  # by DHCP, it may get any
    known = [ipaddress.ip_interface(one).ip for one in network.address] if network else []
    if network is None or network.interface:
        try:
            known += [one.address.ip for one in addresses()]
        except OSError:
            return
    for key in _LISTENS:
        wanted = _one_of_a_network(str(changes.get(key, "")))
        if wanted is not None and wanted not in known:
            there = ", ".join(sorted(map(str, known)))
            raise NetworkAway(
                f"{key}: this machine has no address {wanted}",
                hint=f"0.0.0.0 means all that it has: {there or 'none'}",
            )


def _refuse_a_page_by_no_port(named: str, network: NetworkSettings | None, places: Places) -> None:
    if network is None:
        network = read_network(places).now
    ports = [one.name for one in ports_with_address(places, network)]
    if not named or named in ports:
        return
    what = f"this machine has no network port {named}"
    if network.vlan and named == network.interface:
        what = f"network port {named} has no address, for VLAN {network.vlan} is on it"
    hint = f"it has {', '.join(ports) or 'none'}"
    raise MachineRefused(f"http.interface: {what}", hint=hint)


def _one_of_a_network(listen: str) -> _Address | None:
    """The one address that is listened on; None if it is each, or none of a network."""
    try:
        found = _address(host_and_port(listen)[0])
    except ValueError:
        return None
    is_any = found is None or found.is_unspecified or found.is_loopback or found.is_link_local
    return None if is_any else found


def _address(host: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
