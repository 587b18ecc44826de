"""What somebody logs in with, and where they are logged in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.access.roles import Act, Proof, Role
from edge.pages.page import Page, Visit
from edge.pages.words import Words, noted

__all__ = ["PAGE", "role_of"]

_ROLES: Final = {
    Role.VIEWER: noted("viewer"),
    Role.TECHNOLOGIST: noted("technologist"),
    Role.PHYSICIAN: noted("physician"),
    Role.ADMIN: noted("administrator"),
    Role.SERVICE: noted("program"),
}


def role_of(role: Role, words: Words) -> str:
    """What a role is called."""
    return words.gettext(_ROLES[role])


async def fill(visit: Visit) -> Mapping[str, Any]:
    """Who they are."""
    identity = visit.identity
    has_session = identity is not None and identity.proof is Proof.SESSION
    proofs = await visit.means.second_factors(identity.name) if identity and has_session else ()
    return {
        "has_app": "totp" in proofs,
        "has_second": bool(proofs),
        "has_session": has_session,
        "role": "" if identity is None else role_of(identity.role, visit.words),
    }


PAGE: Final = Page("/account", "account", noted("Your log-in"), Act.READ, fill=fill)
