"""What a request is an act of, before it is known how it ends; each door reads its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from edge.access.audit.entry import Event

__all__ = ["SAID", "Claim"]

SAID: Final = web.RequestKey("said", bytes)
"""The body of a request, left by the door that read it, for the record to tell what was changed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One act that is about to happen."""

    event: Event
    what: str
    """In words, or the resource; no patient data."""
    study_uid: str = ""
    sop_uid: str = ""
    query: str = ""
    """What is searched for."""
    target: str = ""
    detail: Mapping[str, str] | None = None
    is_durable: bool = False
    """The entry is on the disk before the answer; if it can't be, the act is refused."""
    begins: Event | None = None
    """What is said before: of what takes long, or can't be undone."""
    is_followed: bool = False
    """It goes on until whoever asked leaves, which is no failure."""
