"""What the headers of safety keep a real browser from."""

from __future__ import annotations

import asyncio
import contextlib

import pydicom
import pytest
from aiohttp import web

from edge.access.roles import Role
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.dicomweb import safety
from edge.dicomweb.root import create_root
from tests.browser.conftest import OWN_NAME

PAGE = """<!doctype html><html><head><title>nothing ran</title>
<style>p { color: rgb(1, 2, 3) }</style></head>
<body onload="document.title = 'a handler ran'"><p id="p">text</p>
<script>document.title = 'an inline script ran'</script>
<script src="/app/own.js"></script></body></html>"""
OWN = "document.title += ', our own did'; "


@pytest.fixture
async def serve():
    """Serves pages under a policy; gives the port."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(policy):
            application = web.Application()
            application[safety.POLICY] = policy

            async def page(_):
                return web.Response(text=PAGE, content_type="text/html")

            async def script(_):
                return web.Response(text=OWN, content_type="text/javascript")

            application.add_routes([web.get("/page", page), web.get("/own.js", script)])
            runner = web.AppRunner(create_root({"/app": application}))
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return site._server.sockets[0].getsockname()[1]

        yield begin


@pytest.mark.parametrize(
    ("policy", "title"),
    [
        (safety.API, "nothing ran"),
        (safety.DOCUMENT, "nothing ran"),
        (safety.SANDBOX, "nothing ran"),
        (safety.PAGE, "nothing ran, our own did"),
        (safety.VIEWER, "nothing ran, our own did"),
    ],
    ids=["API", "DOCUMENT", "SANDBOX", "PAGE", "VIEWER"],
)
async def test_only_scripts_of_files_of_ours_run_and_only_on_pages_of_ours(
    serve, visit, policy, title
):
    port = await serve(policy)
    page = await (await visit()).new_page()
    await page.goto(f"http://127.0.0.1:{port}/app/page")
    assert await page.title() == title
    is_sandboxed = policy == safety.SANDBOX
    assert (await page.evaluate("self.origin") == "null") is is_sandboxed


async def test_the_viewer_may_run_decoders_in_workers_that_share_memory(serve, visit):
    port = await serve(safety.VIEWER)
    page = await (await visit()).new_page()
    await page.goto(f"http://127.0.0.1:{port}/app/page")
    assert await page.evaluate("crossOriginIsolated")
    smallest = "new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])"
    assert await page.evaluate(f"WebAssembly.validate({smallest})")
    assert await page.evaluate(f"WebAssembly.compile({smallest}).then(() => true)")


@pytest.fixture
async def report(start, packaged):
    """A box, and where its report is, in which somebody wrote a script."""
    box = await start(tls="off")
    dataset = pydicom.dcmread(packaged("reportsi.dcm"))
    evil = '<script>ran = 1</script><img src=x onerror="ran = 1">'
    dataset.ConceptNameCodeSequence[0].CodeMeaning = evil
    dataset.StudyDescription = evil
    for item in dataset.ContentSequence:
        if "TextValue" in item:
            item.TextValue = evil
    buffer = pydicom.filebase.DicomBytesIO()
    dataset.save_as(buffer)

    async def pieces():
        yield buffer.getvalue()

    await box.admission.store_instance(pieces(), Source(Origin.DICOMWEB, "test"))
    path = (
        f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}/rendered"
    )
    token = await box.cache.tokens.create(Role.VIEWER, "viewer")
    return box, f"http://{OWN_NAME}:{box.http_port}{path}", token


async def test_a_report_runs_nothing_and_has_no_part_in_who_is_logged_in(report, visit):
    _, url, token = report
    context = await visit(http_credentials={"username": "viewer", "password": token})
    page = await context.new_page()
    answer = await page.goto(url)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    async with asyncio.timeout(30):
        await page.wait_for_load_state("load")
    assert await page.evaluate("typeof ran") == "undefined"
    assert "ran = 1" in await page.inner_text("body")
    assert await page.evaluate("self.origin") == "null"
    assert await page.locator("script, img").count() == 0


async def test_nothing_of_a_patient_is_left_in_the_browsers_cache(report, visit):
    """The second time it asks anew, and has no copy to ask about."""
    _, url, token = report
    context = await visit(http_credentials={"username": "viewer", "password": token})
    page = await context.new_page()
    for _ in range(2):
        answer = await page.goto(url)
        assert answer.status == 200
        assert "if-none-match" not in answer.request.headers
        assert not answer.from_service_worker
