"""What is scheduled, and where that comes from."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/worklist", "worklist", noted("Worklist"), Act.READ, Group.CARE)
