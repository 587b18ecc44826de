"""All studies: found as one types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.access.roles import Act
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["PAGE"]

_MODALITIES: Final = (
    "CT MR US CR DX MG XA RF NM PT OT ES XC GM SM OP OCT IO PX BMD ECG SR DOC KO PR SEG RTSTRUCT"
    " RTPLAN RTDOSE"
).split()
"""That a list can be narrowed to (PS3.3 C.7.3.1.1.1), the usual ones first."""


async def fill(_: Visit) -> Mapping[str, Any]:
    """What can be chosen."""
    return {"modalities": _MODALITIES}


PAGE: Final = Page("/studies", "studies", noted("Studies"), Act.READ, Group.CARE, fill)
