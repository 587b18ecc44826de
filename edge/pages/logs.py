"""What the service says of itself, and the bundle for support."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/logs", "logs", noted("Logs"), Act.ADMINISTER, Group.BOX)
