"""Who may do what: the roles, the acts, and the one table between them.

Owns the meaning of every role. Knows nothing of passwords and tokens; whoever proves an identity
hands out an `Identity`, and every door asks that one before it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from edge.access.acts import Act, Service
from edge.access.scope import ANYTHING, Scope
from edge.errors import AccessDenied

__all__ = ["Act", "Identity", "Proof", "Role", "act_of", "narrows", "narrows_itself", "needs"]

_MARK = "_act"
_NARROWS = "_narrows"


class Role(StrEnum):
    """What someone is to the clinic; `may` says what follows from it."""

    VIEWER = "viewer"
    """Looks at images."""
    TECHNOLOGIST = "technologist"
    """Runs a modality."""
    PHYSICIAN = "physician"
    """Reads images, and stores what reading makes: reports, segmentations, key images."""
    ADMIN = "admin"
    """Keeps the box running."""
    SERVICE = "service"
    """A program: a modality's gateway, a script, another edge."""

    def may(self, act: Act) -> bool:
        """Whether this role is allowed the act."""
        return act in _ALLOWED[self]

    def leaves_something(self, scope: Scope) -> bool:
        """Whether anything may be done with this role if it is narrowed so."""
        return any(self.may(act) and scope.allows(act) for act in Act)


_ALLOWED = {
    Role.VIEWER: frozenset({Act.READ}),
    Role.TECHNOLOGIST: frozenset({Act.READ, Act.STORE, Act.DECIDE}),
    Role.PHYSICIAN: frozenset({Act.READ, Act.STORE, Act.DECIDE}),
    Role.ADMIN: frozenset(Act),
    Role.SERVICE: frozenset({Act.READ, Act.STORE}),
}


class Proof(StrEnum):
    """By what somebody proved who they are."""

    NONE = "none"
    """Nothing was asked for: a laboratory, or this machine itself."""
    TOKEN = "token"  # noqa: S105 - the name of a proof
    """An API token."""
    PASSWORD = "password"  # noqa: S105 - as above
    """Name and password, sent with the request."""
    SESSION = "session"
    """The cookie of somebody who logged in. Browsers send it by themselves."""
    CERTIFICATE = "certificate"
    """What was shown over TLS."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Someone, or a program, whose proof was accepted."""

    name: str
    """As it stands in logs and in the audit; printable, at most 64 characters."""
    role: Role
    token_id: str = ""
    """The token that proved it; empty if it was something else."""
    proof: Proof = Proof.TOKEN
    scope: Scope = ANYTHING
    """What is left of the role."""
    expires: float | None = None
    """When the proof ends by itself, in POSIX seconds; None if it does not."""
    session_id: str = ""
    """Of the session that proved it; empty if it was something else."""
    emergency: str = ""
    """The emergency access that is open for it (`edge.access.emergency`); empty if none is."""

    def scope_for(self, act: Act) -> Scope:
        """What is left of the role where that act is concerned.

        In an emergency, reading is not narrowed. Roles, and all other acts, are as they were.
        """
        return ANYTHING if self.emergency and act is Act.READ else self.scope

    @property
    def sender(self) -> str:
        """Who sends what it stores."""
        return self.scope.ae_title or self.name

    def may(self, act: Act) -> bool:
        """Whether it is allowed the act."""
        return self.role.may(act) and self.scope_for(act).allows(act)

    def enter(self, service: Service | None, act: Act = Act.ADMINISTER) -> None:
        """Do nothing if this identity may use the service for that act.

        Raises:
            AccessDenied: It was narrowed to others (``known`` is true, as below).
        """
        if not self.scope_for(act).is_for(service):
            services = ", ".join(sorted(self.scope.services))
            raise AccessDenied(
                f"the {self._narrowed} of {self.name} is for {services} only",
                hint=self._hint("is for this service, too"),
                known=True,
            )

    def require(self, act: Act) -> None:
        """Do nothing if this identity may do the act.

        Raises:
            AccessDenied: It may not (``known`` is true: another login would not be asked for).
        """
        if self.role.may(act) and not self.scope_for(act).allows(act):
            raise AccessDenied(
                f"the {self._narrowed} of {self.name} may not {act}",
                hint=self._hint(f"may {act}"),
                known=True,
            )
        if not self.role.may(act):
            raise AccessDenied(
                f"{self.name} is {self.role} and may not {act}",
                hint=f"use a token of a role that may {act}"
                if self._narrowed == "token"
                else "an admin gives another role: edge user role NAME ROLE",
                known=True,
            )

    @property
    def _narrowed(self) -> str:
        """What was narrowed."""
        return "log-in" if self.proof in (Proof.PASSWORD, Proof.SESSION) else "token"

    def _hint(self, what: str) -> str:
        if self._narrowed == "token":
            return f"use a token that {what}"
        return "an admin narrowed it: edge user list; in an emergency, open the page /emergency"


H = TypeVar("H", bound=Callable[..., object])


def needs(act: Act) -> Callable[[H], H]:
    """Say of a handler which act it is, where its HTTP method alone would mean another."""

    def mark(handler: H) -> H:
        setattr(handler, _MARK, act)
        return handler

    return mark


def act_of(handler: object) -> Act | None:
    """What a handler said of itself."""
    act: Act | None = getattr(handler, _MARK, None)
    return act


def narrows(handler: H) -> H:
    """Say of a handler that it shows nobody more than they may see.

    It shows no study at all, or looks itself at whose studies somebody may see. Whoever was
    narrowed to some studies gets to no other one that names none.
    """
    setattr(handler, _NARROWS, True)
    return handler


def narrows_itself(handler: object) -> bool:
    """Whether it said so."""
    return getattr(handler, _NARROWS, False) is True
