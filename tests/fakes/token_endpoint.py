"""An endpoint that gives out tokens: a real HTTP server with the rules of RFC 6749.

Knows one client, by secret or by public key, and checks what it says with other code than the edge
says it with. What it answers next, whatever it is asked, stands in ``answers``. Listens on loopback
only.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from typing import Any, Self
from urllib.parse import unquote_plus

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from tests.fakes.archive import FakeArchive

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class FakeTokenEndpoint:
    """``async with FakeTokenEndpoint() as endpoint``; tokens are ``token-1``, ``token-2``…"""

    def __init__(self) -> None:
        self.client = ("edge", "s3cret/+:é")
        self.public_key: RSAPublicKey | None = None
        """Of the service account that it knows."""
        self.forms: list[dict[str, str]] = []
        """What it was asked, each time."""
        self.asked = asyncio.Event()
        self.assertions: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """Header and claims of each assertion that was signed well."""
        self.said: list[str] = []
        """How the client said its secret: "basic" or "body"."""
        self.given = 0
        self.grants: dict[str, Any] = {"token_type": "Bearer", "expires_in": 3600}
        """What is said beside each token."""
        self.delay = 0.0
        """Seconds before each answer."""
        self.answers: deque[web.Response] = deque()
        self.archive: FakeArchive | None = None
        """If there is one, it takes the newest token, and no other."""
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def newest(self) -> str:
        """The header that an archive takes now."""
        return f"Bearer token-{self.given}"

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.add_routes([web.post("/token", self._token)])
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        self.asked.set()
        await asyncio.sleep(self.delay)
        if self.answers:
            return self.answers.popleft()
        if form.get("grant_type") == _JWT_BEARER:
            known, wrong = self._knows_signer(form.get("assertion", "")), "invalid_grant"
        else:
            known, wrong = self._knows_client(request, form), "invalid_client"
        if not known:
            return web.json_response({"error": wrong, "error_description": str(form)}, status=400)
        self.given += 1
        if self.archive is not None:
            self.archive.authorization = self.newest
        return web.json_response({"access_token": f"token-{self.given}", **self.grants})

    def _knows_client(self, request: web.Request, form: dict[str, str]) -> bool:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            self.said.append("basic")
            name, _, secret = base64.b64decode(text).decode("ascii").partition(":")
            said = (unquote_plus(name), unquote_plus(secret))
        else:
            self.said.append("body")
            said = (form.get("client_id", ""), form.get("client_secret", ""))
        return form.get("grant_type") == "client_credentials" and said == self.client

    def _knows_signer(self, assertion: str) -> bool:
        assert self.public_key is not None
        signed, _, signature = assertion.rpartition(".")
        try:
            self.public_key.verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        self.assertions.append((header, claims))
        return True


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
