"""The box's own settings, changed at its screen: in the audit first, with what was and what is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge.access.audit.entry import Entry
from edge.access.audit.recorder import Audit
from edge.cache.own_settings import OwnSettings, told
from edge.config import Config
from edge.errors import ConfigError

__all__ = ["change_own"]


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
    own = OwnSettings(file, config.appliance.data_dir, _no_seal)
    done, _ = await own.check(changes, is_remote=False)
    if not done:
        return False
    await audit.record(msgspec.structs.replace(entry, detail=told(done)))
    await own.change(changes, is_remote=False)
    return True


def _no_seal(_: str) -> str:
    raise ConfigError("no secret is said at the screen")
