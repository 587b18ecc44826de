"""Backups of the index and the configuration."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/backup", "backup", noted("Backup"), Act.ADMINISTER, Group.BOX)
