"""``edge update``: newer versions of the whole machine, as people ask the service for them.

What the units of the disk image run, without the service, is in `edge.commands.update_units`.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.update_units import add_for_units, refuse_elsewhere
from edge.commands.witness import who
from edge.commands.words import moment, say
from edge.errors import EdgeError, StorageFull, UpdateRefused

if TYPE_CHECKING:
    from edge.config import Config

__all__ = ["add"]


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
    add_for_units(acts)


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
    from edge.provision.medium import ANSWER
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
    await asyncio.to_thread(_on_screen, options.source, "its update is copied", is_over=False)
    said = "its update was not taken"
    try:
        await asyncio.to_thread(refuse_elsewhere)
        try:
            version = await asyncio.to_thread(copied)
        except (UpdateRefused, StorageFull) as error:
            await asyncio.to_thread(_refused, loaded, options.source, error)
            said += f": {ANSWER} on it, and the page Update, say why"
            with contextlib.suppress(EdgeError):  # locked, say: it finds it in the history
                await ask_service(loaded.appliance.data_dir, "update", {"do": "wake"})
            raise
        await asyncio.to_thread(_answer, options.source, _COPIED.format(version=version))
        said = f"its update {version} is on this box"
    finally:
        await asyncio.to_thread(_on_screen, options.source, said)
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


def _on_screen(stick: Path, words: str, *, is_over: bool = True) -> None:
    """Say it on the screen of the box, if it is a stick that the units look at."""
    from edge.machine.places import Places
    from edge.machine.sticks import Use, tell_of_stick

    tell_of_stick(Places(), stick, Use.UPDATE, words, is_over=is_over)


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
        say(*_how_far(found))
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


def _how_far(found: dict[str, Any]) -> Iterator[str]:
    if found["phase"] == "fetching":
        yield f"    of them here: {found['fetched_bytes'] / 1e6:.0f} MB"
    if found["phase"] == "writing":
        yield f"    written: {found['written_share']:.0%}; leave the power on"


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
