"""One study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.access.roles import Act
from edge.pages.page import Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]


async def fill(visit: Visit) -> Mapping[str, Any]:
    """For how long it may be shared by a link."""
    return {"link_days": visit.means.config.access.link_days}


PAGE: Final = Page("/studies/{study_uid}", "study", noted("Study"), Act.READ, fill=fill)
