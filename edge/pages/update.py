"""Newer versions of the whole machine: what can be had, what is wanted, what was done."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/update", "update", noted("Update"), Act.ADMINISTER, Group.BOX)
