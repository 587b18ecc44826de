"""The command line: parse, load the configuration, hand over.

Exit status: 0 it was done; 1 it was not, and the message says why; 2 the command itself is wrong.

What takes long to import is imported where it is used: ``--help`` comes at once, and Ctrl-C finds a
loop that knows what to do with it.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

try:
    import argparse
    import asyncio
    import contextlib
    import dataclasses
    import gc
    import json
    import logging
    import os
    import resource
    import signal
    import time
    from pathlib import Path

    from edge import __version__, config
    from edge.access.roles import Role
    from edge.errors import ConfigError, EdgeError
except KeyboardInterrupt:  # even these take a moment on a small box
    sys.exit(130)

if TYPE_CHECKING:
    from edge.app import Appliance, Cache
    from edge.cache.status import Status

__all__ = ["main"]

log = logging.getLogger("edge")

_DEFAULT = Path("/etc/edge/edge.toml")
_DECODERS = ("gdcm", "numpy", "PIL")
"""What only pixel workers need; pydicom would load all that it finds, 30 MB of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        status = _demo(options) if options.command == "demo" else asyncio.run(_run(options))
        sys.stdout.flush()  # here, where an error still finds somebody to say so
        return status
    except EdgeError as error:
        print(f"edge: {error}", file=sys.stderr)
        if error.hint:
            print(f"      {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:
        # Who read the output has seen enough; the interpreter would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"edge: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 0  # told to stop before it was ready
    except KeyboardInterrupt:
        return 130


def _log_to_stderr() -> None:
    moment = "" if _goes_to_journal() else "%(asctime)s "  # the journal has its own
    logging.basicConfig(
        level=logging.INFO,
        format=f"{moment}%(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        stream=sys.stderr,
    )
    for library in ("httpx", "pynetdicom"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It quotes what it can't parse: request lines with patient names, headers with tokens.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)


def _goes_to_journal() -> bool:
    """Whether systemd reads standard error: it then names the stream's inode (systemd.exec)."""
    if named := os.environ.get("JOURNAL_STREAM"):
        stream = os.fstat(2)
        return named == f"{stream.st_dev}:{stream.st_ino}"
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge", description="An encrypted DICOM cache, equal with a cloud archive."
    )
    parser.add_argument("--version", action="version", version=f"edge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--config",
            type=Path,
            default=os.environ.get("EDGE_CONFIG") or None,
            metavar="FILE",
            help=f"configuration (default: $EDGE_CONFIG, then {_DEFAULT})",
        )
        return command

    add("serve", "Run the service until it is told to stop.")

    showing = "Show the main job on this machine, with an embedded stand-in cloud."
    trial = commands.add_parser("demo", help=showing, description=showing)
    trial.add_argument(
        "--offline", action="store_true", help="cut the line, go on working, restore it, compare"
    )
    trial.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="keep the data here (default: throw it away)"
    )

    status = add("status", "Say what is here, and who vouches for it.")
    status.add_argument("--json", action="store_true", help="for programs")

    token = add("token", "Make, list and revoke API tokens.")
    acts = token.add_subparsers(dest="act", required=True, metavar="ACT")
    create = acts.add_parser("create", help="print a new token; it can't be shown again")
    create.add_argument("--role", choices=[str(role) for role in Role], required=True)
    create.add_argument("--name", default="", help="who or what will hold it")
    listing = acts.add_parser("list", help="list tokens, without their secrets")
    listing.add_argument("--json", action="store_true", help="for programs")
    revoke = acts.add_parser("revoke", help="make a token worthless")
    revoke.add_argument("token_id", metavar="ID")
    for act in (create, listing, revoke):
        act.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _demo(options: argparse.Namespace) -> int:
    _leave_out_decoders()
    from edge.demo import demo

    # It tells its own story; and what pynetdicom misses is made good.
    logging.getLogger("edge").setLevel(logging.ERROR)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    return demo(offline=options.offline, folder=options.data_dir)


async def _run(options: argparse.Namespace) -> int:
    loaded = await asyncio.to_thread(_load, options.config)
    if options.command == "serve":
        return await _serve(loaded)
    from edge.admin.local import parts_of_service
    from edge.app import Cache

    async with Cache(loaded) as cache:
        if options.command == "status":
            status = await cache.status(await parts_of_service(cache.folder))
            if options.json:
                print(json.dumps(status.as_json()))
            else:
                _print_status(status)
            return int(status.parts is None)
        return await _token(cache, options)


def _load(named: Path | None) -> config.Config:
    if named is None and _DEFAULT.exists():
        named = _DEFAULT
    return config.load(named)


def _leave_out_decoders() -> None:
    for name in _DECODERS:
        # By the import system's rules there is no module of this name then.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


async def _serve(loaded: config.Config) -> int:
    _leave_out_decoders()
    # Every peer and every open object is a file; the usual soft limit is made for small programs.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    if serving := asyncio.current_task():
        _at_signals(loop, serving.cancel)  # a start may take long: an index may have to be rebuilt
    from edge.app import Appliance

    folder = loaded.appliance.data_dir
    is_new = not await asyncio.to_thread(_holds_box, folder)
    again = True
    while again:
        async with _told_of(Appliance(loaded), folder, is_new=is_new) as box:
            log.info(
                "ready: DICOM as %s on port %d, HTTP on port %d",
                loaded.dimse.ae_title,
                box.dimse_port,
                box.http_port,
            )
            _at_signals(loop, stopping.set)
            # What was made so far stays: looking through it again and again holds up whoever asks.
            gc.collect()
            gc.freeze()
            again = await box.serve_until(stopping)
            is_new = False
            log.info("stopping")
    log.info("stopped")
    return 0


@contextlib.asynccontextmanager
async def _told_of(appliance: Appliance, folder: Path, *, is_new: bool) -> AsyncIterator[Appliance]:
    """An appliance, entered; a new box is named as such even if it can't be started after all."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            box = await stack.enter_async_context(appliance)
        finally:
            if is_new and await asyncio.to_thread(_holds_box, folder):
                log.warning("made a new box in %s; keep a copy of its root key elsewhere", folder)
        yield box


def _at_signals(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def _holds_box(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("keys.db", "index.db"))


async def _token(cache: Cache, options: argparse.Namespace) -> int:
    if options.act == "create":
        name = options.name or f"{options.role} {time.strftime('%Y-%m-%d %H:%M')}"
        try:
            print(await cache.tokens.create(Role(options.role), name))
        except ValueError as error:
            raise ConfigError(f"--name: {error}") from error
    elif options.act == "list":
        tokens = await cache.tokens.list()
        if options.json:
            print(json.dumps([dataclasses.asdict(token) for token in tokens]))
        elif not tokens:
            print("edge: there are no tokens yet", file=sys.stderr)
        else:
            for token in tokens:
                print(f"{token.token_id}  {token.role:<12}  {_moment(token.created)}  {token.name}")
    elif await cache.tokens.revoke(options.token_id):
        print(f"edge: token {options.token_id} is worthless now", file=sys.stderr)
    else:
        print(f"edge: there is no token {options.token_id}", file=sys.stderr)
        return 1
    return 0


def _print_status(status: Status) -> None:
    numbers = status.summary
    print(status.sentence)
    print(f"  studies               {numbers.studies}")
    print(f"  only here             {numbers.studies_only_here}")
    print(f"  instances             {numbers.instances}, of them here {numbers.instances_online}")
    for name, count in sorted(numbers.custody.items()):
        print(f"    {name.lower():<20}{count}")
    print(f"  to be sent            {numbers.backlog_bytes / 1e6:.1f} MB")
    capacity = status.capacity_bytes / 1e6
    print(f"  on disk               {numbers.sealed_bytes / 1e6:.1f} MB of {capacity:.1f} MB")
    print(f"  in conflict           {numbers.quarantined}")
    print(f"  lost                  {numbers.lost}")
    for archive in status.archives:
        state = "online" if archive.online else f"offline: {archive.reason}"
        print(f"  archive {archive.name}: {state} (since {_moment(archive.since)})")
    for part, state in sorted((status.parts or {}).items()):
        if state != "running":
            print(f"  {part}: {state}")


def _moment(posix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(posix))


if __name__ == "__main__":
    sys.exit(main())
