"""The box's own settings, changed at its screen: in the audit, with what was and what is.

Promises that the audit says what came of it: a change that could not be made is not told as one,
and one that can't be told is undone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edge.access.audit.entry import Entry, Outcome
from edge.access.audit.recorder import Audit
from edge.admin.local import ask_service
from edge.cache.own_settings import OwnSettings, told
from edge.cache.undone_settings import undo_change
from edge.config import Config
from edge.errors import ConfigError, EdgeError

__all__ = ["begin_anew", "change_own"]


async def change_own(
    audit: Audit, config: Config, file: Path | None, changes: Mapping[str, Any], entry: Entry
) -> bool:
    """Write them; they hold once the service begins anew. Whether anything was changed.

    Args:
        audit: Hears of it.
        config: Of the box.
        file: Of the machine; None if there is none.
        changes: Names of settings -> what they shall be, no secrets; None: as by default.
        entry: Who does it.

    Raises:
        ConfigError: It could not be so; nothing was changed.
        StorageFull: It, or the audit's entry, can't be written; nothing was changed.
    """
    folder = config.appliance.data_dir
    own = OwnSettings(file, folder, _no_seal)
    done, _ = await own.check(changes, is_remote=False)
    if not done:
        return False
    entry, before = replace(entry, detail=told(done)), await own.written()
    try:
        await own.change(changes, is_remote=False)
    except (EdgeError, OSError) as error:
        failed = replace(entry, outcome=Outcome.FAILED, reason=str(error))
        with contextlib.suppress(EdgeError, OSError):  # the error itself is the news
            await audit.record(failed)
        raise
    after = await own.written()
    try:
        await audit.record(entry)
    except (EdgeError, OSError):
        with contextlib.suppress(EdgeError, OSError):  # or somebody else changed it since
            await asyncio.to_thread(undo_change, folder, before, after)
        raise
    return True


async def begin_anew(folder: Path, seconds: float) -> None:
    """Have the service take up settings that are written.

    Args:
        folder: ``data_dir``.
        seconds: That it has to answer.

    Raises:
        EdgeError: It does not now.
    """
    try:
        said, why = await ask_service(folder, "settings", seconds=seconds), ""
    except EdgeError as error:
        said, why = None, str(error)
    if said is None:
        raise EdgeError(
            "that is written, and holds from the next start of the service:"
            f" {why or 'it is not running'}",
            hint="choose the same again in a moment; or restart the box by r",
        )


def _no_seal(_: str) -> str:
    raise ConfigError("no secret is said at the screen")
