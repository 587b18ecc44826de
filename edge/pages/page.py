"""What a page is, and what it is made with: the one type of the table that everything reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

from edge.access.roles import Act, Identity, Role
from edge.access.sessions import Session
from edge.cache.live import Live
from edge.config import Config
from edge.pages.words import Words

__all__ = ["Fill", "Group", "Means", "Page", "Theme", "Visit", "nothing"]


class Group(StrEnum):
    """Where a page stands in the navigation."""

    CARE = "care"
    """What is looked at all day."""
    LINE = "line"
    """The ways to others."""
    BOX = "box"
    """The box itself."""
    FOOT = "foot"
    """At its end."""
    NONE = ""
    """Nowhere: other pages lead there."""


class Theme(StrEnum):
    """What somebody chose."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Means:
    """What pages may ask while they are made. Whatever shows a patient comes by the API instead."""

    config: Config
    live: Live
    """The state, read for everybody once."""
    temperature: Callable[[], float | None]
    """Of the machine; blocks."""
    is_new: Callable[[], Awaitable[bool]]
    """Whether nobody can log in yet: the first admin has still to be made."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody looks at a page."""

    request: web.Request
    means: Means
    words: Words
    theme: Theme
    identity: Identity | None
    """None: nobody is logged in, which few pages are for."""
    display_name: str = ""
    session: Session | None = None
    """By which they are logged in; None if it is by something else, or not at all."""

    @property
    def may_break_glass(self) -> bool:
        """Whether something is kept from them that they may open in an emergency."""
        roles = map(Role, self.means.config.access.emergency.roles)
        session = self.session
        return session is not None and session.scope.hinders_reading and session.role in set(roles)

    def may(self, act: Act) -> bool:
        """Whether they may do that."""
        return self.identity is not None and self.identity.may(act)


Fill = Callable[[Visit], Awaitable[Mapping[str, Any]]]
"""Makes what a template says of the moment. No name of a patient is in it, and no UID."""


async def nothing(_: Visit) -> Mapping[str, Any]:
    """Of a page whose script asks for everything."""
    return {}


@dataclass(frozen=True, slots=True)
class Page:
    """One of the table."""

    path: str
    """As aiohttp writes routes: ``/studies/{study_uid}``."""
    name: str
    """Of its template ``NAME.html``, its script ``js/NAME.js``, its icon and its catalogue."""
    title: str
    """In English; the catalogue has the others."""
    act: Act | None
    """That who sees it may do; None: it is for everybody, logged in or not."""
    group: Group = Group.NONE
    fill: Fill = nothing
    is_bare: bool = False
    """Without navigation and state."""
