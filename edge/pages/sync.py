"""What waits for the cloud, what it refuses, and what a person decides about it."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/sync", "sync", noted("Sync"), Act.DECIDE, Group.LINE)
