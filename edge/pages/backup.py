"""Backups, and the recovery key that opens them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from edge.access.roles import Act
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]

_OLD: Final = 7 * 86400.0
"""Seconds after which a backup is said to be old."""


async def fill(visit: Visit) -> Mapping[str, Any]:
    """Which backups there are, the newest first."""
    backups = (await visit.means.live.status()).backups
    now, words = time.time(), visit.words
    return {
        "has_archive": bool(visit.means.config.cloud.archive),
        "made": [
            {
                "place": _place(last.where, visit),
                "when": words.moment(last.made, now),
                "age": words.duration(now - last.made),
                "is_old": now - last.made > _OLD,
            }
            for last in backups.last
        ],
    }


def _place(where: str, visit: Visit) -> str:
    """Where it is: an archive, or a file."""
    kind, _, name = where.partition(" ")
    if kind == "archive":
        return visit.words.gettext("in the archive %(name)s", name=name)
    return visit.words.gettext("in the file %(name)s", name=name)


PAGE: Final = Page("/backup", "backup", noted("Backup"), Act.ADMINISTER, Group.BOX, fill=fill)
