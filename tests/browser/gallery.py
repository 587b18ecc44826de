"""Pictures of every page, in the states that a box has: see ``scripts/gallery``."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from edge.access.roles import Role
from edge.pages.table import PAGES
from tests import samples
from tests.browser.conftest import CHROMIUM, WORDS
from tests.browser.pages import settled
from tests.browser.scene import PATIENTS, Scene, clinic
from tests.browser.worries import bad_day

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1440, 900)}
SENDERS = ("CT1", "XRAY2", "US1", "MR1")
WORRIES = {
    "/sync": "queue letters conflicts absences trash line history told".split(),
    "/worklist": "steps expected sources".split(),
    "/peers": "known strangers doctor".split(),
}
"""Parts of pages that have something to show on a bad day alone."""


@dataclass(frozen=True)
class Shot:
    """A picture."""

    path: str
    name: str
    size: str = "desk"
    theme: str = "light"
    language: str = "en"
    is_in: bool = True
    """Whether somebody is logged in."""
    day: str = "up"
    """How the cloud is, or that the day is ``bad``."""


def shots(names: list[str]) -> list[Shot]:
    """Of every page on a desk, and of some in every other way."""
    found = []
    for page in PAGES:
        path = page.path.replace("{study_uid}", samples.sample_uid("page", 0))
        is_in = page.act is not None
        found.append(Shot(path, page.name, is_in=is_in))
        found.append(Shot(path, page.name, "phone", "dark", is_in=is_in))
        found.append(Shot(path, page.name, "tablet", "light", "ar", is_in=is_in))
    found.append(Shot("/nowhere", "error"))
    steps = ("clinic", "network", "cloud", "recovery", "device", "image")
    found += [Shot(f"/setup#{step}", f"setup-{step}") for step in steps]
    found += [Shot("/", "now", theme="dark"), Shot("/", "now", language="ar")]
    found += [replace(shot, day="down") for shot in found if shot.name == "now"]
    for path, parts in WORRIES.items():
        for part in parts:
            at, name = f"{path}#{part}", f"{path[1:]}-{part}"
            found.append(Shot(at, name, day="bad"))
            found.append(Shot(at, name, "phone", "dark", day="bad"))
            found.append(Shot(at, name, "tablet", "light", "ar", day="bad"))
    return [shot for shot in found if not names or any(map(shot.name.startswith, names))]


async def take(browser: Browser, scene: Scene, cookie, shot: Shot, folder: Path, mark: str) -> None:
    """One picture."""
    width, height = SIZES[shot.size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=shot.theme,
        locale=shot.language,
        device_scale_factor=2 if shot.size == "phone" else 1.5,
        reduced_motion="reduce",
    )
    try:
        if shot.is_in:
            await context.add_cookies([cookie])
        page = await context.new_page()
        await page.goto(scene.base + shot.path)
        await settled(page)
        await page.wait_for_load_state("domcontentloaded")
        await page.wait_for_timeout(600)
        name = "-".join(filter(None, (shot.name, mark, shot.size, shot.theme, shot.language)))
        await page.screenshot(path=folder / f"{name}.png", full_page=shot.size != "desk")
    finally:
        await context.close()


async def pictures(folder: Path, names: list[str]) -> None:
    """All of them."""
    async with contextlib.AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=WORDS)
        stack.push_async_callback(browser.close)
        wanted = shots(names)
        for day in ("up", "down", "bad"):
            now = [shot for shot in wanted if shot.day == day]
            if not now:
                continue
            root = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            async with opened(day, Path(root)) as scene:
                cookie = await scene.cookie("keeper", Role.ADMIN)
                for shot in now:
                    await take(browser, scene, cookie, shot, folder, "offline" * (day == "down"))


@contextlib.asynccontextmanager
async def opened(day: str, root: Path) -> AsyncIterator[Scene]:
    """The clinic on such a day."""
    if day == "bad":
        async with bad_day(root) as scene:
            yield scene
        return
    async with clinic(root, cloud=day) as scene:
        for number in range(len(PATIENTS)):
            await scene.store(number, SENDERS[number % len(SENDERS)])
        yield scene


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(pictures(folder, sys.argv[2:]))
    print(f"{len(list(folder.glob('*.png')))} pictures are in {folder}")


if __name__ == "__main__":
    main()
