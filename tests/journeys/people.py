"""Somebody before a browser, at the HTTPS door of a real box."""

from __future__ import annotations

import ssl
import time
from base64 import b32decode
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from edge.access import totp
from tests.access.people import COOKIE

NAME = "localhost"
"""By which the browser calls the box: a passkey is for a name."""


class Browser:
    """What a browser sends by itself, and what it keeps.

    Args:
        folder: Of the box, whose authority it trusts.
        port: Of its HTTPS door.
        address: It comes from.
    """

    def __init__(self, folder: Path, port: int, address: str = "127.0.0.1") -> None:
        trusted = ssl.create_default_context(cafile=str(folder / "tls" / "ca.crt"))
        self.origin = f"https://{NAME}:{port}"
        self.http = httpx.AsyncClient(
            base_url=self.origin,
            headers={"Sec-Fetch-Site": "same-origin", "User-Agent": "a browser"},
            transport=httpx.AsyncHTTPTransport(verify=trusted, local_address=address),
            timeout=60,
        )

    async def post(self, path: str, said: object = None, **options) -> httpx.Response:
        return await self.http.post(path, json={} if said is None else said, **options)

    async def get(self, path: str, **options) -> httpx.Response:
        return await self.http.get(path, **options)

    async def done(self, path: str, said: object = None) -> dict:
        """Post what must succeed; what is answered."""
        answer = await self.post(path, said)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    @property
    def secret(self) -> str:
        """What its cookie says; empty if it has none."""
        return self.http.cookies.get(COOKIE) or ""

    async def enrol_app(self) -> tuple[bytes, list[str]]:
        """Enrol an app that shows codes: its secret, and the recovery codes."""
        begun = await self.done("/login/totp/begin")
        secret = b32decode(begun["secret"])
        who = await self.done("/login/totp", {"code": code_of(secret)})
        return secret, who["recovery_codes"]


def code_of(secret: bytes, steps: int = 0) -> str:
    """What an app shows now, or so many steps later."""
    return totp.code_of(secret, int(time.time()) // totp.SECONDS + steps)


@asynccontextmanager
async def browsing(box, address: str = "127.0.0.1"):
    """A browser that has been nowhere yet."""
    browser = Browser(box.appliance.cache.folder, box.appliance.http_port, address)
    async with browser.http:
        yield browser
