"""A real browser: Debian's Chromium, and pages of strangers under names of their own.

Promises that every name leads to loopback, so that no request leaves the machine, and that no test
finds what another left: they share a process of the browser, which takes seconds to start, and each
has profiles of its own in it. Tests that want a browser are skipped where there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from playwright.async_api import Browser, async_playwright, expect

from edge import config
from edge.app import Appliance
from tests.ports import free_port

# Of a machine that is busy; what is there at once is not waited for.
expect.set_options(timeout=60_000)

CHROMIUM = Path("/usr/bin/chromium")
OWN_NAME = "edge.test"
_WITHOUT = (
    # Strangers' pages of the local network may ask, too: they are whom this is about.
    "LocalNetworkAccessChecks",
    "BlockInsecurePrivateNetworkRequests",
    # What the address bar would suggest is a page, too: each window has it in a process of its own,
    # which takes longer than ours.
    "AimEnabled",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "WebUIOmniboxPopup",
)
WORDS = (
    "--no-sandbox",  # tests run as root, in containers
    "--host-resolver-rules=MAP * 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=" + ",".join(_WITHOUT),
)


@pytest.fixture(scope="session")
def chromium():
    """Where a running Chromium listens for who drives it."""
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium: apt-get install chromium")
    port, is_up, done = free_port(), threading.Event(), threading.Event()

    async def run():
        async with async_playwright() as playwright:
            words = [*WORDS, f"--remote-debugging-port={port}"]
            started = await playwright.chromium.launch(executable_path=CHROMIUM, args=words)
            is_up.set()
            await asyncio.to_thread(done.wait)
            await started.close()

    # Each test has an event loop of its own, and the browser outlives them all.
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, run())
        try:
            running.add_done_callback(lambda _: is_up.set())
            is_up.wait()
            if running.done():
                running.result()
            yield f"http://127.0.0.1:{port}"
        finally:
            done.set()
            running.result()


@contextlib.asynccontextmanager
async def driven(chromium):
    """Chromium, in which each profile remembers nothing of another."""
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        try:
            yield connected
        finally:
            await connected.close()


@pytest.fixture
async def browser(chromium):
    """Chromium, for one test."""
    async with driven(chromium) as connected:
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_browser(chromium):
    """Chromium, for tests that share the loop of their module."""
    async with driven(chromium) as connected:
        yield connected


@pytest.fixture
async def visit(browser: Browser):
    """Makes a browser's profile, in which somebody may log in; it takes every certificate."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options):
            context = await browser.new_context(ignore_https_errors=True, **options)
            stack.push_async_callback(context.close)
            return context

        yield make


@dataclass
class Stranger:
    """A server of somebody else, who may have any name."""

    port: int
    asked: list[str] = field(default_factory=list)
    html: str = ""

    def url(self, host: str, path: str = "/") -> str:
        return f"https://{host}:{self.port}{path}"


@pytest.fixture
async def stranger():
    """Serves its page over TLS: pages without could not even send cookies of pages with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("evil.test").configure_cert(context)
    served = Stranger(0)

    async def page(request):
        served.asked.append(request.path)
        return web.Response(text=served.html, content_type="text/html")

    application = web.Application()
    application.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        served.port = site._server.sockets[0].getsockname()[1]
        yield served
    finally:
        await runner.cleanup()


@pytest.fixture
async def start(tmp_path):
    """Starts a box that is called ``edge.test``."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(**http):
            loaded = config.Config(
                appliance=config.Appliance(data_dir=tmp_path / "box"),
                dimse=config.Dimse(listen="127.0.0.1:0"),
                http=config.Http(listen="127.0.0.1:0", names=(OWN_NAME,), **http),
            )
            return await stack.enter_async_context(Appliance(loaded))

        yield begin
