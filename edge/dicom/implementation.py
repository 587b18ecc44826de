"""What this software calls itself in file meta and associations (PS3.7 D.3.3.2)."""

from __future__ import annotations

from typing import Final

__all__ = ["IMPLEMENTATION_CLASS_UID", "IMPLEMENTATION_VERSION_NAME"]

IMPLEMENTATION_CLASS_UID: Final = "2.25.290817732199903215431429190680893077693"
"""A UUID-derived UID (PS3.5 B.2), never to change."""
IMPLEMENTATION_VERSION_NAME: Final = "EDGE_CACHE_1"
