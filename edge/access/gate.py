"""Who sends a request: the proof in its headers becomes an identity, or nothing does.

The proof is always a token. Viewers that know only Basic send it as the password, with any user.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from edge.access.roles import Identity, Proof, Role
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

    async def authorise(
        self,
        headers: Mapping[str, str],
        address: str = "",
    ) -> Identity:
        """Who sends these request headers.

        Args:
            headers: Of the request.
            address: Where it comes from; empty if that is not known.

        Raises:
            AccessDenied: They prove nothing.
        """
        if not self._required:
            return Identity("anyone", Role.ADMIN, proof=Proof.NONE)
        scheme, _, proof = headers.get("Authorization", "").partition(" ")
        identity = None
        if secret := _secret(scheme.lower(), proof.strip()):
            identity = await self._tokens.verify(secret, address)
        if identity is None:
            raise AccessDenied(
                "the token is not valid" if secret else "a token is required",
                hint='send "Authorization: Bearer TOKEN", or TOKEN as the password of Basic; '
                '"edge token create" makes one, "edge token list" tells which ended',
            )
        return identity


def _secret(scheme: str, proof: str) -> str:
    """The token in a proof (RFC 6750, RFC 7617); empty if there is none."""
    if scheme == "bearer":
        return proof
    if scheme == "basic":
        try:
            _, _, password = base64.b64decode(proof, validate=True).decode().partition(":")
        except ValueError:
            return ""
        return password
    return ""
