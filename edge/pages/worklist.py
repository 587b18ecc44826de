"""Who is expected for which examination, and how far those are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from edge.access.roles import Act
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]


async def fill(visit: Visit) -> Mapping[str, Any]:
    """The day that is shown first, and who looks: each takes back what they announced."""
    return {
        "today": datetime.now().astimezone().date().isoformat(),
        "own_name": "" if visit.identity is None else visit.identity.name,
    }


PAGE: Final = Page("/worklist", "worklist", noted("Worklist"), Act.READ, Group.CARE, fill=fill)
