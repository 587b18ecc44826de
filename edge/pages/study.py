"""One study."""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/studies/{study_uid}", "study", noted("Study"), Act.READ)
