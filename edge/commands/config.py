"""``edge config``: what is set, where that was said, and the box's own settings, changed.

What is set here holds below the file of the machine (`edge.changing`). A secret is best written as
``sealed:…`` (edge secret seal): an argument can be seen by others on the machine.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.access.audit.entry import Event
from edge.commands.parsing import Acts, Commands, configuration, configuration_file
from edge.commands.witness import witnessed
from edge.commands.words import say
from edge.errors import ConfigError
from edge.loading import layered

if TYPE_CHECKING:
    from edge.cache.own_settings import Known, OwnSettings
    from edge.config import Config
    from edge.opening import Cache

__all__ = ["add"]

_SOURCES = {"default": "by default", "box": "set on this box", "fixed": "fixed"}


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("config", "What is set, where that was said, and how to change it."))
    show = acts.add("show", "Show settings, and where each was said; no secrets.", _show)
    show.add_argument("key", metavar="KEY", nargs="?", default="", help="or the beginning of it")
    show.add_argument("--all", action="store_true", help="those that are as by default, too")
    show.add_argument("--json", action="store_true", help="for programs")
    acts.add("check", "Read the whole configuration, and say what is wrong with it.", _check)
    change = acts.add("set", "Set one of the box's own settings; it holds at once.", _set)
    change.add_argument("key", metavar="KEY", help="such as sync.sweep_minutes")
    change.add_argument("value", metavar="VALUE", help="as TOML writes it, or plain text")
    reset = acts.add("unset", "Have settings be as by default again.", _unset)
    reset.add_argument("keys", metavar="KEY", nargs="+", help="such as sync.sweep_minutes")


async def _show(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    own = _settings(await configuration_file(options), loaded, _no_seal)
    known = [one for one in await own.known() if one.key.startswith(options.key)]
    if not known:
        raise ConfigError(f"{options.key} is not a known key", hint="edge config show --all")
    wanted = [
        one for one in known if options.all or one.source != "default" or one.key == options.key
    ]
    if options.json:
        import msgspec

        say(msgspec.json.encode(wanted).decode())
        return 0
    for one in wanted:
        say(f"{one.key} = {json.dumps(one.value, ensure_ascii=False)}  # {_where(one)}")
    return 0


async def _check(options: argparse.Namespace) -> int:
    await configuration(options)
    file = await configuration_file(options)
    say(f"the configuration is sound ({file or 'there is no file'})")
    return 0


async def _set(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    value, options.value = _value_of(options.value), "***"  # a secret may be in it
    return await _change(options, loaded, {options.key: value})


async def _unset(options: argparse.Namespace) -> int:
    try:
        loaded = await configuration(options)
    except ConfigError as error:
        return await _mend(options, error)
    return await _change(options, loaded, dict.fromkeys(options.keys))


async def _change(options: argparse.Namespace, loaded: Config, changes: dict[str, Any]) -> int:
    from edge.cache.own_settings import told

    file = await configuration_file(options)
    # What was changed is told without secrets.
    async with witnessed(options, loaded, Event.ADMINISTERED) as (cache, said):
        own = _settings(file, loaded, _sealer(cache))
        done = await own.change(changes, is_remote=False)
        said.update(told(done))
    if not done:
        say(f"{', '.join(changes)}: so already")
        return 0
    return await _apply(loaded)


async def _mend(options: argparse.Namespace, error: ConfigError) -> int:
    """Take settings out of an own file that does not load; what else is at fault is said."""
    file = await configuration_file(options)
    try:
        _, machine = await asyncio.to_thread(partial(layered, file, own=""))
    except ConfigError:
        raise error from None  # it is not the box's own file, or not that alone
    async with witnessed(options, machine, Event.ADMINISTERED) as (_, said):
        removed = await _settings(file, machine, _no_seal).remove(options.keys)
        if not removed:
            raise error
        said["removed"] = ", ".join(removed)
    return await _apply(machine)


async def _apply(loaded: Config) -> int:
    from edge.admin.local import ask_service

    runs = await ask_service(loaded.appliance.data_dir, "settings")
    say(
        "it holds from the next start on"
        if runs is None
        else "it holds in a moment: the service begins anew once nothing is under way"
    )
    return 0


def _settings(file: Path | None, loaded: Config, seal: Any) -> OwnSettings:
    from edge.cache.own_settings import OwnSettings

    return OwnSettings(file, loaded.appliance.data_dir, seal)


def _sealer(cache: Cache) -> Any:
    from edge.crypto.secrets import PURPOSE, seal_secret

    return partial(seal_secret, key=cache.keys.derive(PURPOSE))


def _no_seal(_: str) -> str:
    raise ConfigError("a secret can't be sealed here")


def _where(one: Known) -> str:
    return f"fixed by {one.where}" if one.source == "fixed" else _SOURCES[one.source]


def _value_of(text: str) -> Any:
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text
