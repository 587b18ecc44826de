"""``edge machine``: what is wished of the machine under the box, and root's side of it.

What root runs says so in its help; systemd does that, on an appliance. Changes are in the audit.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.machine_disks import add_disks
from edge.commands.parsing import Acts, Commands, Run
from edge.commands.wished import places_of, wished
from edge.commands.words import moment, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.machine.networks import Networks, NetworkState
    from edge.machine.wishes import NetworkSettings

__all__ = ["add"]

_NUT = {
    "ONLINE": "line",
    "ONBATT": "battery",
    "LOWBATT": "low",
    "REPLBATT": "replace",
    "COMMBAD": "lost",
    "NOCOMM": "lost",
    "COMMOK": "found",
}
"""What upsmon calls it (upsmon.conf, NOTIFYTYPE) -> what we do."""
_GRACE = 5.0
"""Seconds for what is just coming in, once nothing more may."""


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("machine", "The machine under the box: network, power, disks."))
    _add(acts, "show", "Say how the machine is, and its network settings.", _show)
    network = _add(acts, "network", "Try other network settings, for two minutes.", _network)
    network.add_argument("--interface", default="", metavar="PORT", help="such as enp1s0")
    for name, what in (
        ("address", "such as 192.168.1.10/24; none: DHCP"),
        ("gateway", "the router's address"),
        ("dns", "name server"),
        ("domain", "in which names without a dot are looked up"),
        ("ntp", "time server"),
    ):
        network.add_argument(f"--{name}", action="append", default=[], metavar="TEXT", help=what)
    network.add_argument("--vlan", type=int, default=0, metavar="NUMBER", help="802.1Q; 0: none")
    _add(acts, "keep", "Keep the network settings that are tried.", _keep)
    _add(acts, "restart", "Restart the machine.", _restart)
    _add(acts, "power-off", "Power the machine off.", _power_off)
    ups = _add(acts, "ups", "Hear what a battery says, as upsmon calls it (NOTIFYCMD).", _ups)
    ups.add_argument("event", nargs="?", default="", help="unless $NOTIFYTYPE says it")
    for name, text, run in (
        ("start", "As root, at every start: have what is kept hold.", _start),
        ("carry-out", "As root: carry out what is wished.", _carry_out),
        ("back", "As root: take network settings back that nobody kept.", _back),
        ("look", "As root: look at the disks.", _look),
        ("end", "As root: close intake, and power off; upsmon's SHUTDOWNCMD.", _end),
        (
            "find-ups",
            "As root: tell NUT of an UPS on USB; 1 if there is none.",
            _find,
        ),
    ):
        _add(acts, name, text, run)
    add_disks(partial(_add, acts))


def _add(acts: Acts, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    act = acts.add(name, text, run)
    act.add_argument("--root", type=Path, help=argparse.SUPPRESS)  # the machine's files, elsewhere
    return act


# What anybody may ask -----------------------------------------------------------------------------


async def _show(options: argparse.Namespace) -> int:
    from edge.cache.machine import temperature
    from edge.machine.asking import is_there
    from edge.machine.health import read_machine
    from edge.machine.moves import read_move
    from edge.machine.networks import read_network

    places = places_of(options)
    heat = await asyncio.to_thread(temperature)
    state = await asyncio.to_thread(read_machine, places, heat)
    if not await asyncio.to_thread(is_there, places):
        say("it takes no wishes of this user", file=sys.stderr)
    for line in state.lines():
        say(line)
    if (move := await asyncio.to_thread(read_move, places)) is not None:
        say(move.words)
    network = await asyncio.to_thread(read_network, places)
    _print_network(network)
    return int(state.is_grave)


def _print_network(network: NetworkState) -> None:
    for line in _lines(network.kept):
        say(f"network: {line}")
    if network.tried is not None:
        say(f"until {moment(network.until)}, unless they are kept (edge machine keep):")
        for line in _lines(network.tried):
            say(f"network: {line}")


def _lines(settings: NetworkSettings) -> Sequence[str]:
    said = [
        ("port", settings.interface or "all that are wired"),
        ("VLAN", str(settings.vlan or "")),
        ("address", ", ".join(settings.address) or "by DHCP"),
        ("gateway", ", ".join(settings.gateway)),
        ("DNS", ", ".join(settings.dns)),
        ("domains", ", ".join(settings.domains)),
        ("time servers", ", ".join(settings.ntp)),
    ]
    return [f"{name} {value}" for name, value in said if value]


async def _network(options: argparse.Namespace) -> int:
    from edge.machine.wishes import Network, NetworkSettings

    settings = NetworkSettings(
        interface=options.interface,
        address=tuple(options.address),
        gateway=tuple(options.gateway),
        dns=tuple(options.dns),
        domains=tuple(options.domain),
        vlan=options.vlan,
        ntp=tuple(options.ntp),
    )
    await wished(options, Network(settings))
    say("they hold for two minutes; once you see that they work: edge machine keep")
    return 0


async def _keep(options: argparse.Namespace) -> int:
    from edge.machine.wishes import Keep

    await wished(options, Keep())
    say("they stay")
    return 0


async def _restart(options: argparse.Namespace) -> int:
    from edge.machine.wishes import Restart

    await wished(options, Restart())
    return 0


async def _power_off(options: argparse.Namespace) -> int:
    from edge.machine.wishes import PowerOff

    await wished(options, PowerOff())
    return 0


async def _ups(options: argparse.Namespace) -> int:
    from edge.machine.asking import leave
    from edge.machine.wishes import Power

    # upsmon says the kind in its environment, and a sentence for people as the argument.
    event = _NUT.get(os.environ.get("NOTIFYTYPE") or options.event)
    if event is not None:  # what else it may say is of no use here
        await asyncio.to_thread(leave, places_of(options), Power(event))  # type: ignore[arg-type]
    return 0


# What root runs -----------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> int:
    from edge.machine.booting import begin

    begin(places_of(options), _networks(options))
    return 0


def _carry_out(options: argparse.Namespace) -> int:
    from edge.machine.carrying import Carrier
    from edge.machine.tools import Tools

    Carrier(places_of(options), Tools()).carry_out()
    return 0


def _back(options: argparse.Namespace) -> int:
    went = _networks(options).back()
    say("the network settings went back" if went else "no network settings were tried")
    return 0


def _look(options: argparse.Namespace) -> int:
    from edge.machine.health import look
    from edge.machine.tools import Tools

    for disk in look(places_of(options), Tools()).disks:
        if disk.problem:
            say(f"{disk.name}: {disk.problem}", file=sys.stderr)
    return 0


def _find(options: argparse.Namespace) -> int:
    from edge.machine.tools import Tools
    from edge.machine.ups import find_ups

    return int(not find_ups(places_of(options), Tools()))


def _end(options: argparse.Namespace) -> int:
    import time

    from edge.machine.power import note_power
    from edge.machine.tools import Tools

    note_power(places_of(options), "ending")
    time.sleep(_GRACE)  # the service hears it within a second, and ends what it has begun
    Tools().run("systemctl", "--no-block", "poweroff")
    return 0


def _networks(options: argparse.Namespace) -> Networks:
    from edge.machine.networks import Networks
    from edge.machine.tools import Tools

    return Networks(places_of(options), Tools())
