"""Breaking the glass: whoever was narrowed, and has to see what they may not.

For everybody: who was narrowed the most sees no other page. It shows nothing but a form to who is
not logged in, and the API says who may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.pages.page import Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]


async def fill(visit: Visit) -> Mapping[str, Any]:
    """Whether there is anything to open, and for how long."""
    return {
        "is_in": visit.session is not None,
        "is_open": visit.session is not None and bool(visit.session.emergency),
        "is_possible": visit.may_break_glass,
        "minutes": round(visit.means.config.access.emergency.minutes),
    }


PAGE: Final = Page("/emergency", "emergency", noted("Emergency access"), None, fill=fill)
