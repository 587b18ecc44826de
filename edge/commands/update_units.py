"""``edge update take`` and ``check``: for the units of the disk image, which need no service.

The one writes the other slot, as root, the other judges a version on trial. Both do what has to be
done of a version whose settings can't be read: it is to be left then. Root reads no settings that
the service's user may write.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.parsing import Acts, configuration_file
from edge.commands.witness import who
from edge.commands.words import say
from edge.errors import ConfigError, EdgeError, KeyLocked, UpdateRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edge.updates.helper import Helper

    _Keys = Callable[[], Sequence[Ed25519PublicKey]]

__all__ = ["add_for_units", "refuse_elsewhere"]

_BACK = 120.0
"""Seconds that another root may take before a version that could not be judged is left; if it takes
longer, the unit fails, and the machine starts anew."""
_STUCK = 900.0
"""Seconds in which nothing goes on in the gate, after which it ends without a verdict."""


def add_for_units(acts: Acts) -> None:
    """Add them to ``edge update``."""
    take = acts.add("take", "Carry out the order to write an update; as root.", _take)
    instead = take.add_mutually_exclusive_group()
    instead.add_argument(
        "--force",
        type=Path,
        metavar="FILE",
        help="write this one now, be it older than the one that runs, without an order",
    )
    instead.add_argument(
        "--back",
        action="store_true",
        help="go back from a version on trial that could not be judged, without an order",
    )
    check = acts.add("check", "Judge the version that is on trial; good if none is.", _check)
    check.add_argument("--json", action="store_true", help="for programs")


def refuse_elsewhere() -> None:
    """Refuse what only a machine that was made from the disk image can do.

    Raises:
        UpdateRefused: This one was not.
    """
    from edge.updates.machine import HERE

    if not HERE.version:
        raise UpdateRefused(
            "this machine was not made from the disk image",
            hint="take its updates as you installed it: by its packages",
        )


async def _take(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise ConfigError("only root writes slots", hint="the unit edge-update-take does so")
    file = await configuration_file(options)
    done = await asyncio.to_thread(_taken, file, options.force, back=options.back)
    say(f"edge: {done}", file=sys.stderr)
    return 0


def _taken(file: Path | None, forced: Path | None, *, back: bool) -> str:
    from functools import partial

    from edge.updates.held import LOCK, alone, held
    from edge.updates.helper import Helper, loader_of, restart_machine
    from edge.updates.machine import HERE

    refuse_elsewhere()
    data_dir, keys = _of_the_machine(file)
    # The unit waits for whoever sits at the machine; they are told at once that they have to.
    patience = _BACK if back else math.inf if forced is None else 0.0
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone(LOCK, patience))
        try:
            folder = stack.enter_context(held(data_dir))
        except UpdateRefused as error:
            if not back:
                raise
            return f"nothing is gone back from: {error}"
        helper = Helper(
            folder,
            HERE,
            keys,
            loader=partial(loader_of, HERE),
            may_restart=lambda: _may_restart(data_dir),
            restart=restart_machine,
        )
        if back:
            return helper.go_back()
        return helper.run() if forced is None else _forced(helper, forced, keys)


def _forced(helper: Helper, path: Path, keys: _Keys) -> str:
    from edge.updates.bundle import open_bundle
    from edge.updates.journal import Order

    with open_bundle(path, keys()) as bundle:
        version = bundle.manifest.version
    order = Order(act="install", version=version, file=path.name, by=who().name)
    helper.write(path, order, may_go_back=True)
    helper.start_anew()
    return f"version {version} is written"


def _of_the_machine(file: Path | None) -> tuple[Path, _Keys]:
    """Where the data is, and what reads the keys that are believed: what root goes by.

    The box's own settings, which the service's user writes, are not read. If the machine's can't
    be, the data is where it usually is, and nobody is believed: it is still gone back from what
    can't read them.
    """
    from edge.loading import layered
    from edge.updates.signature import read_keys

    try:
        _, machine = layered(file, own="")
    except ConfigError as error:
        refused = UpdateRefused(f"whose updates are believed can't be read: {error}")
        say(f"edge: {error}", file=sys.stderr)

        def nobody() -> list[Ed25519PublicKey]:
            raise refused

        return _data_dir(file), nobody
    return machine.appliance.data_dir, lambda: read_keys(machine.update.keys)


def _data_dir(file: Path | None) -> Path:
    """Where the data is, by the machine's settings; where it usually is, if they can't be read."""
    from edge.config import Appliance
    from edge.loading import data_dir

    try:
        return data_dir(file)
    except ConfigError as error:
        usual = Appliance().data_dir
        say(f"edge: {error}; {usual} is taken", file=sys.stderr)
        return usual


def _may_restart(data_dir: Path) -> bool:
    """Whether the service says so, is locked, or does not run.

    Of one that does not answer, or begins or ends just now, nobody knows what comes in.
    """
    from edge.admin.local import ask_service

    try:
        said = asyncio.run(ask_service(data_dir, "update", {"do": "restart"}))
    except KeyLocked:
        return True  # nothing comes in
    except (EdgeError, OSError, ValueError) as error:
        say(f"edge: whether something comes in is not known: {error}", file=sys.stderr)
        return False
    return said is None or said.get("restart") is True


async def _check(options: argparse.Namespace) -> int:
    file = await configuration_file(options)
    folder = await asyncio.to_thread(_data_dir, file)
    from functools import partial

    from edge.commands.selftest import show_check
    from edge.proving import Proving, prove_trial
    from edge.updates.journal import Folder
    from edge.updates.machine import HERE
    from edge.updates.trial import Verdict, judge

    tell = (lambda _: None) if options.json else show_check
    with _ended_if_stuck():
        prove = partial(prove_trial, Proving(folder, tell))
        verdict, why = await judge(Folder(folder), HERE, prove)
    if options.json:
        say(json.dumps({"verdict": verdict, "why": why}))
    else:
        say(f"edge: {verdict}{f': {why}' if why else ''}", file=sys.stderr)
    return int(verdict is Verdict.BAD)


@contextlib.contextmanager
def _ended_if_stuck() -> Iterator[None]:
    """Have this process end if nothing goes on in it any more: systemd then has root go back."""
    loop = asyncio.get_running_loop()
    later: asyncio.Handle

    def go_on() -> None:
        nonlocal later
        faulthandler.dump_traceback_later(_STUCK, exit=True)
        later = loop.call_later(_STUCK / 10, go_on)

    later = loop.call_soon(go_on)
    try:
        yield
    finally:
        later.cancel()
        faulthandler.cancel_dump_traceback_later()
