"""Has in the audit what a command on this machine did or showed, and who ran it.

A command that changes something, or shows patient data, opens the box by ``witnessed``, which has
an entry on the disk before the command says that it is done. Who may run commands with the keys of
the box may do anything here: that is not asked, but told.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.access.audit.entry import Actor, Entry, Event, Kind, Outcome, Subject
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.config import Config
    from edge.opening import Cache

__all__ = ["entry_of", "tell_alone", "who", "witnessed"]

_UNTOLD: Final = frozenset(
    {"command", "act", "run", "config", "json", "limit", "offset", "study", "key_file"}
)
"""Options that say nothing of what is done, or stand elsewhere in the entry."""
_SEVERAL: Final = 10
"""Values of an option that are told; of more, their number."""


@contextlib.asynccontextmanager
async def witnessed(
    options: argparse.Namespace, loaded: Config, event: Event = Event.COMMAND
) -> AsyncIterator[tuple[Cache, dict[str, str]]]:
    """The box, opened; and where what is to be told beside the options can be put.

    Args:
        options: Of the command.
        loaded: The configuration.
        event: What the command is an act of. ``DELETED`` is announced before the block.

    Raises:
        StorageFull: It can't be written; of a command that only shows something, before it does.
    """
    from edge.opening import Cache

    said: dict[str, str] = {}
    async with Cache(loaded) as cache:
        if event is Event.DELETED:
            await cache.audit.record(entry_of(options, Event.DELETING))
        try:
            yield cache, said
        except EdgeError as error:
            entry = entry_of(options, event, said, outcome=Outcome.REFUSED, reason=str(error))
            with contextlib.suppress(EdgeError, OSError):  # the command's own error is the news
                await cache.audit.record(entry)
            raise
        await cache.audit.record(entry_of(options, event, said))


def tell_alone(loaded: Config, entry: Entry) -> None:
    """Have an entry in the record of a place that need not be a box: it has keys alone. Blocks.

    Raises:
        StorageFull: It can't be written.
    """
    from edge.access.audit.folder import AuditFolder
    from edge.crypto.sealed import Algorithm
    from edge.opening import ring

    with ring(loaded) as keys:
        path = loaded.appliance.data_dir / "audit"
        folder = AuditFolder(path, keys.derive("audit"), Algorithm.AES_256_GCM)
        folder.append([entry.to_bytes()])


def entry_of(
    options: argparse.Namespace,
    event: Event,
    said: dict[str, str] | None = None,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    reason: str = "",
) -> Entry:
    """The entry of a command: how it was called, by whom."""
    words = ("edge", options.command, getattr(options, "act", None))
    detail = dict(_told(options)) | (said or {})
    study = getattr(options, "study", None)
    return Entry(
        at=time.time(),
        event=event,
        actor=who(),
        outcome=outcome,
        what=" ".join(word for word in words if word),
        about=Subject(study if isinstance(study, str) else ""),
        query=detail.pop("query", ""),
        target=detail.pop("target", ""),
        reason=reason or detail.pop("reason", ""),
        detail=detail,
    )


def who() -> Actor:
    """Who runs this: the user of the operating system, and who became that by sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = f"uid {number}"
    before = os.environ.get("SUDO_USER", "")
    if before and before != name and before.isprintable():
        name = f"{before[:32]} as {name}"
    address = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return Actor(name, Kind.MACHINE, proof="operating system", address=address[:64])


def _told(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for name, value in vars(options).items():
        if name in _UNTOLD or value in (None, "", False, [], ()):
            continue
        if isinstance(value, str | int | float | Path):
            yield name, str(value)
        elif isinstance(value, Sequence):
            yield name, ", ".join(map(str, value)) if len(value) <= _SEVERAL else f"{len(value)}"
