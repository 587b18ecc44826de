"""How the box is, what comes in, and what is on its way to the cloud."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/", "now", noted("Now"), Act.READ, Group.CARE)
