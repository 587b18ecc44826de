"""A page that is watched: what it complains of, whom it asks, and what is on its canvas."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.async_api import BrowserContext, Page

from edge.access.roles import Role
from edge.access.sessions import Proved, Visitor, cookie_name
from edge.app import Appliance

PATIENCE = 120_000
"""Milliseconds: a browser that draws without a graphics card has its time, others beside it."""
_OWN = ("chrome", "chrome-extension", "blob", "data", "about")
"""Schemes of what stays in the browser, its viewer of PDFs among them."""
_CANVAS = """
() => {
    const canvas = document.querySelector("canvas.cornerstone-canvas");
    if (!canvas || !canvas.width) { return null; }
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let light = 0;
    for (let at = 0; at < data.length; at += 4) { light += data[at] > 8; }
    return light > data.length / 400 ? canvas.toDataURL("image/png") : null;
}
"""
_PICTURE = """
async (path) => {
    const answer = await fetch(path, { headers: { "Accept": "image/png" } });
    if (!answer.ok) { throw new Error(await answer.text()); }
    const reader = new FileReader();
    const read = new Promise((done) => { reader.onload = done; });
    reader.readAsDataURL(await answer.blob());
    await read;
    return reader.result;
}
"""


class Screen:
    """A page of a browser, and what went wrong in it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.faults: list[str] = []
        """Errors of its console and scripts, and requests to other hosts."""
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def _said(self, message) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _OWN and f"{parts.scheme}://{parts.netloc}" != self.base:
            self.faults.append(f"another host: {url}")

    async def goto(self, path: str):
        return await self.page.goto(f"{self.base}{path}")

    async def see(self, selector: str) -> None:
        """Wait until it is there to be seen."""
        await self.page.locator(selector).first.wait_for(state="visible", timeout=PATIENCE)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what no event of the page tells."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not await condition():
            assert time.monotonic() < deadline, f"{condition.__name__}: not in time"
            await self.page.wait_for_timeout(100)

    async def canvas(self) -> np.ndarray:
        """What OHIF draws, once it draws: red, green and blue."""
        handle = await self.page.wait_for_function(_CANVAS, timeout=PATIENCE)
        return pixels(await handle.json_value())

    async def picture(self, path: str) -> np.ndarray:
        """What the box renders, asked for by the page."""
        return pixels(await self.page.evaluate(_PICTURE, path))


def pixels(address: str) -> np.ndarray:
    """Of a picture that is written as an address (``data:``): red, green and blue."""
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


async def logged_in(
    box: Appliance, context: BrowserContext, base: str, role=Role.VIEWER, by=Proved.PASSWORD
) -> None:
    """Give a browser's profile the session of somebody."""
    name = f"a.{role}"
    handed = await box.cache.users.add(name, role)
    await box.cache.users.redeem(handed.code, "seven quiet lamps")
    visitor = Visitor("127.0.0.1", "a browser")
    secret, _ = await box.cache.sessions.open(name, role, by, visitor)
    tls = base.startswith("https:")
    cookie = {"name": cookie_name(tls=tls), "value": secret, "url": base, "httpOnly": True}
    await context.add_cookies([{**cookie, "secure": tls, "sameSite": "Strict"}])


def difference(canvas: np.ndarray, picture: np.ndarray) -> float:
    """How far a canvas is from a picture that fills it as far as it goes, in grey levels.

    Compared where the picture is even, so that it says nothing of how edges are smoothed.
    """
    rows, columns = picture.shape[:2]
    height, width = canvas.shape[:2]
    scale = min(width / columns, height / rows)
    around = np.lib.stride_tricks.sliding_window_view(picture, (7, 7), (0, 1))
    even = around.max((2, 3, 4)) == around.min((2, 3, 4))
    row, column = (places + 3 for places in np.nonzero(even))
    y = np.rint(height / 2 + (row + 0.5 - rows / 2) * scale).astype(int)
    x = np.rint(width / 2 + (column + 0.5 - columns / 2) * scale).astype(int)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    assert inside.sum() > 500, "there is too little to compare"
    shown = canvas[y[inside], x[inside]].astype(int)
    expected = picture[row[inside], column[inside]].astype(int)
    return float(np.abs(shown - expected).max())
