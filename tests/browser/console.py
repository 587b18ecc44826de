"""Pictures of the page on the screen of the box, for the gallery: drawn as a terminal draws it."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Browser

from edge import config
from edge.access.roles import Role
from edge.console.box import LocalBox
from edge.console.page import ConsolePage
from tests.browser.scene import Scene, clinic

__all__ = ["NAMES", "take_console"]

NAMES = ("console-new", "console")
_SIZE = (96, 27)
"""Columns and lines: those of a small screen."""
_SAFE = "Everything is safe in the cloud."


async def take_console(browser: Browser, folder: Path, names: Iterable[str] = NAMES) -> None:
    """Take them from a box that runs: new, and in use."""
    http = config.Http(listen="127.0.0.1:0")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        async with clinic(Path(root), http=http) as scene:
            for name in names:
                if name == "console":
                    await scene.store(0)
                    await scene.user("keeper", Role.ADMIN)
                drawn = await _drawn(scene, "" if name == "console-new" else _SAFE)
                await _picture(browser, drawn, folder / f"{name}.png")


async def _drawn(scene: Scene, sentence: str) -> str:
    """The screen as SVG, as soon as it says this."""

    def load() -> config.Config:
        return replace(scene.loaded, http=replace(scene.loaded.http, listen="0.0.0.0:8443"))

    page = ConsolePage(LocalBox(load, None), every=0.2)
    async with page.run_test(size=_SIZE) as pilot, asyncio.timeout(60):
        while page.view is None or not page.view.sentence.startswith(sentence):
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        return page.export_screenshot()


async def _picture(browser: Browser, drawn: str, path: Path) -> None:
    # Its font would come from another host. A bit larger than its lines, blocks touch each other.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' clip-path="url\([^)]*line[^)]*\)"', "", drawn)
    drawn = drawn.replace("Fira Code", "DejaVu Sans Mono").replace("size: 20px", "size: 22px")
    page = await browser.new_page(device_scale_factor=1.5, viewport={"width": 1200, "height": 750})
    try:
        await page.set_content(f'<body style="margin:0;background:#000">{drawn}</body>')
        await page.locator("svg > g[clip-path]").screenshot(path=path)
    finally:
        await page.close()
