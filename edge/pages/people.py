"""Who may log in."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/people", "people", noted("People"), Act.ADMINISTER, Group.BOX)
