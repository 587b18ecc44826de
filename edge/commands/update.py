"""``edge update``: newer versions of the whole machine.

What needs the service is asked of the service; ``take`` and ``check`` are for the units of the disk
image, and need none: the one writes the other slot, as root, the other judges a version on trial.
Both do what has to be done of a version whose settings can't be read: it is to be left then. Root
reads no settings that the service's user may write.
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
from typing import TYPE_CHECKING, Any

from edge.commands.parsing import Acts, Commands, configuration, configuration_file
from edge.commands.witness import who
from edge.commands.words import moment, say
from edge.errors import ConfigError, EdgeError, KeyLocked, StorageFull, UpdateRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edge.config import Config
    from edge.updates.helper import Helper

    _Keys = Callable[[], Sequence[Ed25519PublicKey]]

__all__ = ["add"]

_BACK = 120.0
"""Seconds that another root may take before a version that could not be judged is left; if it takes
longer, the unit fails, and the machine starts anew."""
_STUCK = 900.0
"""Seconds in which nothing goes on in the gate, after which it ends without a verdict."""


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("update", "Get newer versions of the whole machine."))
    show = acts.add("show", "Say which version runs, and how far the next one has come.", _show)
    look = acts.add("look", "Ask the server whether there is an update.", _look)
    for act in (show, look):
        act.add_argument("--json", action="store_true", help="for programs")
    download = acts.add("download", "Have an update come here.", _download)
    download.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="PATH",
        help="a file *.edgeupdate, or a stick with EDGE-UPDATE",
    )
    for act in (look, download):
        act.add_argument(
            "--if-any", action="store_true", help="no fault if there is no server, or no update"
        )
    install = acts.add(
        "install", "Have an update written at a quiet moment, and started from.", _install
    )
    for act in (download, install):
        act.add_argument("version", nargs="?", default="", help="default: the newest known")
        act.add_argument("--again", action="store_true", help="even if it has failed before")
    acts.add("cancel", "Want no update any more; what is here stays.", _cancel)
    history = acts.add("history", "Say what was done with updates, the newest last.", _history)
    history.add_argument("--json", action="store_true", help="for programs")
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


# By the service -----------------------------------------------------------------------------------


async def _asked(loaded: Config, do: str, **wish: Any) -> dict[str, Any]:
    from edge.admin.local import ask_service

    done = await ask_service(loaded.appliance.data_dir, "update", {"do": do, **wish})
    if done is None:
        raise EdgeError("the service does not run", hint="start it: it is what does that")
    return done


async def _show(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import ask_service

    found = await ask_service(loaded.appliance.data_dir, "update", {"do": "show"})
    if found is None:
        found = await asyncio.to_thread(_without_service, loaded)
    return _print(found, options)


def _without_service(loaded: Config) -> dict[str, Any]:
    import msgspec

    from edge.updates.journal import Folder
    from edge.updates.machine import HERE
    from edge.updates.standing import standing_of

    folder = Folder(loaded.appliance.data_dir)
    standing = standing_of(loaded.update, folder, HERE, folder.state())
    found: dict[str, Any] = msgspec.to_builtins(standing)
    return found


async def _look(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    if options.if_any and not loaded.update.url:
        return 0
    return _print(await _asked(loaded, "look"), options)


async def _download(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    if options.source is None:
        wish = {"version": options.version, "again": options.again, "by": who().name}
        await _asked(loaded, "download", **wish)
        say("edge: the update comes, at the calendar's pace: edge update show", file=sys.stderr)
        return 0
    from edge.admin.local import ask_service
    from edge.updates.held import held
    from edge.updates.machine import HERE
    from edge.updates.signature import read_keys
    from edge.updates.stick import bring, has_any, newest_on

    def copied() -> str:
        keys = read_keys(loaded.update.keys)
        source = newest_on(options.source, keys, HERE)
        with held(loaded.appliance.data_dir) as folder:
            return bring(folder, source, keys, HERE, by=who().name).version

    if options.if_any and not await asyncio.to_thread(has_any, options.source):
        return 0
    await asyncio.to_thread(_refuse_elsewhere)
    try:
        version = await asyncio.to_thread(copied)
    except (UpdateRefused, StorageFull) as error:
        await asyncio.to_thread(_refused, loaded, options.source, error)
        with contextlib.suppress(EdgeError):  # locked, say: it finds it in the history
            await ask_service(loaded.appliance.data_dir, "update", {"do": "wake"})
        raise
    await asyncio.to_thread(_answer, options.source, _COPIED.format(version=version))
    await ask_service(loaded.appliance.data_dir, "update", {"do": "wake"})
    say(f"edge: version {version} is here, and proven: edge update install", file=sys.stderr)
    return 0


_COPIED = (
    "Version {version} is on the box, and proven. Take the stick with you; the page Update installs"
    " it.\n"
)
_NOT_COPIED = "This update was not taken: {why}. Nothing was changed.\n"


def _refused(loaded: Config, stick: Path, error: EdgeError) -> None:
    """Tell of a stick that is refused: there is nobody at a screen who reads it."""
    from edge.updates.held import held
    from edge.updates.stick import FOLDER, refuse

    if not (stick / FOLDER).is_dir():
        return  # a file, or a folder, of somebody who is told here
    why = f"{error}; {error.hint}" if error.hint else str(error)
    with contextlib.suppress(EdgeError, OSError), held(loaded.appliance.data_dir) as folder:
        refuse(folder, why, by=who().name)
    _answer(stick, _NOT_COPIED.format(why=why))


def _answer(stick: Path, words: str) -> None:
    """Say it on the stick, if it is one, and takes it."""
    from edge.provision.medium import answer
    from edge.updates.stick import FOLDER

    if (stick / FOLDER).is_dir():
        with contextlib.suppress(EdgeError, OSError):
            answer(stick, words, name=FOLDER)


async def _install(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    by = who().name
    found = await _asked(loaded, "install", version=options.version, again=options.again, by=by)
    first = " comes, and" * (found["phase"] == "fetching")
    say(
        f"edge: version {found['version']}{first} is written once nothing comes in; the machine"
        " starts anew then: edge update show",
        file=sys.stderr,
    )
    return 0


async def _cancel(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    await _asked(loaded, "cancel", by=who().name)
    say("edge: no update is under way any more", file=sys.stderr)
    return 0


async def _history(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    import msgspec

    from edge.updates.journal import Folder

    found = await asyncio.to_thread(Folder(loaded.appliance.data_dir).history)
    if options.json:
        say(json.dumps(msgspec.to_builtins(found)))
        return 0
    for entry in found:
        before = f" (before: {entry.before})" if entry.before else ""
        by = f", {entry.by}" if entry.by else ""
        why = f": {entry.why}" if entry.why else ""
        version = entry.version or "a stick"
        say(f"{moment(entry.at)}  {version:<12} {entry.deed}{before}{by}{why}")
    return 0


def _print(found: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        say(json.dumps(found))
        return 0
    say(f"version {found['running']} runs")
    if not found["is_image"]:
        say("  this machine was not made from the disk image: its packages bring newer versions")
    says = _PHASES[found["phase"]].format(version=found["version"])
    installs = ", and will be installed" * found["will_install"]
    here = f"; {found['here']} is here" if found["here"] else ""
    say(f"  {says}{installs}{here}")
    if (known := found["found"]) is not None:
        security = ", for security" if known["security"] else ""
        say(f"    {known['bytes'] / 1e6:.0f} MB, made {moment(known['made'])}{security}")
        if found["phase"] == "fetching":
            say(f"    of them here: {found['fetched_bytes'] / 1e6:.0f} MB")
        for line in known["notes"].get("en", "").splitlines():
            say(f"    {line}")
    if (newer := found["newer"]) is not None:
        security = ", for security" if newer["security"] else ""
        say(f"  version {newer['version']} can be had, too{security}")
    if found["looked"]:
        say(f"  the server was asked {moment(found['looked'])}")
    if (unlooked := found["unlooked"]) is not None:
        _print_trouble(unlooked["since"], unlooked["why"], unlooked["hint"])
    if found["trouble"]:
        _print_trouble(found["since"], found["trouble"], found["hint"])
    if found["next_try"]:
        say(f"    it is tried again at {moment(found['next_try'])}")
    if (failure := found["failure"]) is not None:
        back = "; the version from before runs again" if failure["went_back"] else ""
        say(
            f"  version {failure['version']} failed {moment(failure['at'])}: {failure['why']}{back}"
        )
        if failure["is_final"]:
            say("    it is not tried again by itself: edge update install --again")
    return 0


def _print_trouble(since: float, why: str, hint: str) -> None:
    say(f"  since {moment(since)}: {why}")
    if hint:
        say(f"    {hint}")


_PHASES = {
    "none": "no newer one is known",
    "offered": "version {version} can be had: edge update download",
    "fetching": "version {version} comes",
    "ready": "version {version} is here, and proven: edge update install",
    "waiting": "version {version} is written once nothing comes in",
    "writing": "version {version} is being written; the machine starts anew then",
    "trial": "version {version} is written, and has not proven itself yet",
}


# By the units -------------------------------------------------------------------------------------


def _refuse_elsewhere() -> None:
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

    _refuse_elsewhere()
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
