"""What every command's options have in common, and how its configuration is found.

A command is added with the function that runs it, synchronous or not, which gets the options and
gives the exit status. What takes long to import is imported where it is used, so that ``--help``
comes at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from edge import config, loading
from edge.settings import Settings

__all__ = ["Acts", "Commands", "Run", "configuration", "configuration_file", "layers", "usual_file"]

Run = Callable[[argparse.Namespace], int | Awaitable[int]]

_DEFAULT = Path("/etc/edge/edge.toml")
_WHERE = f"configuration (default: $EDGE_CONFIG, then {_DEFAULT})"


class Commands:
    """Of a parser; ``--config`` may stand before a command and behind it, where it wins.

    Args:
        parser: Gets the commands.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        self._unconfigured: set[str] = set()
        _add_config(parser)
        self._commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        self, name: str, text: str, run: Run | None = None, *, configured: bool = True
    ) -> argparse.ArgumentParser:
        """A command; without *run* it has acts, and they are run."""
        command = self._commands.add_parser(name, help=text, description=text)
        if configured:
            _add_config(command)
        else:
            self._unconfigured.add(name)
        if run is not None:
            command.set_defaults(run=run)
        return command

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Options, of which ``config`` is one whether it was named or not."""
        options = self.parser.parse_args(arguments)
        if "config" in options and options.command in self._unconfigured:
            self.parser.error(f"{options.command} takes no --config")
        vars(options).setdefault("config", os.environ.get("EDGE_CONFIG") or None)
        return options


class Acts:
    """What a command can do, as in ``edge token create``; ``--config`` may stand behind it, too.

    Args:
        command: Gets the acts.
    """

    def __init__(self, command: argparse.ArgumentParser) -> None:
        self._acts = command.add_subparsers(dest="act", required=True, metavar="ACT")

    def add(self, name: str, text: str, run: Run) -> argparse.ArgumentParser:
        """One of them."""
        act = self._acts.add_parser(name, help=text, description=text)
        _add_config(act)
        act.set_defaults(run=run)
        return act


def _add_config(parser: argparse.ArgumentParser) -> None:
    # Without a default: that of a command would win over what was named before it.
    parser.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=_WHERE
    )


async def configuration(options: argparse.Namespace) -> config.Config:
    """What ``--config`` names, or else what is found.

    Raises:
        ConfigError: It can't be used.
    """
    return await asyncio.to_thread(_load, options.config)


async def layers(options: argparse.Namespace) -> tuple[Settings, config.Config]:
    """The same, and what knows where each key of it was said.

    Raises:
        ConfigError: It can't be used.
    """
    return await asyncio.to_thread(lambda: loading.layered(_find(options.config)))


async def configuration_file(options: argparse.Namespace) -> Path | None:
    """The file that it is read from, if there is one."""
    return await asyncio.to_thread(_find, options.config)


def usual_file(options: argparse.Namespace) -> Path:
    """Where the file is, or belongs."""
    named: Path | None = options.config
    return _DEFAULT if named is None else Path(named)


def _load(named: Path | None) -> config.Config:
    return loading.load(_find(named))


def _find(named: Path | None) -> Path | None:
    found = _DEFAULT if named is None and _DEFAULT.exists() else named
    return None if found is None else Path(found)
