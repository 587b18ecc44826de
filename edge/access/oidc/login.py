"""Logging in at the identity provider: how it begins, and how it ends with a session.

Owns the way of a browser there and back (OpenID Connect Core 1.0, 3.1; RFC 7636, RFC 9207, RFC
9700). What must be the same at both ends travels in a sealed cookie of that browser: nothing is
kept here for whoever only begins. Promises that an answer counts in the browser that asked alone,
once, and within minutes; and a session of somebody whom the provider named in this very log-in.
What is wrong with an answer is said in plain words, and never in the provider's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from edge.access.login import Opened
from edge.access.oidc import meaning
from edge.access.oidc.provider import Provider, Tokens
from edge.access.oidc.sealing import Seal
from edge.access.roles import Role
from edge.access.sessions import Proved, Sessions, Visitor
from edge.access.throttle import Throttle
from edge.access.user import State
from edge.config import Access
from edge.errors import AccessDenied, GrantRefused, IssuerError
from edge.index import identities as table
from edge.index.database import Database
from edge.index.identities import IdentityRow

__all__ = ["PENDING_SECONDS", "Begun", "ProviderLogIn", "refresh_bound"]

log = logging.getLogger(__name__)

PENDING_SECONDS = 600
"""So long somebody may take to log in there."""
_PENDING = "pending log-in"
_MOST_COOKIE = 2048
_MOST_CODE = 2048
_USED = 1024
_SAID = {
    # RFC 6749 4.1.2.1, OpenID Connect Core 1.0, 3.1.2.6
    "access_denied": "the identity provider lets you not in here, or you broke it off",
    "login_required": "the identity provider wants you to log in there first",
    "interaction_required": "the identity provider wants something of you first",
    "consent_required": "the identity provider wants you to agree first",
    "invalid_scope": "the identity provider does not know what access.oidc.scopes asks for",
    "unauthorized_client": "this box is not registered at the identity provider as it must be",
    "temporarily_unavailable": "the identity provider is busy",
    "server_error": "the identity provider met an error of its own",
}


class _Pending(msgspec.Struct):
    """A log-in under way, as its browser holds it."""

    state: str
    nonce: str
    verifier: str
    issuer: str
    redirect_uri: str
    began: float
    step_up: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in that has begun."""

    url: str
    """Where the browser goes."""
    cookie: str = field(repr=False)
    """What it brings back."""


class ProviderLogIn:
    """Lets in for whom the provider vouches.

    Args:
        database: The index.
        sessions: Who is in.
        provider: Whom it asks.
        settings: ``[access]``.
        seal: Of what leaves.
        throttle: Slows guessing down.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        provider: Provider,
        settings: Access,
        seal: Seal,
        throttle: Throttle,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._provider = provider
        self._settings = settings
        self._seal = seal
        self._throttle = throttle
        self._clock = clock
        self._used: OrderedDict[str, float] = OrderedDict()

    async def begin(self, redirect_uri: str, *, step_up: bool = False) -> Begun:
        """Send somebody to the provider.

        Args:
            redirect_uri: Where they come back; the caller has looked at it.
            step_up: They are an admin, and must show more there.

        Raises:
            IssuerError: It can't be asked.
        """
        oidc = self._settings.oidc
        pending = _Pending(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            issuer=oidc.issuer,
            redirect_uri=redirect_uri,
            began=self._clock(),
            step_up=step_up,
        )
        digest = hashlib.sha256(pending.verifier.encode()).digest()
        parameters = {
            "redirect_uri": redirect_uri,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        if step_up:
            if oidc.admin_acr:
                parameters["acr_values"] = " ".join(oidc.admin_acr)
            if oidc.admin_max_age_minutes:
                parameters["max_age"] = str(int(oidc.admin_max_age_minutes * 60))
        url = await self._provider.address_of_log_in(parameters)
        return Begun(url, self._seal.as_text(msgspec.json.encode(pending), _PENDING))

    async def end(self, said: Mapping[str, str], cookie: str, visitor: Visitor) -> Opened | Begun:
        """Take the provider's answer; more may have to be shown there.

        Args:
            said: The parameters of the answer, each of which came once.
            cookie: What the browser brings back.
            visitor: Who.

        Raises:
            AccessDenied: It is no answer to what this browser asked, or they may not.
            TooManyAttempts: Not now.
            IssuerError: The provider can't be asked, or believed.
        """
        attempt = self._throttle.of_address(visitor.address)
        try:
            pending = self._take(said, cookie)
            opened = await self._end(said, pending, visitor)
        except GrantRefused:
            raise _refused("the identity provider takes its own answer no longer") from None
        except IssuerError as error:
            attempt.take_back()  # whoever it is guesses at nothing
            log.warning("log-in: %s", error)
            raise
        except AccessDenied as error:
            log.warning("log-in: the provider, from %s: %s", visitor.address or "?", error)
            raise
        attempt.succeeded()
        return opened

    def _take(self, said: Mapping[str, str], cookie: str) -> _Pending:
        """The log-in that an answer belongs to; it is over then."""
        content = self._seal.from_text(cookie, _PENDING) if len(cookie) <= _MOST_COOKIE else None
        pending = None if content is None else msgspec.json.decode(content, type=_Pending)
        now = self._clock()
        if pending is None or not 0 <= now - pending.began < PENDING_SECONDS:
            raise _refused("this browser began no log-in here, or too long ago")
        state = said.get("state", "")
        if not hmac.compare_digest(state.encode(), pending.state.encode()):
            raise _refused("this is the answer to another log-in")
        if pending.issuer != self._settings.oidc.issuer:
            raise _refused("another identity provider counts by now")
        if pending.state in self._used:
            raise _refused("this answer was used already")
        while self._used and now - next(iter(self._used.values())) >= PENDING_SECONDS:
            self._used.popitem(last=False)
        if len(self._used) >= _USED:  # its code works once at the provider, too
            self._used.popitem(last=False)
        self._used[pending.state] = now
        return pending

    async def _end(
        self, said: Mapping[str, str], pending: _Pending, visitor: Visitor
    ) -> Opened | Begun:
        metadata = await self._provider.metadata()
        # RFC 9207 2.4: whose answer it is, before anything of it is looked at.
        if said.get("iss", "" if metadata.says_issuer else pending.issuer) != pending.issuer:
            raise _refused("this answer comes from another identity provider")
        if "error" in said:
            raise _refused(_SAID.get(said["error"], "the identity provider lets you not in"))
        code = said.get("code", "")
        if not 0 < len(code) <= _MOST_CODE:
            raise _refused("the identity provider's answer lacks what is needed")
        began = self._clock()
        tokens = await self._provider.redeem(
            code, pending.verifier, pending.redirect_uri, pending.nonce
        )
        assert tokens.claims is not None
        role = await self._role(tokens)
        if role is Role.ADMIN:
            try:
                meaning.check_admin(self._settings, tokens.claims, began)
            except meaning.NotEnough:
                if pending.step_up or not self._can_step_up():
                    raise
                return await self.begin(pending.redirect_uri, step_up=True)
        row = await self._keep(tokens, role, began)
        secret, session = await self._sessions.open(
            row.name, role, Proved.PROVIDER, visitor, issuer=row.issuer
        )
        log.info("log-in: %s from %s, by %s", row.name, visitor.address or "?", Proved.PROVIDER)
        return Opened(secret, session)

    async def _role(self, tokens: Tokens) -> Role:
        """What they are here; the provider is asked for more if the ID token does not say.

        Raises:
            AccessDenied: Nothing.
        """
        oidc, claims = self._settings.oidc, tokens.claims or {}
        more: Mapping[str, object] = {}
        if not meaning.has_role_claim(oidc, claims):
            more = await self._provider.claims_of(tokens.access_token, str(claims["sub"]))
        role = meaning.role_of(oidc, claims, more)
        if role is None:
            raise AccessDenied(
                "the identity provider knows you, and you have no role on this box",
                hint="ask whoever keeps the box, or your groups: [access.oidc] roles says which"
                " groups have one",
                known=True,
            )
        return role

    async def _keep(self, tokens: Tokens, role: Role, now: float) -> IdentityRow:
        """Keep who they are, and by what the provider is asked again.

        Raises:
            AccessDenied: They are disabled here.
        """
        oidc, claims = self._settings.oidc, tokens.claims or {}
        name, spare, shown = meaning.names_of(oidc, claims)
        subject, refresh = str(claims["sub"]), None
        if tokens.refresh_token:
            refresh = self._seal.close(
                tokens.refresh_token.encode(), *refresh_bound(oidc.issuer, subject)
            )
        row = IdentityRow(oidc.issuer, subject, name, shown, role, State.ACTIVE, now, refresh)
        kept = await self._database.write(lambda db: table.put(db, row, spare))
        if kept.state != State.ACTIVE:
            raise AccessDenied("an admin of this box let you in no more", known=True)
        return kept

    def _can_step_up(self) -> bool:
        oidc = self._settings.oidc
        return bool(oidc.admin_acr or oidc.admin_max_age_minutes)


def refresh_bound(issuer: str, subject: str) -> tuple[str, str, str]:
    """What the refresh token of somebody is sealed for."""
    return "refresh token", issuer, subject


def _refused(why: str) -> AccessDenied:
    return AccessDenied(why, hint="begin again, at /login/oidc", known=True)
