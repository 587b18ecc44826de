"""Builds the part of the service that has to do with updates, and starts it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.access.audit.entry import BOX, Actor, Entry, Event, Kind, Outcome
from edge.access.audit.recorder import Audit
from edge.admin.local import Act
from edge.cache.status import Parts
from edge.config import Config
from edge.crypto.secrets import open_secrets
from edge.dimse.server import DimseServer
from edge.errors import ConfigError
from edge.index.connection import SCHEMA_VERSION
from edge.index.database import Database
from edge.index.former import KEPT_SECONDS
from edge.index.remote import archive_states
from edge.index.taking_back import tidy
from edge.machine.power import IntakeStop
from edge.supervision import Supervisor
from edge.sync.line import Line
from edge.updates import history
from edge.updates.history import Deed
from edge.updates.journal import Folder
from edge.updates.means import Means
from edge.updates.standing import Standing
from edge.updates.updater import Updater

__all__ = ["UpdateMeans", "start_updates"]

log = logging.getLogger(__name__)

_FAILED: Final = frozenset(
    {Deed.UNUSABLE, Deed.REFUSED, Deed.NOT_WRITTEN, Deed.BAD, Deed.WENT_BACK, Deed.INDEX_BACK}
)


@dataclass(frozen=True, slots=True)
class UpdateMeans:
    """What it is built of."""

    line: Line
    """Says when and how fast it may be used."""
    dimse: DimseServer
    """Lets devices associate, or not."""
    is_quiet: Callable[[], bool]
    """Whether nothing comes in, by whichever door, and nothing goes out that takes long."""
    intake: IntakeStop
    """Has none come in."""
    database: Database
    audit: Audit
    parts: Callable[[], Parts]
    """How every part of the service is."""
    beat: Callable[[], Awaitable[None]]
    """Commits something to the index."""
    secret: bytes
    """Opens the secrets of the configuration."""


async def start_updates(
    parts: Supervisor, means: UpdateMeans, config: Config
) -> tuple[Updater, dict[str, Act]]:
    """Start it; and what a command on this machine may ask of it.

    Args:
        parts: Owns it.
        means: What it is built of.
        config: How it works.
    """
    opened = partial(open_secrets, key=means.secret, where="update")
    try:
        await asyncio.to_thread(opened, config.update)
    except ConfigError as error:  # whoever looks for updates is told; all else goes on
        log.warning("no server of updates can be asked: %s (%s)", error, error.hint)
    folder = Folder(config.appliance.data_dir)
    if means.database.taken_back_from:
        await asyncio.to_thread(_note_index, folder, means.database)

    async def reached() -> tuple[str, ...]:
        named = {archive.name for archive in config.cloud.archive}
        states = await archive_states(means.database)
        return tuple(one.name for one in states if one.online and one.name in named)

    def ailing() -> tuple[str, ...]:
        return tuple(sorted(name for name, state in means.parts().items() if state != "running"))

    async def prove(_: Mapping[str, Any]) -> Mapping[str, Any]:
        await means.beat()
        return {"reached": await reached(), "ailing": ailing()}

    def turn_away(why: str) -> None:
        means.dimse.turn_away(why)
        means.intake.restart = why  # who has an association, or comes by another door

    updater = Updater(
        config.update,
        folder,
        Means(
            opened=opened,
            wait_open=means.line.wait_open,
            incoming=means.line.incoming,
            way=means.line.way("updates"),
            is_quiet=means.is_quiet,
            turn_away=turn_away,
            reached=reached,
            ailing=ailing,
            note=lambda entry: means.audit.put(_told(entry)),
            tidy=partial(_tidy, config.appliance.data_dir / "index.db"),
        ),
        reserve=config.cache.reserve_bytes,
    )
    parts.start("updates", updater.run)
    return updater, {"update": _act_of(updater), "prove": prove}


def _note_index(folder: Folder, database: Database) -> None:
    """Have it in the history that the index of before is back, if the disk takes that."""
    schema = f"schema {database.taken_back_from}"
    try:
        folder.note(Deed.INDEX_BACK, schema, why=database.not_taken_over)
    except OSError as error:
        log.error("that the index of before was taken back can't be kept: %s", error)


def _tidy(index: Path) -> None:
    now = time.time()
    tidy(index, SCHEMA_VERSION, now - KEPT_SECONDS, now)


def _act_of(updater: Updater) -> Act:
    """What ``edge update`` asks for, see `edge.admin.local`."""

    async def ask(wish: Mapping[str, Any]) -> Mapping[str, Any]:
        by, version = str(wish.get("by", "")), str(wish.get("version", ""))
        again = wish.get("again") is True
        match wish.get("do"):
            case "look":
                return _plain(await updater.look())
            case "download":
                return _plain(await updater.download(version, again=again, by=by))
            case "install":
                return _plain(await updater.install(version, again=again, by=by))
            case "cancel":
                return _plain(await updater.cancel(by=by))
            case "wake":
                await updater.wake()
            case "restart":
                return {"restart": await updater.may_restart()}
        return _plain(await updater.standing())

    return ask


def _plain(standing: Standing) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(standing)
    return found


def _told(entry: history.Entry) -> Entry:
    """An entry of the audit."""
    grave = entry.deed in _FAILED
    actor = Actor(entry.by, Kind.PERSON) if entry.by and entry.by != "edge" else BOX
    return Entry(
        at=entry.at,
        event=Event.SOFTWARE,
        actor=actor,
        outcome=Outcome.FAILED if grave else Outcome.SUCCESS,
        what=f"update {entry.deed}",
        target=entry.version,
        reason=entry.why,
        detail={"before": entry.before} if entry.before else {},
    )
