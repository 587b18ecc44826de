"""What may be said of the identity provider in the configuration.

Promises nothing about the provider itself; it only finds what can't be meant, or would let in more
than is wanted.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from edge.others import Oidc
from edge.peering import Fault

__all__ = ["fault_of_issuer"]

_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 3.3
_MOST_ROLES = 1000
_MOST_RECHECK, _LEAST_RECHECK = 24 * 60.0, 1.0
_MOST_GRACE = 24.0 * 31


def fault_of_issuer(oidc: Oidc) -> Fault | None:
    """The first thing that is wrong; None if it will do."""
    if not oidc.issuer:
        if oidc != Oidc():
            return Fault("issuer", "is needed by what else stands there")
        return None
    url = urlsplit(oidc.issuer)
    if url.query or url.fragment or "#" in oidc.issuer or "?" in oidc.issuer:
        return Fault("issuer", "has a query or a fragment, which no issuer has")
    if "@" in url.netloc:
        return Fault("issuer", "holds a user or a password", "say client_id and client_secret")
    if not oidc.client_id:
        return Fault("client_id", "is needed: what the provider calls this box")
    return _fault_of_client(oidc) or _fault_of_meaning(oidc)


def _fault_of_client(oidc: Oidc) -> Fault | None:
    has_secret, has_key = bool(oidc.client_secret), oidc.client_key != Path()
    needs_secret = oidc.client_auth in ("basic", "body")
    if needs_secret and not has_secret:
        return Fault("client_secret", f'is needed by client_auth = "{oidc.client_auth}"')
    if has_secret and not needs_secret:
        return Fault("client_secret", f'is not used by client_auth = "{oidc.client_auth}"')
    if has_key != (oidc.client_auth == "key"):
        word = "is needed" if oidc.client_auth == "key" else "is not used"
        return Fault("client_key", f'{word} by client_auth = "{oidc.client_auth}"')
    for scope in oidc.scopes:
        if not _SCOPE.fullmatch(scope):
            return Fault("scopes", f'= "{scope}" is none', "each by itself, without spaces")
    return None


def _fault_of_meaning(oidc: Oidc) -> Fault | None:
    if not oidc.roles:
        return Fault(
            "roles",
            "is needed: without it nobody could log in",
            'roles = {"grp-radiology" = "physician"}, for example',
        )
    if len(oidc.roles) > _MOST_ROLES:
        return Fault("roles", f"has more than {_MOST_ROLES} entries")
    for name in ("role_claim", "name_claim"):
        if not getattr(oidc, name):
            return Fault(name, "must name a claim")
    for acr in oidc.admin_acr:
        if not acr or " " in acr:
            return Fault("admin_acr", f'= "{acr}" is none', "each by itself, without spaces")
    return _fault_of_times(oidc)


def _fault_of_times(oidc: Oidc) -> Fault | None:
    if not _LEAST_RECHECK <= oidc.recheck_minutes <= _MOST_RECHECK:
        return Fault("recheck_minutes", f"must be {_LEAST_RECHECK:g} to {_MOST_RECHECK:g}")
    if oidc.grace_hours > _MOST_GRACE:
        return Fault("grace_hours", f"must be {_MOST_GRACE:g} at the most")
    return None
