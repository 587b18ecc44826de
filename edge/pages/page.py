"""What a page is, and what it is made with: the one type of the table that everything reads."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    second_factors: Callable[[str], Awaitable[Sequence[str]]]
    """What a user of the box proves beside the password, by their name."""
    names: Callable[[], Sequence[str]]
    """By which the box may be called, addresses among them."""
    authority: Callable[[], bytes]
    """The certificate of the box's own authority, in PEM; empty if it shows no own one."""


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

    @property
    def seen_from(self) -> tuple[str, ...]:
        """Whose studies alone they see now, by who sent them; empty: all studies."""
        if self.identity is None:
            return ()
        return tuple(sorted(self.identity.scope_for(Act.READ).studies_from))

    @property
    def names_instead(self) -> tuple[tuple[str, str], ...]:
        """Of a visit by an address: names of the box, and its address by each.

        No browser makes a passkey for an address; without TLS, only for ``localhost``.
        """
        url = self.request.url
        if not (url.host and _is_address(url.host)):
            return ()
        is_here = ipaddress.ip_address(url.host).is_loopback
        return tuple(
            (name, str(url.origin().with_host(name)))
            for name in self.means.names()
            if not _is_address(name)
            and not name.startswith("*")
            and (is_here if name == "localhost" else url.scheme == "https")
        )

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


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
