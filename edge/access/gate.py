"""Who sends a request: the proof in its headers becomes an identity, or nothing does."""

from __future__ import annotations

from collections.abc import Mapping

from edge.access.roles import Identity, Role
from edge.access.tokens import Tokens
from edge.errors import AccessDenied

__all__ = ["Gate"]


class Gate:
    """Lets in who may come in.

    Args:
        tokens: The tokens of this box.
        required: False lets everybody in as an admin; only configurations of a laboratory may.
    """

    def __init__(self, tokens: Tokens, *, required: bool) -> None:
        self._tokens = tokens
        self._required = required

    async def authorise(self, headers: Mapping[str, str]) -> Identity:
        """Who sends these request headers.

        Raises:
            AccessDenied: They prove nothing.
        """
        if not self._required:
            return Identity("anyone", Role.ADMIN)
        scheme, _, secret = headers.get("Authorization", "").partition(" ")
        if not secret:
            raise AccessDenied(
                "a token is required",
                hint='send "Authorization: Bearer TOKEN"; "edge token create" makes one',
            )
        identity = None
        if scheme.lower() == "bearer":
            identity = await self._tokens.verify(secret.strip())
        if identity is None:
            raise AccessDenied("the token is not valid, or was revoked")
        return identity
