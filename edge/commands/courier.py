"""``edge courier``: the backlog on a disk, when there is no line for weeks; and the way back.

At the clinic's box: ``pack``, then ``receipts``. At a place with a good line: ``unpack``.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge import config, others
from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.witness import entry_of, tell_alone, witnessed
from edge.commands.words import moment, say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cache.courier import Described, Taken
    from edge.cache.packing import Packed
    from edge.crypto.courier import Place
    from edge.sync.courier import Delivered

__all__ = ["add"]

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_EVERY = 2.0
"""Seconds between two words about progress."""
_LINE = 6
"""Groups of a key in a line."""


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("courier", "Have a disk carried where the line is good, and back."))
    key = acts.add("key", "Print this place's courier key, for the configuration of others.", _key)
    key.add_argument("--json", action="store_true", help="for programs")

    pack = acts.add("pack", "Write what the archive lacks to a disk.", _pack)
    pack.add_argument("--to", type=Path, required=True, metavar="DIR", help="the disk")
    pack.add_argument(
        "--max-bytes", type=_size, metavar="SIZE", help="such as 32GB (default: what is free)"
    )
    pack.add_argument("--studies", nargs="+", default=[], metavar="UID", help="only these")
    pack.add_argument(
        "--again", action="store_true", help="also what is on its way: that disk was lost"
    )

    unpack = acts.add("unpack", "Deliver what is on a disk into the first archive.", _unpack)
    unpack.add_argument("--from", dest="disk", type=Path, required=True, metavar="DIR")

    receipts = acts.add("receipts", "Read the receipts that came back on a disk.", _receipts)
    receipts.add_argument("--from", dest="disk", type=Path, required=True, metavar="DIR")
    receipts.add_argument(
        "--delete", action="store_true", help="delete bundles from it that are done with"
    )

    listing = acts.add("list", "Say what is on a disk.", _list)
    listing.add_argument("--from", dest="disk", type=Path, required=True, metavar="DIR")
    listing.add_argument("--json", action="store_true", help="for programs")


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]B)?", text.strip().upper())
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no size, such as 32GB")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def _places(keys: tuple[str, ...], where: str) -> list[Place]:
    from edge.crypto.courier import Place
    from edge.errors import WrongKey

    places = []
    for number, text in enumerate(keys):
        try:
            places.append(Place.from_text(text))
        except WrongKey as error:
            raise ConfigError(f"courier.{where}.{number}: {error}", hint=error.hint) from error
    return places


def _recipients(loaded: config.Config) -> list[Place]:
    places = _places(loaded.courier.recipients, "recipients")
    if not places:
        raise ConfigError(
            "nobody is named who could open a bundle, or whose receipts would be believed",
            hint="write what edge courier key prints at the place with the good line into"
            " courier.recipients",
        )
    return places


# Keys ---------------------------------------------------------------------------------------------


async def _key(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.crypto.courier import PlaceKeys
    from edge.opening import ring

    def read() -> Place:
        with ring(loaded) as keys:
            return PlaceKeys(keys.derive).place

    place = await asyncio.to_thread(read)
    groups = place.to_groups()
    if options.json:
        say(json.dumps({"key": " ".join(groups), "fingerprint": place.fingerprint}))
        return 0
    say(*_KEY.splitlines(), file=sys.stderr, flush=True)
    for at in range(0, len(groups), _LINE):
        say(" ".join(groups[at : at + _LINE]))
    say(f"edge: its fingerprint is {place.fingerprint}", file=sys.stderr)
    return 0


_KEY = """\
This is the courier key of this place; it is no secret. A box that packs bundles for this place has
it in courier.recipients; a place that delivers those of this box has it in courier.senders. Let
nobody change it on the way: compare the fingerprint by telephone.
"""


# The clinic's box ---------------------------------------------------------------------------------


async def _pack(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    recipients = _recipients(loaded)
    from edge.cache.packing import Packing
    from edge.crypto.courier import PlaceKeys

    async with witnessed(options, loaded, Event.EXPORTED) as (cache, _):
        packing = Packing(
            cache.database,
            cache.store,
            PlaceKeys(cache.keys.derive),
            cache.algorithm,
            box=loaded.appliance.name,
            recipients=recipients,
            disk=options.to,
            say=_Teller("packed").say,
        )
        packed = await packing.pack(
            max_bytes=options.max_bytes, studies=options.studies, again=options.again
        )
        return _print_packed(packed, options.to)


def _print_packed(packed: Packed, disk: Path) -> int:
    if packed.bundle:
        goes_on = " (an earlier run had begun it)" if packed.resumed else ""
        size = f"{packed.bytes / 1e6:.1f} MB"
        say(f"edge: bundle {packed.bundle}: {packed.images} images, {size}{goes_on}")
        say(f"edge: unmount {disk}; there: edge courier unpack --from DIR")
    else:
        say("edge: nothing was packed")
    for count, what in (
        (packed.left, "did not fit: take another disk, or a larger one"),
        (packed.by_line, "need the line: copies of them are sent, see edge sync list"),
        (len(packed.unreadable), "can't be read here: look at the health of the disk"),
    ):
        if count:
            say(f"edge: {count} images {what}", file=sys.stderr)
    return int(bool(packed.unreadable) or (packed.left > 0 and not packed.bundle))


async def _receipts(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    recipients = _recipients(loaded)
    from edge.admin.local import wake_service
    from edge.cache.courier import Receipts
    from edge.crypto.courier import PlaceKeys

    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, _):
        receipts = Receipts(cache.database, PlaceKeys(cache.keys.derive), recipients)
        taken, others = await receipts.take(options.disk)
        whole = True
        for one in taken:
            _print_taken(one)
            if one.is_settled and options.delete:
                left = await receipts.delete(options.disk, one.bundle)
                whole = _print_deleted(one.bundle, left) and whole
            elif one.is_settled:
                say("  it is done with: --delete deletes it from the disk")
    await wake_service(loaded.appliance.data_dir)
    if others:
        say(f"edge: bundles of other boxes, left alone: {others}", file=sys.stderr)
    if not taken:
        say("edge: no bundle of this box is on the disk", file=sys.stderr)
    return int(not taken or not whole or any(one.troubles for one in taken))


def _print_deleted(bundle: str, left: Sequence[str]) -> bool:
    """Say what is left; whether all that is of the bundle is gone."""
    from edge.cache.bundle import is_ours

    in_the_way = [name for name in left if is_ours(name)]
    if in_the_way:
        say(
            f"  bundle {bundle} is deleted from the disk but for what is no file of it:"
            f" {', '.join(in_the_way)}: remove that by hand, and repeat the command",
            file=sys.stderr,
        )
        return False
    stays = f"; its folder stays, with {', '.join(left)}" if left else ""
    say(f"  bundle {bundle} is deleted from the disk{stays}")
    return True


def _print_taken(one: Taken) -> None:
    say(f"bundle {one.bundle}: {_counted(one.outcomes) or 'nothing new'}")
    if one.waiting:
        say(f"  not delivered yet: {one.waiting}")
    for trouble in one.troubles:
        say(f"  {trouble}", file=sys.stderr)


# The place with the good line ---------------------------------------------------------------------


async def _unpack(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    senders = _places(loaded.courier.senders, "senders")
    from edge.cloud.orthanc import archive_of
    from edge.cloud.shut import opened as opened_archive
    from edge.crypto.courier import PlaceKeys
    from edge.crypto.secrets import PURPOSE
    from edge.opening import ring
    from edge.sync.courier import Delivery

    if not loaded.cloud.archive:
        raise ConfigError("no archive is configured that could get it")

    def opened() -> tuple[PlaceKeys, others.Archive]:
        with ring(loaded) as keys:
            first, secret = loaded.cloud.in_order[0], keys.derive(PURPOSE)
            return PlaceKeys(keys.derive), opened_archive(first, loaded.cloud, secret)

    keys, settings = await asyncio.to_thread(opened)
    async with archive_of(settings) as archive:
        delivery = Delivery(
            archive,
            f"{settings.name} {settings.url}",
            loaded.sync,
            keys,
            senders,
            place=loaded.appliance.name,
            progress=_Teller("delivered").progress,
        )
        delivered = await delivery.deliver(options.disk)
    for one in delivered:
        said = {"bundle": one.bundle, "box": one.box, "outcomes": _counted(one.outcomes)}
        if one.outcomes:
            entry = entry_of(options, Event.IMPORTED, said)
            await asyncio.to_thread(tell_alone, loaded, entry)
    for one in delivered:
        _print_delivered(one)
    ours = [one for one in delivered if not one.is_ours]
    if not ours:
        say("edge: no bundle that could be delivered is on the disk", file=sys.stderr)
    failed = any(one.left or one.troubles or one.stranger for one in ours)
    return int(failed or not ours)


def _print_delivered(one: Delivered) -> None:
    if one.is_ours:
        say(f"bundle {one.bundle} was packed here: carry it where the line is good")
        return
    box = f" of {one.box}" if one.box else ""
    say(f"bundle {one.bundle}{box}: {_counted(one.outcomes) or 'nothing was delivered'}")
    for trouble in one.troubles:
        say(f"  {trouble}", file=sys.stderr)
    if one.stranger is not None:
        say(
            f"  it is signed by {one.stranger.fingerprint}, and courier.senders does not name that:"
            " ask the clinic for the fingerprint that edge courier key shows there. If it is this"
            " one, add to courier.senders",
            f'  "{" ".join(one.stranger.to_groups())}"',
            file=sys.stderr,
        )
    elif one.left:
        say(f"  not delivered yet: {one.left}: run it again", file=sys.stderr)
    elif one.images:
        say("  unmount the disk and carry it back: edge courier receipts --from DIR")


# Anywhere -----------------------------------------------------------------------------------------


async def _list(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    known = [
        *_places(loaded.courier.recipients, "recipients"),
        *_places(loaded.courier.senders, "senders"),
    ]
    from edge.cache.courier import describe
    from edge.crypto.courier import PlaceKeys
    from edge.opening import ring

    def read() -> list[Described]:
        with ring(loaded) as keys:
            return describe(options.disk, PlaceKeys(keys.derive), known)

    found = await asyncio.to_thread(read)
    if options.json:
        say(json.dumps({"bundles": [asdict(one) for one in found]}))
        return 0
    for one in found:
        _print_described(one)
    if not found:
        say("no bundle is on the disk")
    return 0


def _print_described(one: Described) -> None:
    say(f"bundle {one.bundle}: {one.size / 1e6:.1f} MB on the disk, {one.parts} parts")
    if one.box:
        whose = "this box" if one.is_ours else f"{one.box} ({one.by})"
        whole = "" if one.is_complete else "; it is not whole"
        say(f"  packed by {whose} at {moment(one.packed)}")
        say(f"  {one.images} images, {one.bytes / 1e6:.1f} MB{whole}")
    if one.delivered:
        say(f"  delivered: {_counted(Counter(one.delivered))}")
    elif one.receipts:
        say(f"  {one.receipts} receipts")
    if one.trouble:
        say(f"  {one.trouble}")


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {what.lower()}" for what, count in sorted(outcomes.items()))


class _Teller:
    """Says now and then how far it is."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._at = time.monotonic()
        self._said = ""

    def say(self, images: int, size: int) -> None:
        """Of packing."""
        self._tell(f"{self._what} {images} images, {size / 1e6:.1f} MB")

    def progress(self, done: int, total: int, words: str) -> None:
        """Of delivering."""
        waits = f"; {words}" if words else ""
        self._tell(f"{self._what} {done} of {total} images{waits}")

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if now - self._at >= _EVERY and text != self._said:
            self._at, self._said = now, text
            say(f"edge: {text}", file=sys.stderr, flush=True)
