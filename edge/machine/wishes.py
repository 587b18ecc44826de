"""What the service may wish of the machine, and that it is nothing else.

Owns the form of a wish: a JSON object with its ``kind``, no field that is not known, and values of
which each is checked for what it is. Promises that a value which passed can stand in a file of
systemd or among the arguments of a program: it has no blank, no line break, no path, and begins
with no hyphen.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal

import msgspec

from edge.errors import MachineRefused

__all__ = [
    "LONGEST",
    "Back",
    "Clock",
    "Disks",
    "Doors",
    "EraseOld",
    "Keep",
    "Lights",
    "Move",
    "Name",
    "Network",
    "NetworkSettings",
    "Power",
    "PowerOff",
    "Restart",
    "SetupTaken",
    "Shown",
    "Stay",
    "Trust",
    "Wipe",
    "Wish",
    "checked",
    "checked_network",
    "from_bytes",
    "to_bytes",
]

LONGEST: Final = 256 * 1024
"""Bytes of a wish."""
_MOST: Final = 8
_PORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
"""Of a network interface (IFNAMSIZ is 16, with the NUL)."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DISK = re.compile(r"[a-z][a-z0-9]{1,31}")
"""Of a disk, as the kernel calls it, such as nvme0n1."""
_VLANS: Final = range(4095)
"""0 is none; 4095 is reserved (IEEE 802.1Q)."""

_TcpPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Texts = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=253)], ...], msgspec.Meta(max_length=_MOST)
]


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the machine is on the network. All of it as by default: DHCP on every wired port."""

    interface: Annotated[str, msgspec.Meta(max_length=15)] = ""
    """The port, as the system calls it; empty means all that are wired."""
    address: _Texts = ()
    """With the length of the network, such as ``192.168.1.10/24``; none means DHCP."""
    gateway: _Texts = ()
    dns: _Texts = ()
    """Beside DHCP: in the place of those that it names."""
    domains: _Texts = ()
    """In which names without a dot are looked up."""
    vlan: int = 0
    """Its number (802.1Q); 0 means none."""
    ntp: _Texts = ()
    """Time servers; none means those that DHCP names, and the system's own."""


class _Wished(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """All of them."""


class Network(_Wished, frozen=True, tag="network"):
    """Other network settings, for two minutes unless they are kept."""

    settings: NetworkSettings


class Keep(_Wished, frozen=True, tag="keep-network"):
    """The network settings that are tried stay."""


class Back(_Wished, frozen=True, tag="network-back"):
    """The network settings that are tried go back at once."""


class Name(_Wished, frozen=True, tag="name"):
    """What the machine is called; it answers to NAME.local then."""

    name: Annotated[str, msgspec.Meta(max_length=63)]


class Trust(_Wished, frozen=True, tag="trust"):
    """The clinic's own authorities, in PEM; empty means none."""

    pem: Annotated[str, msgspec.Meta(max_length=LONGEST // 2)]


class Clock(_Wished, frozen=True, tag="clock"):
    """The time, as somebody said it who should know."""

    utc: float
    """POSIX seconds."""
    measured: float
    """When that was heard, by the clock that runs since the machine's start (CLOCK_BOOTTIME)."""


class Restart(_Wished, frozen=True, tag="restart"):
    """The machine starts anew."""


class PowerOff(_Wished, frozen=True, tag="power-off"):
    """The machine ends."""


Shown = Literal["safe", "busy", "warning", "alarm"]


class Lights(_Wished, frozen=True, tag="lights"):
    """What status LEDs show."""

    level: Shown


class Power(_Wished, frozen=True, tag="power"):
    """What the battery of an UPS said (upsmon)."""

    event: Literal["line", "battery", "low", "replace", "lost", "found"]


class SetupTaken(_Wished, frozen=True, tag="setup-taken"):
    """What was found on the boot partition was read: it goes, and an answer stands in its place."""

    answer: Annotated[str, msgspec.Meta(max_length=16 * 1024)]
    outcome: Literal["taken", "refused", "later"] = "taken"
    """``later``: what was in the way may pass. It stays for the next start, for some of them."""


class Doors(_Wished, frozen=True, tag="doors"):
    """TCP ports that the service listens on; 0: none. The firewall lets in to them."""

    page: _TcpPort
    dicom: _TcpPort = 0
    dicom_tls: _TcpPort = 0
    page_by: str = ""
    """The network port by which alone the page is reached; empty: by each."""


class Wipe(_Wished, frozen=True, tag="wipe"):
    """The data partition can never be opened again, and the machine is as on its first day."""

    name: Annotated[str, msgspec.Meta(max_length=63)]
    """What the machine is called: nobody wipes another by accident."""


class Disks(_Wished, frozen=True, tag="disks"):
    """The disks of the machine are looked at; the answer has them."""


class Move(_Wished, frozen=True, tag="move"):
    """The data of the box moves to another disk, and the box with it."""

    disk: Annotated[str, msgspec.Meta(max_length=32)]
    """As the kernel calls it."""
    seen: Annotated[str, msgspec.Meta(max_length=64)]
    """What was shown of it: nobody erases another by accident."""
    erase: bool = False
    """What is on it may go."""


class Stay(_Wished, frozen=True, tag="stay"):
    """The data that is moving does not."""


class EraseOld(_Wished, frozen=True, tag="erase-old"):
    """What the data moved away from can never be opened again."""


Wish = (
    Network
    | Keep
    | Back
    | Name
    | Trust
    | Clock
    | Restart
    | PowerOff
    | Lights
    | Power
    | SetupTaken
    | Doors
    | Disks
    | Move
    | Stay
    | EraseOld
    | Wipe
)

_decode = msgspec.json.Decoder(Wish).decode
_encode = msgspec.json.Encoder().encode


def to_bytes(wish: Wish) -> bytes:
    """As it is written down."""
    return _encode(wish)


def from_bytes(data: bytes) -> Wish:
    """Read a wish, and check it.

    Raises:
        MachineRefused: It is none.
    """
    try:
        wish: Wish = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MachineRefused(f"what was wished can't be understood: {error}") from error
    return checked(wish)


def checked(wish: Wish) -> Wish:
    """A wish whose values are what they should be, in their usual form.

    Raises:
        MachineRefused: One is not; the message names it.
    """
    if isinstance(wish, Network):
        return Network(checked_network(wish.settings))
    if isinstance(wish, Name | Wipe) and not _LABEL.fullmatch(wish.name):
        raise MachineRefused(
            f"name: {wish.name!r} is no name of a machine",
            hint="letters, digits and hyphens between them, 63 at the most",
        )
    if isinstance(wish, Doors) and wish.page_by and not _PORT.fullmatch(wish.page_by):
        raise _wrong("page_by", wish.page_by, "is no port", "such as enp1s0")
    if isinstance(wish, Move) and not _DISK.fullmatch(wish.disk):
        raise _wrong("disk", wish.disk, "is no name of a disk", "such as sdb; edge machine disks")
    return wish


def checked_network(settings: NetworkSettings) -> NetworkSettings:
    """Network settings that hold together.

    Raises:
        MachineRefused: They don't; the message names the setting.
    """
    if settings.interface and not _PORT.fullmatch(settings.interface):
        raise _wrong("interface", settings.interface, "is no port", "such as enp1s0")
    if settings.vlan not in _VLANS:
        raise _wrong("vlan", settings.vlan, "is no VLAN", "1 to 4094; 0 means none")
    if settings.vlan and not settings.interface:
        raise MachineRefused(
            "vlan: it is not said on which port", hint="name the port as interface, such as enp1s0"
        )
    addresses = tuple(map(_interface, settings.address))
    if settings.gateway and not addresses:
        raise MachineRefused(
            "gateway: there is none without an address of one's own",
            hint="name the address, too; or leave both to DHCP",
        )
    gateways = tuple(_gateway(one, addresses) for one in settings.gateway)
    return NetworkSettings(
        interface=settings.interface,
        address=tuple(map(str, addresses)),
        gateway=gateways,
        dns=tuple(str(_address("dns", one)) for one in settings.dns),
        domains=tuple(_domain("domains", one) for one in settings.domains),
        vlan=settings.vlan,
        ntp=tuple(_host("ntp", one) for one in settings.ntp),
    )


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text or "%" in text:
        raise _wrong("address", text, "is no address with a length", "such as 192.168.1.10/24")
    plain, network = found.ip, found.network
    if plain.is_multicast or plain.is_unspecified or plain.is_loopback:
        raise _wrong("address", text, "can't be a machine's", "such as 192.168.1.10/24")
    if network.num_addresses > 2 and plain in {network.network_address, network.broadcast_address}:
        is_v4 = isinstance(found, ipaddress.IPv4Interface)
        if is_v4 or plain == network.network_address:
            raise _wrong("address", text, "is that of the network itself", "take another one of it")
    return found


def _gateway(
    text: str, addresses: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...]
) -> str:
    found = _address("gateway", text)
    near = any(found in one.network for one in addresses) or found.is_link_local
    if not near:
        raise _wrong("gateway", text, "is in no network of the address", "name one in it")
    if any(found == one.ip for one in addresses):
        raise _wrong("gateway", text, "is the address of this machine", "name the router's")
    return str(found)


def _address(name: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        found = None
    if found is None or "%" in text or found.is_multicast or found.is_unspecified:
        raise _wrong(name, text, "is no address", "such as 192.168.1.1")
    return found


def _domain(name: str, text: str) -> str:
    labels = text.split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise _wrong(name, text, "is no domain", "such as clinic.example")
    return text.lower()


def _host(name: str, text: str) -> str:
    try:
        return str(_address(name, text))
    except MachineRefused:
        if text.replace(".", "").isdigit():
            raise  # nothing but a wrong address looks so
        return _domain(name, text)


def _wrong(name: str, value: object, what: str, hint: str) -> MachineRefused:
    return MachineRefused(f"{name}: {value!r} {what}", hint=hint)
