"""Pictures of every page, in the states that a box has: see ``scripts/gallery``.

Those that the manual keeps are the finest of them, made small: ``KEPT`` below names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from edge.access.roles import Role
from edge.pages.table import PAGES
from tests import samples
from tests.browser.conftest import CHROMIUM, WORDS
from tests.browser.console import NAMES, take_console
from tests.browser.offer import offered
from tests.browser.pages import settled
from tests.browser.scene import PASSWORD, PATIENTS, Scene, clinic
from tests.browser.worries import bad_day

SIZES = {
    "small": (320, 640),
    "phone": (390, 844),
    "tablet": (820, 1180),
    "desk": (1440, 900),
    "paper": (658, 987),
}
PAPER = 68
"""Pixels of the margin around that, which printers leave."""
SENDERS = ("CT1", "XRAY2", "US1", "MR1")
STUDY = samples.sample_uid("page", 0)
WORRIES = {
    "/sync": "queue letters conflicts absences trash line history told".split(),
    "/worklist": "steps expected sources".split(),
    "/peers": "known strangers doctor".split(),
}
"""Parts of pages that have something to show on a bad day alone."""
KEPT = {
    "now": "now-bad-desk-light-en",
    "now-safe": "now-desk-dark-en",
    "studies": "studies-desk-light-en",
    "found": "studies-found-desk-light-en",
    "study": "study-desk-light-en",
    "share": "study-share-desk-light-en",
    "viewer": "viewer-desk-dark-en",
    "plain": "viewer-plain-desk-dark-en",
    "queue": "sync-queue-bad-desk-light-en",
    "refused": "sync-letters-bad-desk-light-en",
    "conflicts": "sync-conflicts-bad-desk-dark-en",
    "line": "sync-line-bad-desk-light-en",
    "test": "sync-test-desk-light-en",
    "history": "sync-history-bad-desk-light-en",
    "worklist": "worklist-expected-bad-desk-light-en",
    "devices": "peers-strangers-bad-desk-light-en",
    "doctor": "peers-doctor-bad-desk-light-en",
    "people": "people-code-desk-light-en",
    "tokens": "tokens-desk-light-en",
    "audit": "audit-desk-dark-en",
    "settings": "settings-change-desk-light-en",
    "logs": "logs-desk-light-en",
    "update": "update-offer-desk-light-en",
    "backup": "backup-key-desk-light-en",
    "account": "account-desk-light-en",
    "emergency": "emergency-desk-light-en",
    "help": "help-desk-light-en",
    "welcome": "welcome-desk-light-en",
    "set-up": "setup-cloud-desk-light-en",
    "console": "console-new",
    "console-safe": "console",
    "arabic": "studies-desk-light-ar",
    "phone-now": "now-bad-phone-dark-en",
    "phone-studies": "studies-phone-light-fr",
    "phone-arabic": "now-bad-phone-light-ar",
    "paper": "backup-paper-paper-light-en",
    "acceptance": "acceptance-paper-paper-light-en",
}
"""Pictures of the manual: what they are called there, and which they are."""
WIDE, NARROW = 1200, 480
"""Pixels of those."""

Does = Callable[[Page], Awaitable[object]]


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
    """How the cloud is, that the day is ``bad``, or that an update is on ``offer``."""
    does: Does | None = None
    """What is done on the page first."""

    @property
    def file(self) -> str:
        day = "" if self.day == "up" else self.day
        return "-".join(filter(None, (self.name, day, self.size, self.theme, self.language)))


# What is done first -----------------------------------------------------------------------------


def clicking(*selectors: str) -> Does:
    async def does(page: Page) -> None:
        for selector in selectors:
            await page.locator(selector).first.click()

    return does


async def invite(page: Page) -> None:
    await page.click("#invite")
    await page.fill("dialog [name=display_name]", "Night shift")
    await page.fill("dialog [name=name]", f"night{id(page) % 10_000}")
    await page.click("dialog .button:not([type])")
    await page.wait_for_selector(".handed")


async def hold_key(page: Page) -> None:
    await page.click("#make-key")
    await page.wait_for_selector(".key-groups")


async def print_key(page: Page) -> None:
    await hold_key(page)
    await page.emulate_media(media="print")


async def print_it(page: Page) -> None:
    await page.wait_for_timeout(300)
    await page.emulate_media(media="print")


async def guess(page: Page) -> None:
    await page.fill("#password-form [name=name]", "somebody")
    await page.fill("#password-form [name=password]", "not this one")
    await page.click("#password-form button")
    await page.wait_for_selector("#password-form .problem:not([hidden])")


def typing(text: str) -> Does:
    async def does(page: Page) -> None:
        await page.fill("#q", text)
        await page.wait_for_timeout(900)

    return does


async def see_images(page: Page) -> None:
    await page.wait_for_selector("canvas.cornerstone-canvas", timeout=60_000)
    await page.get_by_role("button", name="Confirm and hide").click()
    await page.wait_for_timeout(3000)


async def look_for_update(page: Page) -> None:
    await page.click("#look")
    await page.wait_for_selector("#install:not([hidden])")


async def change_setting(page: Page) -> None:
    await page.fill("[id='sync.max_upload_kbps']", "2000")
    await page.click("#apply")


DOINGS: tuple[tuple[str, str, Does], ...] = (
    ("/people", "people-invite", clicking("#invite")),
    ("/people", "people-code", invite),
    ("/people", "people-change", clicking("#users .button")),
    ("/tokens", "tokens-make", clicking("#make")),
    ("/audit", "audit-details", clicking("#entries .button")),
    ("/audit", "audit-check", clicking("#check")),
    ("/backup", "backup-key", hold_key),
    ("/settings", "settings-change", change_setting),
    ("/worklist", "worklist-add", clicking("#add")),
    ("/peers", "peers-add", clicking("#add")),
    ("/sync#line", "sync-test", clicking("[data-archive] button")),
    (f"/studies/{STUDY}", "study-share", clicking("#share")),
    (f"/studies/{STUDY}", "study-erase", clicking("#erase")),
    (f"/studies/{STUDY}", "study-send", clicking("#send")),
    ("/studies", "studies-found", typing("ct 2026")),
    ("/studies", "studies-none", typing("nobody of that name")),
    ("/", "menu", clicking("#menu-button")),
)


def shots(names: list[str]) -> list[Shot]:
    """Of every page on a desk, and of some in every other way."""
    found = []
    for page in PAGES:
        path = page.path.replace("{study_uid}", STUDY)
        found += _in_all_ways(Shot(path, page.name, is_in=page.act is not None))
        if page.name == "help":
            found += _in_all_ways(Shot(path, page.name))
    found.append(Shot("/nowhere", "error"))
    steps = ("clinic", "network", "cloud", "recovery", "device", "image")
    for step in steps:
        found += _in_all_ways(Shot(f"/setup#{step}", f"setup-{step}"))
    for path, name, does in DOINGS:
        found += _in_all_ways(Shot(path, name, does=does))
    found.append(Shot("/welcome", "welcome-wrong", is_in=False, does=guess))
    found += [
        Shot("/", "now", theme="dark"),
        Shot("/studies", "studies", "phone", language="fr"),
        Shot("/studies", "studies", language="ar"),
        Shot("/audit", "audit", theme="dark"),
        Shot(f"/viewer/viewer?StudyInstanceUIDs={STUDY}", "viewer", theme="dark", does=see_images),
        Shot(f"/viewer/plain?study={STUDY}", "viewer-plain", theme="dark"),
        Shot(f"/viewer/plain?study={STUDY}", "viewer-plain", "phone", theme="dark"),
        Shot("/backup", "backup-paper", "paper", does=print_key),
        Shot("/backup", "backup-paper", "paper", language="ar", does=print_key),
        Shot("/acceptance", "acceptance-paper", "paper", does=print_it),
    ]
    found += [replace(shot, day="down") for shot in found if shot.name == "now"]
    update = Shot("/update", "update", day="offer", does=look_for_update)
    found += [*_in_all_ways(update), replace(update, theme="dark")]
    found += [
        replace(shot, day="bad")
        for size, theme, language in (
            ("desk", "light", "en"),
            ("phone", "dark", "en"),
            ("phone", "light", "ar"),
        )
        for shot in [Shot("/", "now", size, theme, language)]
    ]
    for path, parts in WORRIES.items():
        for part in parts:
            shot = Shot(f"{path}#{part}", f"{path[1:]}-{part}", day="bad")
            found += [*_in_all_ways(shot), replace(shot, theme="dark")]
    found = list({shot.file: shot for shot in found}.values())
    return [shot for shot in found if not names or any(map(shot.file.startswith, names))]


def _in_all_ways(shot: Shot) -> list[Shot]:
    return [
        shot,
        replace(shot, size="small", theme="dark"),
        replace(shot, size="tablet", language="ar"),
    ]


async def take(browser: Browser, scene: Scene, cookie, shot: Shot, folder: Path) -> None:
    """One picture."""
    width, height = SIZES[shot.size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=shot.theme,
        locale=shot.language,
        device_scale_factor=1.5 if width > 1000 else 2,
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    try:
        if shot.is_in:
            await context.add_cookies([cookie])
        page = await context.new_page()
        await page.goto(scene.base + shot.path)
        if "/viewer/" not in shot.path:
            await settled(page)
        await page.wait_for_timeout(600)
        if shot.does is not None:
            await shot.does(page)
            await page.wait_for_timeout(500)
        whole = shot.does is None and shot.size not in ("desk", "paper")
        path = folder / f"{shot.file}.png"
        await page.screenshot(path=path, full_page=whole)
        if shot.size == "paper":
            await asyncio.to_thread(_margin, path)
    except Exception as error:  # noqa: BLE001 - one that fails keeps no other from being made
        print(f"{shot.file}: {str(error).splitlines()[0]}", file=sys.stderr)
    finally:
        await context.close()


def _margin(path: Path) -> None:
    with Image.open(path) as opened:
        printed = opened.convert("RGB")
    around = 2 * PAPER
    sheet = Image.new("RGB", (printed.width + 2 * around, printed.height + 2 * around), "white")
    sheet.paste(printed, (around, around))
    sheet.save(path)


async def pictures(folder: Path, names: list[str]) -> None:
    """All of them."""
    async with contextlib.AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=WORDS)
        stack.push_async_callback(browser.close)
        wanted = shots(names)
        screens = [one for one in NAMES if not names or any(map(one.startswith, names))]
        if screens:
            await take_console(browser, folder, screens)
        for day in ("up", "down", "bad", "offer"):
            now = [shot for shot in wanted if shot.day == day]
            if not now:
                continue
            root = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            async with opened(day, Path(root)) as scene:
                cookie = await scene.cookie("keeper", Role.ADMIN)
                for shot in now:
                    await take(browser, scene, cookie, shot, folder)


@contextlib.asynccontextmanager
async def opened(day: str, root: Path) -> AsyncIterator[Scene]:
    """The clinic on such a day."""
    if day == "bad":
        async with bad_day(root, is_drawn=True) as scene:
            yield scene
        return
    if day == "offer":
        async with offered(root, cloud="up") as scene:
            yield scene
        return
    async with clinic(root, cloud=day, is_drawn=True) as scene:
        for number in range(len(PATIENTS)):
            await scene.store(number, SENDERS[number % len(SENDERS)])
        users = scene.box.cache.users
        for name, role, called in (
            ("reception", Role.VIEWER, "Reception desk"),
            ("ct-room", Role.TECHNOLOGIST, "CT room"),
            ("reader", Role.PHYSICIAN, "Reader from outside"),
        ):
            handed = await users.add(name, role)
            await users.redeem(handed.code, PASSWORD)
            await users.change(name, display_name=called)
        await scene.box.cache.tokens.issue(Role.SERVICE, "Report system", days=90)
        yield scene


def shrink(taken: Path, kept: Path) -> None:
    """Make those of the manual small, and keep them there."""
    kept.mkdir(parents=True, exist_ok=True)
    for called, name in KEPT.items():
        with Image.open(taken / f"{name}.png") as opened:
            picture = opened.convert("RGB")
        wide = NARROW if picture.height > picture.width else WIDE
        if wide == NARROW:  # a long page is shown as far as a screen goes
            picture = picture.crop((0, 0, picture.width, min(picture.height, picture.width * 2)))
        size = wide, round(picture.height * wide / picture.width)
        out = io.BytesIO()
        picture.resize(size, Image.Resampling.LANCZOS).save(out, "WEBP", quality=82, method=6)
        (kept / f"{called}.webp").write_bytes(out.getvalue())


def main() -> None:
    folder, *names = sys.argv[1:]
    if folder == "--keep":
        kept = Path(__file__).parents[2] / "manual/pictures"
        with tempfile.TemporaryDirectory() as taken:
            asyncio.run(pictures(Path(taken), list(KEPT.values())))
            shrink(Path(taken), kept)
        size = sum(one.stat().st_size for one in kept.iterdir())
        print(f"{len(KEPT)} pictures of {size // 1000} kB in all are in {kept}")
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    asyncio.run(pictures(Path(folder), names))
    print(f"{len(list(Path(folder).glob('*.png')))} pictures are in {folder}")


if __name__ == "__main__":
    main()
