"""Somebody who may log in, as they may be shown to admins at any time.

Says what may become of a log-in. How people come to be users is in `edge.access.users`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.access.roles import Role
from edge.access.scope import ANYTHING, Scope
from edge.index.users import UserRow

__all__ = ["State", "User", "user_of"]


class State(StrEnum):
    """What may become of somebody's log-in."""

    INVITED = "invited"
    """They have a code, and no password yet."""
    ACTIVE = "active"
    DISABLED = "disabled"
    """Whatever they prove, it opens nothing."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody, as they may be shown to admins at any time."""

    name: str
    display_name: str
    role: Role
    state: State
    created: float
    """POSIX seconds, as all times here."""
    last_seen: float | None
    """Their last log-in; None if there was none."""
    second_factors: tuple[str, ...]
    """Of ``totp`` and ``passkey``."""
    code_until: float | None
    """Until when a code that they were given holds; None if they have none."""
    scope: Scope = ANYTHING
    """What is left of the role."""


def user_of(row: UserRow) -> User | None:
    """What may be shown of a row; None if its role, state or scope is of another version."""
    try:
        role, state, scope = Role(row.role), State(row.state), Scope.read(row.scope)
    except ValueError:
        return None
    if scope is None:
        return None
    factors = ("totp",) * (row.totp is not None) + ("passkey",) * (row.passkeys > 0)
    return User(
        row.name,
        row.display_name,
        role,
        state,
        row.created,
        row.last_seen or None,
        factors,
        row.code_until,
        scope,
    )
