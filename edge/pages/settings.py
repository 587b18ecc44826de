"""How the box works: every setting, changed in place, with what follows from it.

Its script has the words of each; what may be, and what is, comes by the API.
"""

from __future__ import annotations

from typing import Final

from edge.access.roles import Act
from edge.pages.page import Group, Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/settings", "settings", noted("Settings"), Act.ADMINISTER, Group.BOX)
