"""Pages in a real browser: somebody's browser at a box, and what it complains of.

Promises that every complaint of a page is heard: what stands in the console, a request that fails,
one that leaves the box.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Page

AXE = Path("build/axe/axe.min.js")
PATIENCE = 60.0
_RAN = """Promise.allSettled(
    [...document.querySelectorAll("script[type=module]")].map((one) => import(one.src)))
    .then((all) => all.length)"""
"""A page is loaded before its scripts are through: they wait for their words."""
SEEN = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@dataclass
class Complaints:
    """Of a page and all that it asked for."""

    base: str
    found: list[str] = field(default_factory=list)
    excused: tuple[str, ...] = ()
    """What a test brings about on purpose."""

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("requestfailed", lambda it: self._failed(it.url, it.failure))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(one in text for one in self.excused):
            self.found.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.found.append(f"left the box: {url}")

    def _failed(self, url: str, why: str | None) -> None:
        # Whoever goes on to another page breaks off what is still on its way.
        if why != "net::ERR_ABORTED" and not any(one in (why or "") for one in self.excused):
            self.found.append(f"failed: {url}: {why}")


async def settled(page: Page) -> None:
    """All scripts of the page ran, and it was told how the box is, unless nobody is logged in."""
    await page.wait_for_load_state("load")
    await page.evaluate(_RAN)
    await page.evaluate("document.fonts.ready")
    # No function is waited for: the page's policy evaluates no text, not even the debugger's.
    there = "body:not(.framed), [data-part=head][data-made]"
    await page.wait_for_selector(there, state="attached", timeout=PATIENCE * 1000)


async def violations(page: Page) -> list[str]:
    """What axe finds, in short."""
    if not await asyncio.to_thread(AXE.exists):
        pytest.skip("there is no axe: scripts/setup --dev, with npm")
    # The page's policy lets no script in but the box's own; the debugger's are let through.
    await page.evaluate(await asyncio.to_thread(AXE.read_text))
    options = {"runOnly": {"type": "tag", "values": SEEN}, "resultTypes": ["violations"]}
    found = await page.evaluate(f"axe.run(document, {json.dumps(options)})")
    return [
        f"{one['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


async def overflow(page: Page) -> str:
    """The first element that stands out of the page to a side; empty if none does."""
    return await page.evaluate(
        """() => {
            const wide = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= wide) return "";
            for (const one of document.querySelectorAll("main *, header *")) {
                const box = one.getBoundingClientRect();
                if (box.width && (box.right > wide + 1 || box.left < -1)) {
                    return one.outerHTML.slice(0, 200);
                }
            }
            return "the page is wider than the window";
        }"""
    )
