"""``edge peer``: which DICOM devices may call, who called and may not, and the way back to them.

It acts on the index, whether the service runs or not, and wakes it if it does.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, get_args

from edge.access.audit.entry import Event
from edge.commands.doctor import add_doctor
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import witnessed
from edge.commands.words import moment, say
from edge.others import Peer, Right

if TYPE_CHECKING:
    from edge.admin.peers import KnownPeer
    from edge.cache.peers import Stranger

__all__ = ["add"]

_RIGHTS = get_args(Right)
_WHO = "edge peer"


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("peer", "DICOM devices: who may call, and the way back to them."))
    listing = acts.add("list", "List peers, and strangers that called.", _list)
    listing.add_argument("--json", action="store_true", help="for programs")
    approve = acts.add("approve", "Let a device in from now on.", _approve)
    approve.add_argument("ae_title", metavar="AE", help="its AE title")
    approve.add_argument(
        "--may",
        type=_rights,
        default=("store",),
        metavar="RIGHTS",
        help=f"between commas: {', '.join(_RIGHTS)} (default: store)",
    )
    approve.add_argument(
        "--host", metavar="HOST", help="that it must call from (default: where it did; '': any)"
    )
    approve.add_argument("--port", type=int, default=104, help="where it listens (default: 104)")
    approve.add_argument("--name", default="", help="what people call it")
    approve.add_argument("--tls", action="store_true", help="speak TLS when it is called")
    approve.add_argument(
        "--certificate", default="", metavar="WHICH", help="that it must show: SHA-256, or a name"
    )
    approve.add_argument(
        "--max-associations", type=int, default=0, metavar="N", help="at the same time"
    )
    forget = acts.add("forget", "Let an approved device in no more; or drop a stranger.", _forget)
    forget.add_argument("ae_title", metavar="AE", help="its AE title")
    add_doctor(acts)
    echo = acts.add("echo", "Call a peer with C-ECHO: does the way back work?", _echo)
    echo.add_argument("name", metavar="NAME", help="its name, or its AE title")
    echo.add_argument("--json", action="store_true", help="for programs")


def _rights(text: str) -> tuple[str, ...]:
    rights = tuple(word.strip() for word in text.split(",") if word.strip())
    if unknown := [word for word in rights if word not in _RIGHTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(_RIGHTS)}")
    return rights


async def _approve(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    peer = Peer(
        options.ae_title,
        "",
        options.port,
        options.may,
        options.name,
        options.tls,
        options.certificate,
        options.max_associations,
    )
    async with witnessed(options, loaded, Event.NETWORK) as (cache, _):
        done = await cache.peers.approve(peer, _WHO, host=options.host)
    await wake_service(loaded.appliance.data_dir)
    where = f"from {done.peer.host}" if done.peer.host else "from any address"
    say(f"{done.peer.ae_title} may {', '.join(done.peer.may) or 'only C-ECHO'}, {where}")
    return 0


async def _forget(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import wake_service

    async with witnessed(options, loaded, Event.NETWORK) as (cache, _):
        gone = await cache.peers.forget(options.ae_title, _WHO)
    await wake_service(loaded.appliance.data_dir)
    if not gone:
        say("edge: no such peer, and no such stranger", file=sys.stderr)
        return 1
    title = options.ae_title.strip()
    done = "may call no more" if not gone.configured else "its approval is gone"
    if not gone.approved:
        done = "taken off the list of strangers"
    still = f"; the configuration still lets {title} in" if gone.configured else ""
    say(f"{title}: {done}{still}")
    return 0


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.admin.peers import known_peers
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        await cache.peers.refresh()
        known, strangers = known_peers(cache.peers), cache.peers.strangers.all()
    if options.json:
        say(msgspec.json.encode({"peers": known, "strangers": strangers}).decode())
        return 0
    for peer in known:
        say(_line(peer))
    for stranger in strangers:
        say(_stranger(stranger))
    return 0


def _line(peer: KnownPeer) -> str:
    name = f" ({peer.name})" if peer.name else ""
    tls = ", TLS" if peer.tls else ""
    by = "configuration"
    if peer.approved is not None:
        by = f"approved {moment(peer.approved)} by {peer.source}"
        by += "" if peer.in_force else "; not in force, the configuration names it"
    where = f"{peer.host or 'any address'}, port {peer.port}{tls}"
    return f"{peer.ae_title}{name}  {where}  may {', '.join(peer.may) or 'only C-ECHO'}  ({by})"


def _stranger(one: Stranger) -> str:
    times = "once" if one.calls == 1 else f"{one.calls} times since {moment(one.first_seen)}"
    shown = f", showing certificate {one.certificate}" if one.certificate else ""
    return (
        f"stranger {one.ae_title} at {one.host}  called {one.called} for"
        f" {one.services or 'nothing'}{shown}, {times}, last {moment(one.last_seen)}: {one.why}"
    )


async def _echo(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.dimse.casebook import CaseBook
    from edge.dimse.echo import echo_named
    from edge.dimse.peers import Peers
    from edge.dimse.requestor import Dialer
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        await cache.peers.refresh()
        await cache.associations.reload()
        casebook = CaseBook(loaded.dimse, cache.associations)
        dialer = Dialer(loaded.dimse, tls=cache.dicom_tls(), casebook=casebook)
        reached = await echo_named(dialer, Peers(loaded.dimse, cache.peers), options.name)
        await cache.associations.write_if_possible()
    if options.json:
        say(json.dumps(dataclasses.asdict(reached)))
    else:
        where = f" at {reached.where}" if reached.where else ""
        taken = f" ({reached.milliseconds:.0f} ms)" if reached.where else ""
        say(f"{reached.ae_title}{where}: {reached.found}{taken}")
        if reached.hint:
            say(f"  {reached.hint}")
    return int(not reached.works)
