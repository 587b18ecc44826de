"""All studies: found as one types."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/studies", "studies", noted("Studies"), Act.READ, Group.CARE)
