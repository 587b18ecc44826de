"""``edge peer doctor``: what went wrong with a device's associations, in words, and what to change.

It looks at the index, whether the service runs or not, and calls nobody.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from edge.commands.parsing import Acts, configuration
from edge.commands.words import moment, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.cache.associations import Change, PeerState, Trouble

__all__ = ["add_doctor"]

_RESTART = "what is changed in the configuration holds after: systemctl restart edge"
_SIDES = {"device": "on the device", "box": "on this box", "network": "between them"}


def add_doctor(acts: Acts) -> None:
    """Add the act."""
    doctor = acts.add("doctor", "Say what went wrong with devices, and what to change.", _doctor)
    doctor.add_argument(
        "name", metavar="NAME", nargs="?", default="", help="its name, AE title or address"
    )
    doctor.add_argument("--json", action="store_true", help="for programs")


async def _doctor(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.dimse.examination import examine
    from edge.dimse.peers import Peers
    from edge.opening import Cache

    async with Cache(loaded) as cache:
        await cache.peers.refresh()
        found = await examine(cache.peers, cache.associations, loaded.dimse, options.name)
        alike = Peers(loaded.dimse, cache.peers).alike(options.name)
    if options.json:
        say(msgspec.json.encode(found).decode())
        return int(not found.is_known)
    if not found.is_known:
        say(
            f"edge: nobody is called {options.name}, and nobody called so or from there",
            *([f"  there is {alike}: small letters are not capital ones"] if alike else []),
            "  what the device sends did not reach this box as DICOM: look at the address and the"
            " port that are entered there, and try a ping and a C-ECHO from it",
            file=sys.stderr,
        )
        return 1
    for trouble in found.troubles:
        _tell(trouble)
    for peer in found.peers:
        _stand(peer, advise=bool(options.name))
    if not (found.troubles or found.peers):
        say("nothing went wrong, and no peer is known")
    if any(change.side == "box" for trouble in found.troubles for change in trouble.changes):
        say("", _RESTART)
    return 0


def _tell(trouble: Trouble) -> None:
    times = f"{trouble.times} times, first {moment(trouble.first_seen)}, last"
    when = moment(trouble.last_seen)
    version = f" [{trouble.implementation}]" if trouble.implementation else ""
    title, host = trouble.ae_title or "no AE title", trouble.host or "no address"
    who = f"{title} at {host}{version}"
    called = f"{who} called this box" if trouble.direction == "in" else f"this box called {who}"
    often = f"{times} {when}" if trouble.times > 1 else f"once, {when}"
    say(f"{called} ({often}):", f"   {trouble.what}")
    for context in trouble.contexts:
        offered = ", ".join(context.offered)
        taken = f"; possible: {', '.join(context.accepted)}" if context.accepted else ""
        say(f"     refused: {context.sop_class} ({context.why}); offered: {offered}{taken}")
    _advise(trouble.changes)
    if trouble.fine_since is not None:
        say(f"   since then there was an association without trouble: {moment(trouble.fine_since)}")


def _stand(peer: PeerState, *, advise: bool) -> None:
    name = f" ({peer.name})" if peer.name else ""
    called = f"last called without trouble {moment(peer.called)}" if peer.called else ""
    back = f"last answered without trouble {moment(peer.was_called)}" if peer.was_called else ""
    if peer.missing is not None:
        called = peer.missing.what
    known = "; ".join(filter(None, (called, back))) or "it called, and never without trouble"
    say(f"{peer.ae_title}{name}: {known}")
    if peer.missing is not None and advise:
        _advise(peer.missing.changes)


def _advise(changes: Iterable[Change]) -> None:
    for change in changes:
        say(f"   {_SIDES[change.side]}: {change.what}")
