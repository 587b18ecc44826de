"""The first boot, step by step."""

from __future__ import annotations

from typing import Final

from edge.pages.page import Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/setup", "setup", noted("Set up"), None, is_bare=True)
