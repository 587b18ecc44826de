"""DICOM devices: who may come in, and who is reached."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/peers", "peers", noted("Devices"), Act.ADMINISTER, Group.LINE)
