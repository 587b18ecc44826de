"""What claims mean here: a role, a name, and whether an admin showed enough.

Owns the mapping. Promises that who is nothing here gets no role, that nobody is called as a user of
this box can be, or in a way that forges a line of a log, and that an admin showed a second factor
where admins need one. Believes what it is given: `id_token` has checked it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from edge.access.oidc.id_token import number_in
from edge.access.roles import Role
from edge.config import Access
from edge.errors import AccessDenied
from edge.others import Oidc

__all__ = ["PREFIX", "NotEnough", "check_admin", "has_role_claim", "names_of", "role_of"]

PREFIX = "oidc:"
"""Of names of people whom a provider vouches for. No name of a user has a colon."""
_MIGHT = (Role.VIEWER, Role.TECHNOLOGIST, Role.PHYSICIAN, Role.ADMIN)
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9._@-]+")
_MOST_NAME = 48
_MOST_SHOWN = 64
_SKEW_SECONDS = 60.0


class NotEnough(AccessDenied):
    """They are an admin, and did not show enough for that; they may be asked for more."""


def role_of(settings: Oidc, *sources: Mapping[str, Any]) -> Role | None:
    """The mightiest role that claims give; None if they give none.

    Args:
        settings: What means what.
        sources: Claims; the first that have the one which counts, count.
    """
    for claims in sources:
        if (said := _claim(claims, settings.role_claim)) is not None:
            values = said if isinstance(said, list) else [said]
            found = {settings.roles[one] for one in values if _is_known(one, settings)}
            return max((Role(one) for one in found), key=_MIGHT.index, default=None)
    return None


def has_role_claim(settings: Oidc, claims: Mapping[str, Any]) -> bool:
    """Whether they say anything of roles."""
    return _claim(claims, settings.role_claim) is not None


def check_admin(settings: Access, claims: Mapping[str, Any], now: float) -> None:
    """Do nothing if an admin logged in at the provider as admins must.

    Raises:
        NotEnough: They did not.
    """
    oidc = settings.oidc
    if settings.admins_need_second_factor:
        ways = claims.get("amr")
        ways = ways if isinstance(ways, list) else []
        is_strong = claims.get("acr") in oidc.admin_acr if oidc.admin_acr else "mfa" in ways
        if not is_strong:
            raise NotEnough(
                "admins need a second factor, and the identity provider does not say that one"
                " was shown",
                hint="have it ask for one, and say so by acr (access.oidc.admin_acr) or by amr",
                known=True,
            )
    if oidc.admin_max_age_minutes:
        age = now - number_in(claims.get("auth_time"))  # which is none if nothing is said
        if not -_SKEW_SECONDS <= age <= oidc.admin_max_age_minutes * 60.0 + _SKEW_SECONDS:
            raise NotEnough(
                "it is too long ago that this admin logged in at the identity provider",
                hint="log in there again",
                known=True,
            )


def names_of(settings: Oidc, claims: Mapping[str, Any]) -> tuple[str, str, str]:
    """What somebody is called here, what if that is another's, and what people read."""
    subject = str(claims["sub"])
    digest = hashlib.sha256(f"{settings.issuer}\0{subject}".encode()).hexdigest()[:8]
    said = next(
        (one for key in (settings.name_claim, "email") if isinstance(one := claims.get(key), str)),
        "",
    )
    plain = _NOT_OF_A_NAME.sub("-", said.lower()).strip("-")[:_MOST_NAME] or digest
    shown = claims.get("name")
    shown = shown if isinstance(shown, str) else said
    tidy = "".join(char if char.isprintable() else " " for char in shown)
    return (
        f"{PREFIX}{plain}",
        f"{PREFIX}{plain}~{digest}",
        " ".join(tidy.split())[:_MOST_SHOWN],
    )


def _is_known(value: object, settings: Oidc) -> bool:
    return isinstance(value, str) and value in settings.roles


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or else by the way into it; None if there is none."""
    if path in claims:  # names of claims may have dots, as those that are URLs do
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
