"""``edge machine``: what is wished of the machine under the box, and root's side of it.

What root runs says so in its help; systemd does that, on an appliance. Changes are in the audit.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, Run, configuration
from edge.commands.words import moment, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.machine.networks import Networks, NetworkState
    from edge.machine.places import Places
    from edge.machine.wishes import NetworkSettings, Wish

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


def _add(acts: Acts, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    act = acts.add(name, text, run)
    act.add_argument("--root", type=Path, help=argparse.SUPPRESS)  # the machine's files, elsewhere
    return act


def _places(options: argparse.Namespace) -> Places:
    from edge.machine.places import Places

    return Places() if options.root is None else Places.under(options.root)


# What anybody may ask -----------------------------------------------------------------------------


async def _show(options: argparse.Namespace) -> int:
    from edge.cache.machine import temperature
    from edge.machine.asking import is_there
    from edge.machine.health import read_machine
    from edge.machine.networks import read_network

    places = _places(options)
    heat = await asyncio.to_thread(temperature)
    state = await asyncio.to_thread(read_machine, places, heat)
    if not await asyncio.to_thread(is_there, places):
        say("it takes no wishes of this user", file=sys.stderr)
    for line in state.lines():
        say(line)
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
    await _wish(options, Network(settings))
    say("they hold for two minutes; once you see that they work: edge machine keep")
    return 0


async def _keep(options: argparse.Namespace) -> int:
    from edge.machine.wishes import Keep

    await _wish(options, Keep())
    say("they stay")
    return 0


async def _restart(options: argparse.Namespace) -> int:
    from edge.machine.wishes import Restart

    await _wish(options, Restart())
    return 0


async def _power_off(options: argparse.Namespace) -> int:
    from edge.machine.wishes import PowerOff

    await _wish(options, PowerOff())
    return 0


async def _wish(options: argparse.Namespace, wish: Wish) -> None:
    loaded = await configuration(options)
    from edge.commands.witness import witnessed
    from edge.machine.asking import ask
    from edge.machine.wishes import checked

    places = _places(options)
    options.root = None  # which is nobody's business
    async with witnessed(options, loaded, Event.ADMINISTERED):
        await ask(places, checked(wish))


async def _ups(options: argparse.Namespace) -> int:
    from edge.machine.asking import leave
    from edge.machine.wishes import Power

    # upsmon says the kind in its environment, and a sentence for people as the argument.
    event = _NUT.get(os.environ.get("NOTIFYTYPE") or options.event)
    if event is not None:  # what else it may say is of no use here
        await asyncio.to_thread(leave, _places(options), Power(event))  # type: ignore[arg-type]
    return 0


# What root runs -----------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> int:
    from edge.machine.booting import begin

    begin(_places(options), _networks(options))
    return 0


def _carry_out(options: argparse.Namespace) -> int:
    from edge.machine.carrying import Carrier
    from edge.machine.tools import Tools

    Carrier(_places(options), Tools()).carry_out()
    return 0


def _back(options: argparse.Namespace) -> int:
    went = _networks(options).back()
    say("the network settings went back" if went else "no network settings were tried")
    return 0


def _look(options: argparse.Namespace) -> int:
    from edge.machine.health import look
    from edge.machine.tools import Tools

    for disk in look(_places(options), Tools()).disks:
        if disk.problem:
            say(f"{disk.name}: {disk.problem}", file=sys.stderr)
    return 0


def _find(options: argparse.Namespace) -> int:
    from edge.machine.tools import Tools
    from edge.machine.ups import find_ups

    return int(not find_ups(_places(options), Tools()))


def _end(options: argparse.Namespace) -> int:
    import time

    from edge.machine.power import note_power
    from edge.machine.tools import Tools

    note_power(_places(options), "ending")
    time.sleep(_GRACE)  # the service hears it within a second, and ends what it has begun
    Tools().run("systemctl", "--no-block", "poweroff")
    return 0


def _networks(options: argparse.Namespace) -> Networks:
    from edge.machine.networks import Networks
    from edge.machine.tools import Tools

    return Networks(_places(options), Tools())
