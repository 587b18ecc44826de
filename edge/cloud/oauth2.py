"""Tokens for client credentials (RFC 6749 4.4): Microsoft Entra, Keycloak, Amazon Cognito, others.

Owns what is sent to the endpoint. Promises that the secret goes to ``token_url`` only.
"""

from __future__ import annotations

import base64
from urllib.parse import quote_plus

from edge import others
from edge.cloud.token_endpoint import Token, TokenEndpoint

__all__ = ["ClientCredentials"]


class ClientCredentials:
    """Asks for a token as a registered client.

    Args:
        settings: The client, and what the token is for.
        endpoint: Where it is asked for.
    """

    def __init__(self, settings: others.Auth, endpoint: TokenEndpoint) -> None:
        self._settings = settings
        self._endpoint = endpoint

    async def __call__(self) -> Token:
        """A new token.

        Raises:
            CloudError: There is none, see ``TokenEndpoint.ask``.
        """
        auth = self._settings
        form = {"grant_type": "client_credentials"}
        headers = {}
        for name in ("scope", "audience", "resource"):
            if value := getattr(auth, name):
                form[name] = value
        if auth.client_auth == "basic":
            # RFC 6749 2.3.1: both are encoded before they are joined.
            pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
        return await self._endpoint.ask(auth.token_url, form, headers)
