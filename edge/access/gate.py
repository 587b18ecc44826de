"""Who sends a request: the proof in its headers becomes an identity, or nothing does.

The proof is a token, name and password, or the cookie of a session. Viewers that know only Basic
send a token as the password, with any user. Where there is ``Authorization``, it alone counts: a
browser adds a cookie by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from edge.access.basic import Basic
from edge.access.roles import Identity, Proof, Role
from edge.access.sessions import UNATTENDED, Session, Sessions, secret_in
from edge.access.throttle import Throttle
from edge.access.tokens import Tokens, looks_like_token
from edge.errors import AccessDenied

__all__ = ["Gate", "People"]


@dataclass(frozen=True, slots=True)
class People:
    """Those who log in, as the gate needs them."""

    basic: Basic
    sessions: Sessions
    throttle: Throttle
    cookie: str
    """What the cookie of a session is called."""


class Gate:
    """Lets in who may come in.

    Args:
        tokens: The tokens of this box.
        required: False lets everybody in as an admin; only configurations of a laboratory may.
        people: Who log in; None: nobody does.
    """

    def __init__(self, tokens: Tokens, *, required: bool, people: People | None = None) -> None:
        self._tokens = tokens
        self._required = required
        self._people = people

    @property
    def is_required(self) -> bool:
        """Whether anything has to be proved."""
        return self._required

    async def authorise(self, headers: Mapping[str, str], address: str = "") -> Identity:
        """Who sends these request headers.

        Args:
            headers: Of the request.
            address: Where it comes from; empty if that is not known.

        Raises:
            AccessDenied: They prove nothing, or not enough.
            TooManyAttempts: Too much that was wrong came from there.
        """
        if not self._required:
            return Identity("anyone", Role.ADMIN, proof=Proof.NONE)
        scheme, _, proof = headers.get("Authorization", "").partition(" ")
        user, secret = _said(scheme.lower(), proof.strip())
        if not secret and not scheme and (session := await self.session(headers)) is not None:
            if session.is_limited:
                raise AccessDenied(
                    f"{session.name} needs a second factor first",
                    hint="enrol one, a passkey or an app that shows codes: at /welcome in a"
                    " browser, or by POST /login/totp/begin",
                    known=True,
                    name=session.name,
                )
            return _from(session.identity, address)
        identity = None
        if secret:
            identity = await self._tokens.verify(secret, address)
        if identity is None and self._people is not None:
            if user and not looks_like_token(secret):
                found = await self._people.basic.identity(user, secret, address)
                identity = None if found is None else _from(found, address)
            elif secret:
                self._people.throttle.wrong_token(address)
        if identity is None:
            raise AccessDenied(
                "the token or password is not valid"
                if secret
                else "a token or a log-in is required",
                hint='send "Authorization: Bearer TOKEN", or TOKEN as the password of Basic; '
                '"edge token create" makes one, "edge token list" tells which ended',
            )
        return identity

    async def session(self, headers: Mapping[str, str]) -> Session | None:
        """The session whose cookie these request headers have, limited or not."""
        if self._people is None or not (secret := secret_in(headers, self._people.cookie)):
            return None
        attended = UNATTENDED not in headers
        return await self._people.sessions.verify(secret, attended=attended)


def _from(person: Identity, address: str) -> Identity:
    """Somebody, if they may come from there.

    Raises:
        AccessDenied: They may not.
    """
    if not person.scope.may_come_from(address):
        raise AccessDenied(
            f"the log-in of {person.name} may not be used from there",
            hint="an admin narrowed it: edge user list",
            known=True,
            name=person.name,
        )
    return person


def _said(scheme: str, proof: str) -> tuple[str, str]:
    """User and secret of a proof (RFC 6750, RFC 7617); both empty if there is none."""
    if scheme == "bearer":
        return "", proof
    if scheme == "basic":
        try:
            user, _, password = base64.b64decode(proof, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password
    return "", ""
