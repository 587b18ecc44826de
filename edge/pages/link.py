"""Where somebody comes by a link to a study, who has no log-in."""

from __future__ import annotations

from typing import Final

from edge.pages.page import Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/link", "link", noted("Shared images"), None, is_bare=True)
