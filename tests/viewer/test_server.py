"""``/viewer/`` over HTTP: who is let in, what leaves, and what browsers may do with it."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.access.acts import Service
from edge.access.roles import Identity, Role
from edge.access.scope import Scope
from edge.dicomweb import safety
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.errors import AccessDenied
from edge.pages.resources import resources
from edge.viewer.package import PLACE, install
from edge.viewer.server import Policies, create_application
from edge.viewer.shelf import open_shelf
from tests.viewer.packages import APP, WASM, contents, packed

HTML = {"Accept": "text/html,application/xhtml+xml"}
POLICY = "Content-Security-Policy"


@pytest.fixture
def folder(tmp_path):
    path, integrity = packed(tmp_path, contents())
    install(path, tmp_path / "viewer", integrity)
    return tmp_path / "viewer"


async def face(request, template, values):
    """In English."""
    made = await asyncio.to_thread(resources)
    return made.render(
        template, made.words["en"], {**values, "has_pages": True, "emergency_until": None}
    )


@pytest.fixture
async def serve():
    """A client of the viewer of a folder."""
    clients = []

    async def begin(folder, who=None):
        async def authorise(headers, address):
            if who is None:
                raise AccessDenied("a log-in is required")
            return who

        policies = Policies(safety.PAGE, safety.VIEWER, safety.DECODER)
        shelf = await asyncio.to_thread(open_shelf, folder)
        guard = access(authorise, Service.DICOMWEB)
        door = create_application(shelf, guard, policies, face, log_in="/in")
        client = TestClient(TestServer(create_root({"/viewer": door}, is_open=True)))
        await client.start_server()
        clients.append(client)
        return client

    yield begin
    for client in clients:
        await client.close()


@pytest.fixture
async def client(serve, folder):
    return await serve(folder, Identity("somebody", Role.VIEWER))


async def get(client, path, **headers):
    return await client.get(path, headers=headers or HTML, allow_redirects=False)


async def test_every_page_of_the_viewer_is_the_same_page(client):
    for path in ("/viewer/", "/viewer/viewer?StudyInstanceUIDs=1.2", "/viewer/local/basic"):
        answer = await get(client, path)
        assert answer.status == 200
        assert answer.content_type == "text/html"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert f"/viewer/{PLACE}/{APP}" in await answer.text()
        assert answer.headers[POLICY] == safety.VIEWER
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


async def test_the_address_without_a_slash_leads_to_the_one_with(client):
    answer = await get(client, "/viewer")
    assert (answer.status, answer.headers["Location"]) == (308, "/viewer/")


@pytest.mark.parametrize("path", [f"{PLACE}/nothing.js", "app.bundle.css", "own/plain.js", "x.map"])
async def test_a_file_that_is_not_there_is_not_a_page(client, path):
    answer = await get(client, f"/viewer/{path}")
    assert answer.status == 404
    assert answer.content_type != "text/html"


@pytest.mark.parametrize(
    "path", ["../contents.json", "%2e%2e/contents.json", "..%2fcontents.json", "%2fetc%2fpasswd"]
)
async def test_no_path_leads_out_of_what_is_served(client, path):
    answer = await get(client, f"/viewer/{PLACE}/{path}")
    assert answer.status in (200, 404)
    assert "place" not in await answer.text() or answer.content_type == "text/html"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        (APP, "text/javascript"),
        (WASM, "application/wasm"),
        ("app.bundle.css", "text/css"),
        ("assets/favicon.ico", "image/vnd.microsoft.icon"),
        ("LICENSE", "text/plain"),
        ("NOTICES.txt", "text/plain"),
    ],
)
async def test_files_have_their_types_and_are_kept_for_ever(client, name, media_type):
    answer = await get(client, f"/viewer/{PLACE}/{name}")
    assert answer.status == 200
    assert answer.content_type == media_type
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["ETag"]
    again = await get(
        client, f"/viewer/{PLACE}/{name}", **{"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status == 304


async def test_files_travel_as_they_were_packed(client, folder):
    path = f"/viewer/{PLACE}/{APP}"
    answer = await client.get(path, headers={"Accept-Encoding": "gzip"})
    packed_file = folder / "files" / f"{APP}.gz"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert int(answer.headers["Content-Length"]) == packed_file.stat().st_size
    assert await answer.read() == gzip.decompress(packed_file.read_bytes())
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


async def test_only_scripts_that_may_be_workers_may_make_code(client):
    script = await get(client, f"/viewer/{PLACE}/{APP}")
    assert "'unsafe-eval'" in script.headers[POLICY]
    assert script.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    for path in ("/viewer/", "/viewer/open", "/viewer/plain"):
        policy = (await get(client, path)).headers[POLICY]
        assert "'unsafe-eval'" not in policy
        assert "script-src 'self'" in policy
        assert "http" not in policy


@pytest.mark.parametrize("name", ["open", "plain"])
async def test_our_own_pages_are_under_the_policy_of_pages(client, name):
    answer = await get(client, f"/viewer/{name}?study=1.2")
    assert answer.status == 200
    assert answer.headers[POLICY] == safety.PAGE
    for address in (await answer.text()).split('"'):
        if address.startswith("/viewer/own/"):
            own = await get(client, address)
            assert own.status == 200
            assert "immutable" in own.headers["Cache-Control"]


async def test_a_stranger_is_led_to_the_log_in_and_back(serve, folder):
    client = await serve(folder)
    answer = await get(client, "/viewer/viewer?StudyInstanceUIDs=1.2.3")
    assert answer.status == 303
    way = "%2Fviewer%2Fviewer%3FStudyInstanceUIDs%3D1.2.3"
    assert answer.headers["Location"] == f"/in?to={way}"


@pytest.mark.parametrize("path", [f"{PLACE}/{APP}", "own/x.js", "plain", ""])
async def test_a_program_that_proves_nothing_is_refused(serve, folder, path):
    client = await serve(folder)
    for headers in ({"Accept": "*/*"}, {**HTML, "Sec-Fetch-Mode": "no-cors"}):
        answer = await get(client, f"/viewer/{path}", **headers)
        assert answer.status == 401
    # Whoever sends a wrong proof is told so.
    answer = await get(client, "/viewer/", **HTML, Authorization="Bearer wrong")
    assert answer.status == 401


async def test_a_token_for_something_else_opens_no_viewer(serve, folder):
    narrow = Scope(services=frozenset({"admin"}))
    client = await serve(folder, Identity("tool", Role.VIEWER, scope=narrow))
    assert (await get(client, "/viewer/")).status == 403


async def test_without_the_viewer_it_is_said_what_to_do(serve, tmp_path):
    client = await serve(tmp_path / "none", Identity("somebody", Role.VIEWER))
    answer = await get(client, "/viewer/viewer?StudyInstanceUIDs=1.2")
    assert answer.status == 503
    assert "scripts/viewer" in await answer.text()
    assert (await get(client, "/viewer/plain?study=1.2")).status == 200


async def test_nothing_is_written_here(client):
    for method in ("POST", "PUT", "DELETE"):
        answer = await client.request(method, "/viewer/")
        assert answer.status == 405
