"""The command line: parse, and hand over to a command.

Exit status: 0 it was done; 1 it was not, and the message says why; 2 the command itself is wrong.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

try:
    import argparse
    import asyncio
    import atexit
    import gc
    import inspect
    import logging
    import os

    from edge import __version__
    from edge.commands import (
        audit,
        backup,
        check,
        cloud,
        commit,
        config,
        conformance,
        console,
        courier,
        demo,
        key,
        log,
        machine,
        mpps,
        peer,
        pin,
        provision,
        reset,
        restore,
        secret,
        selftest,
        serve,
        status,
        support,
        sync,
        tls,
        token,
        trash,
        update,
        user,
        worklist,
    )
    from edge.commands.parsing import Commands
    from edge.commands.words import HarmlessFormatter, say
    from edge.errors import ConfigError, EdgeError, KeyLocked, ManyWrong
    from edge.logs import Recent
except KeyboardInterrupt:  # even these take a moment on a small box
    sys.exit(130)

__all__ = ["main"]

_COMMANDS = (
    serve,
    demo,
    status,
    sync,
    peer,
    pin,
    mpps,
    trash,
    commit,
    worklist,
    courier,
    user,
    token,
    tls,
    cloud,
    config,
    secret,
    key,
    audit,
    check,
    log,
    machine,
    provision,
    backup,
    restore,
    support,
    console,
    reset,
    update,
    selftest,
    conformance,
)


_DECODERS = ("gdcm", "numpy", "PIL")
"""What only pixel workers need, which start otherwise; pydicom would load all that it finds: 30 MB
of a service, a quarter of the time of a short command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    # A process that ends need not look for garbage first, as the interpreter would, among all that
    # was loaded: a sixth of the time of a short command.
    atexit.register(gc.disable)
    _leave_out_decoders()
    options = _commands().parse(arguments)
    _log_to_stderr()
    try:
        done = options.run(options)
        # Ctrl-C finds a loop that knows what to do with it.
        status = asyncio.run(done) if inspect.iscoroutine(done) else done
        sys.stdout.flush()  # here, where an error still finds somebody to say so
        return int(status)
    except EdgeError as error:
        lines = error.lines if isinstance(error, ManyWrong) else (_told(error),)
        say(f"edge: {lines[0]}", *lines[1:], file=sys.stderr)
        if error.hint:
            say(f"      {error.hint}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:
        # Who read the output has seen enough; the interpreter would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say(f"edge: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 0  # told to stop before it was ready
    except KeyboardInterrupt:
        return 130


def _told(error: EdgeError) -> str:
    """What it says; that the box is locked is in each that says why."""
    said, words = str(error), "the box is locked: "
    is_alone = isinstance(error, KeyLocked) and not said.startswith("the box ")
    return words + said if is_alone else said


def _leave_out_decoders() -> None:
    """Have nothing in this process load them."""
    for name in _DECODERS:
        # By the import system's rules there is no module of this name then.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _log_to_stderr() -> None:
    moment = "" if _goes_to_journal() else "%(asctime)s "  # the journal has its own
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        HarmlessFormatter(f"{moment}%(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler, Recent()])
    for library in ("httpx", "pynetdicom"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # They quote what they can't parse: request lines with patient names, headers with tokens; and
    # values that are none of their VR, of which each is written to standard error besides, and
    # remembered for good.
    for library in ("aiohttp.server", "pydicom"):
        logging.getLogger(library).addFilter(lambda _: False)  # pydicom sets its level by itself
    warnings.filterwarnings("ignore", module=r"pydicom\.")


def _goes_to_journal() -> bool:
    """Whether systemd reads standard error: it then names the stream's inode (systemd.exec)."""
    if named := os.environ.get("JOURNAL_STREAM"):
        stream = os.fstat(2)
        return named == f"{stream.st_dev}:{stream.st_ino}"
    return False


def _commands() -> Commands:
    parser = argparse.ArgumentParser(
        prog="edge", description="An encrypted DICOM cache, equal with a cloud archive."
    )
    parser.add_argument("--version", action="version", version=f"edge {__version__}")
    commands = Commands(parser)
    for command in _COMMANDS:
        command.add(commands)
    return commands


if __name__ == "__main__":
    sys.exit(main())
