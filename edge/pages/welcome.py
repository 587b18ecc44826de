"""Where one logs in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.pages.page import Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]


async def fill(visit: Visit) -> Mapping[str, Any]:
    """Which ways in there are."""
    return {
        "has_provider": bool(visit.means.config.access.oidc.issuer),
        "is_new": await visit.means.is_new(),
    }


PAGE: Final = Page("/welcome", "welcome", noted("Log in"), None, fill=fill, is_bare=True)
