"""Network settings, from what was wished to what systemd-networkd does; as root.

Owns its own files in ``/run/systemd/network`` (no other one there), ``network.json`` in what is
kept, and ``network.json`` in ``/run/edge-machine``, which everybody reads. Promises that a setting
that nobody kept is gone after two minutes, or after a restart: what is kept is written when
somebody says so who sees that it works, and not before; and that who keeps a setting and the clock
that takes it back, two processes, do so one after the other. Calls block.

Crash order of a try: it is written down -> the clock that takes it back runs -> networkd has its
files. Cut short anywhere, the clock or the next start brings back what is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.places import Places
from edge.machine.tools import Tools
from edge.machine.wishes import NetworkSettings, checked_network

__all__ = [
    "TRIED_SECONDS",
    "VLAN",
    "NetworkState",
    "Networks",
    "files_of",
    "is_network_set",
    "read_network",
]

TRIED_SECONDS: Final = 120.0
"""So long settings hold that nobody kept; the timer unit says the same."""
_TIMER: Final = "edge-machine-back.timer"
_NETWORKD: Final = "systemd-networkd.service"
VLAN: Final = "edge-vlan"
"""What the port of a VLAN is called."""
_PREFIX: Final = "10-edge"
"""Of our files: before the image's own, which networkd reads in the order of their names."""
_SAID: Final = "# Written by edge machine: it is written again at every start."


class NetworkState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds of the network."""

    kept: NetworkSettings = NetworkSettings()
    tried: NetworkSettings | None = None
    """What is tried just now; None if nothing is."""
    until: float = 0.0
    """When that goes back, in POSIX seconds."""

    @property
    def now(self) -> NetworkSettings:
        """By which the machine is on the network just now."""
        return self.kept if self.tried is None else self.tried


def read_network(places: Places) -> NetworkState:
    """What holds now; the default where nothing is known. Blocks."""
    try:
        return msgspec.json.decode(places.network_state.read_bytes(), type=NetworkState)
    except (OSError, msgspec.DecodeError):
        return NetworkState()


def is_network_set(places: Places) -> bool:
    """Whether settings are kept that somebody gave: by a stick, or at the screen. Blocks."""
    return read_network(places).kept != NetworkSettings()


class Networks:
    """Root's side of it.

    Args:
        places: Of this machine.
        tools: Its programs.
        clock: POSIX seconds.
    """

    def __init__(
        self, places: Places, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._places = places
        self._tools = tools
        self._clock = clock

    def begin(self) -> None:
        """At the start of the machine: what is kept holds."""
        kept = self._kept()
        self._write(kept)
        self._tell(NetworkState(kept))

    def offer(self, settings: NetworkSettings) -> NetworkState:
        """Have other settings hold, and begin to wait for somebody who keeps them.

        Raises:
            MachineRefused: They are none, or networkd can't be reached; nothing has changed then.
        """
        settings = checked_network(settings)
        with self._alone():
            state = NetworkState(self._kept(), settings, self._clock() + TRIED_SECONDS)
            self._tell(state)
            try:
                self._tools.run("systemctl", "restart", _TIMER)
                self._apply(settings)
            except MachineRefused:
                self._back()
                raise
            return state

    def keep(self) -> None:
        """What is tried stays.

        Raises:
            MachineRefused: Nothing is tried: it went back before.
        """
        with self._alone():
            tried = read_network(self._places).tried
            if tried is None:
                raise MachineRefused(
                    "no network settings wait to be kept: they went back",
                    hint="set them again, and keep them within two minutes",
                )
            self._places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(self._places.network_kept, msgspec.json.encode(tried))
            self._tell(NetworkState(tried))
            with contextlib.suppress(MachineRefused):  # it finds nothing that is tried
                self._tools.run("systemctl", "stop", _TIMER)

    def back(self) -> bool:
        """What was kept before holds again, if anything else is tried; whether it was."""
        with self._alone():
            return self._back()

    def _back(self) -> bool:
        if read_network(self._places).tried is None:
            return False
        kept = self._kept()
        try:
            self._apply(kept)
        finally:  # networkd reads the files when it comes back
            self._tell(NetworkState(kept))
        with contextlib.suppress(MachineRefused):
            self._tools.run("systemctl", "stop", _TIMER)
        return True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._places.network_state.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _kept(self) -> NetworkSettings:
        try:
            data = self._places.network_kept.read_bytes()
            return checked_network(msgspec.json.decode(data, type=NetworkSettings))
        except FileNotFoundError:
            return NetworkSettings()
        except (OSError, msgspec.DecodeError, MachineRefused):
            return NetworkSettings()  # by DHCP it may be found; as it stands there, it is not

    def _tell(self, state: NetworkState) -> None:
        write_open(self._places.network_state, msgspec.json.encode(state))

    def _apply(self, settings: NetworkSettings) -> None:
        had_vlan = any(path.suffix == ".netdev" for path in self._ours())
        self._write(settings)
        if had_vlan:
            # networkd neither removes a device that it made nor changes its number.
            with contextlib.suppress(MachineRefused):
                self._tools.run("networkctl", "delete", VLAN)
        try:
            self._tools.run("networkctl", "reload")
        except MachineRefused:  # it has ended, or hangs
            self._tools.run("systemctl", "restart", _NETWORKD)

    def _write(self, settings: NetworkSettings) -> None:
        folder, wanted = self._places.networkd, files_of(settings)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in self._ours():
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        for name, text in wanted.items():
            write_open(folder / name, text.encode())

    def _ours(self) -> list[Path]:
        return sorted(self._places.networkd.glob(f"{_PREFIX}*"))


def write_open(path: Path, content: bytes) -> None:
    """Make or replace a file that everybody may read, in a folder that is gone after a restart."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o644)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - of a descriptor
        os.fchmod(descriptor, 0o644)
        opened.write(content)
    unfinished.replace(path)


def files_of(settings: NetworkSettings) -> dict[str, str]:
    """The files of systemd-networkd that say it; none where all is as the image has it.

    Args:
        settings: Checked ones.
    """
    if settings == NetworkSettings():
        return {}
    if not settings.vlan:
        match = [f"Name={settings.interface}"] if settings.interface else ["Type=ether", "Kind=!*"]
        return {f"{_PREFIX}.network": _text(("Match", match), *_sections(settings))}
    return {
        f"{_PREFIX}-vlan.netdev": _text(
            ("NetDev", [f"Name={VLAN}", "Kind=vlan"]), ("VLAN", [f"Id={settings.vlan}"])
        ),
        f"{_PREFIX}-port.network": _text(
            ("Match", [f"Name={settings.interface}"]),
            ("Link", ["RequiredForOnline=no"]),
            ("Network", [f"VLAN={VLAN}", "LinkLocalAddressing=no", "IPv6AcceptRA=no"]),
        ),
        f"{_PREFIX}.network": _text(("Match", [f"Name={VLAN}"]), *_sections(settings)),
    }


def _sections(settings: NetworkSettings) -> Iterator[tuple[str, list[str]]]:
    said = [
        *(f"Address={one}" for one in settings.address),
        *(f"Gateway={one}" for one in settings.gateway),
        *(f"DNS={one}" for one in settings.dns),
        *(f"NTP={one}" for one in settings.ntp),
    ]
    if settings.domains:
        said.append(f"Domains={' '.join(settings.domains)}")
    yield (
        "Network",
        [f"DHCP={'no' if settings.address else 'yes'}", "MulticastDNS=yes", "LLMNR=no", *said],
    )
    theirs = [
        *(["UseDNS=no"] if settings.dns else []),
        *(["UseNTP=no"] if settings.ntp else []),
    ]
    # A server knows the box by its card. The machine's own number is another after a factory
    # reset, and on a bigger disk.
    if not settings.address:
        yield "DHCPv4", ["ClientIdentifier=mac", *theirs]
    # It may be asked beside a fixed address, too, where a router says so.
    yield "DHCPv6", ["DUIDType=link-layer", *([] if settings.address else theirs)]


def _text(*sections: tuple[str, list[str]]) -> str:
    lines = [_SAID]
    for name, said in sections:
        lines += ["", f"[{name}]", *said]
    return "\n".join([*lines, ""])
