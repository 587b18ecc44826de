"""The first boot, step by step: from the code on the console to an image that was in the cloud.

Who comes with the code is nobody yet, and becomes the first admin by it: nothing of the box is told
or changed before that, so this is the first step and not the sixth. Each later step reads from the
API whether it is done, so whoever comes back goes on where something is missing.
"""

from __future__ import annotations

from typing import Final

from edge.pages.page import Page
from edge.pages.words import noted

__all__ = ["PAGE"]

PAGE: Final = Page("/setup", "setup", noted("Set up"), None, is_bare=True)
