"""What the machine's firewall lets in beside its usual, and by which port the page is reached.

Owns ``firewall.d/50-edge.nft`` in what is kept: it is read after the image's own rules
(``firewall.nft``), at every start before there is a network. Promises that what the service listens
on according to its settings can be reached, that the usual ports of browsers and modalities (443,
104) lead there, that rules which the firewall refuses change nothing, and that the page is kept to
no network port that the machine has not, or that can have no address. What can't be as the settings
ask is told to everybody. Images of either slot read what is kept: the rules load with the chains of
an older one, too. Calls block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import msgspec

from edge.addresses import host_and_port
from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.networks import read_network, write_open
from edge.machine.page_port import has_port
from edge.machine.places import Places
from edge.machine.tools import Tools
from edge.machine.wishes import Doors

__all__ = ["doors_of", "keep_doors", "read_doors", "rules_of"]

_UNIT: Final = "edge-firewall.service"
_USUAL: Final = {443: 8443, 104: 11112}
"""What browsers and modalities call that were told no port, and where the image's rules lead it."""
_OPEN: Final = frozenset({8443, 11112, 2762})
"""To which the image's rules let in."""


def doors_of(page: str, dicom: str, dicom_tls: str, page_by: str) -> Doors:
    """What the service's settings ask of the firewall.

    Args:
        page: ``http.listen``.
        dicom: ``dimse.listen``; may be empty.
        dicom_tls: ``dimse.tls_listen``; may be empty.
        page_by: ``http.interface``.
    """
    return Doors(_port_of(page), _port_of(dicom), _port_of(dicom_tls), page_by)


def _port_of(listen: str) -> int:
    return host_and_port(listen)[1] if listen.strip() else 0


def rules_of(doors: Doors) -> str:
    """As nft reads them.

    Args:
        doors: Checked ones.
    """
    lines = ["# Written by edge machine: it is written again at every start of the service."]
    # Images of before it was there read these, too, after a rollback: nft takes all or nothing.
    lines.append("add chain inet edge more_prerouting")
    lines += [f"add rule inet edge {rule}" for rule in _rules(doors)]
    return "\n".join([*lines, ""])


def _rules(doors: Doors) -> Iterator[str]:
    if doors.page_by and doors.page:
        yield f'more_input iifname != "{doors.page_by}" tcp dport {doors.page} drop'
    for port in sorted({doors.page, doors.dicom, doors.dicom_tls} - _OPEN - {0}):
        yield f"more_input tcp dport {port} accept"
    for usual, port in ((443, doors.page), (104, doors.dicom)):
        if usual in (doors.page, doors.dicom, doors.dicom_tls):
            yield f"more_prerouting tcp dport {usual} accept"
        elif port and port != _USUAL[usual]:
            yield f"more_prerouting tcp dport {usual} redirect to :{port}"


def read_doors(places: Places) -> str:
    """What is not as the settings ask, no full stop at the end; empty: all is. For everybody."""
    try:
        return places.doors.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def keep_doors(places: Places, tools: Tools, doors: Doors) -> None:
    """Have these rules hold, now and at every start; but none of a port that is missing.

    One that is under a VLAN, and so has no address, is missing, too.

    Raises:
        MachineRefused: The firewall does not take them; those of before hold then.
    """
    if not places.firewall.exists():
        return  # a machine of somebody's own, with a firewall of theirs
    told = ""
    network = read_network(places).now
    if doors.page_by and not has_port(places, doors.page_by, network):
        # A card was replaced, or is called otherwise since an update: nobody could reach the page.
        lacks = f"there is no network port {doors.page_by} now"
        if network.vlan and doors.page_by == network.interface:
            lacks = f"network port {doors.page_by} has no address, for a VLAN is on it"
        told = f"http.interface: {lacks}, so that the page is reached by each"
        doors = msgspec.structs.replace(doors, page_by="")
    try:
        _have_hold(places, tools, doors)
    except MachineRefused as error:
        told = f"The firewall does not take what the settings ask of it: {error}"
        raise
    finally:
        _tell(places, told)


def _tell(places: Places, told: str) -> None:
    if told:
        write_open(places.doors, told.encode())
    else:
        places.doors.unlink(missing_ok=True)


def _have_hold(places: Places, tools: Tools, doors: Doors) -> None:
    path = places.firewall_kept
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, rules_of(doors).encode("ascii"))
    try:
        tools.run("systemctl", "reload", _UNIT)
    except MachineRefused:
        with contextlib.suppress(OSError):
            if before is None:
                path.unlink()
            else:
                write_file(path, before)
        raise
