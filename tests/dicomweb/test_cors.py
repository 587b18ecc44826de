"""Pages of other origins: let in by name, or not at all."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from tests.dicomweb.doubles import authorise

OURS, OTHER = "https://viewer.example.org", "https://evil.example.org"
PREFLIGHT = {
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization",
}


async def word(_):
    return web.json_response("word")


def service(*origins):
    """A client of a service that admits these origins."""
    door = web.Application(middlewares=[access(authorise)])
    door.add_routes([web.get("/word", word)])
    return TestClient(TestServer(create_root({"/door": door}, cors_origins=origins)))


@pytest.fixture
async def client():
    async with service(OURS) as client:
        yield client


def cross_origin(headers):
    return {name for name in headers if name.startswith("Access-Control")}


async def test_a_preflight_request_needs_no_token(client):
    headers = {**PREFLIGHT, "Origin": OURS}
    for path in ("/door/word", "/door/nothing", "/nothing"):
        async with client.options(path, headers=headers) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == OURS
            methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
            assert methods == ["DELETE", "GET", "HEAD", "OPTIONS", "POST"]
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")
            assert int(answer.headers["Access-Control-Max-Age"]) > 0
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("origin", [OURS, None])
async def test_the_request_itself_needs_one(client, origin):
    headers = {} if origin is None else {"Origin": origin}
    async with client.get("/door/word", headers=headers) as answer:
        assert answer.status == 401
    async with client.options("/door/word", headers=headers) as answer:
        assert answer.status == 401


async def test_a_page_can_read_answers_errors_and_their_headers(client):
    headers = {"Origin": OURS, "Authorization": "Bearer read"}
    for path, status in (("/door/word", 200), ("/door/nothing", 404), ("/nothing", 404)):
        async with client.get(path, headers=headers) as answer:
            assert answer.status == status
            assert answer.headers["Access-Control-Allow-Origin"] == OURS
            exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
            assert {"X-Request-ID", "Warning", "ETag", "Content-Range"} <= set(exposed)


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "null",
        "",
        "*",
        OURS + "/",
        OURS + ":443",
        OURS + ".evil.org",
        OURS.upper(),
        OURS.replace("https", "http"),
    ],
)
async def test_only_exact_origins_are_let_in(client, origin):
    for method, path, headers in (
        ("OPTIONS", "/door/word", PREFLIGHT),
        ("GET", "/door/word", {"Authorization": "Bearer read"}),
    ):
        async with client.request(method, path, headers={**headers, "Origin": origin}) as answer:
            assert cross_origin(answer.headers) == set()
            assert "Origin" in answer.headers["Vary"]


async def test_nobody_is_let_in_unless_configured():
    async with service() as client:
        headers = {"Origin": OURS}
        async with client.options("/door/word", headers=headers | PREFLIGHT) as answer:
            assert answer.status == 401
            assert cross_origin(answer.headers) == set()
        headers["Authorization"] = "Bearer read"
        async with client.get("/door/word", headers=headers) as answer:
            assert answer.status == 200
            assert cross_origin(answer.headers) == set()
            assert "Origin" not in answer.headers.get("Vary", "")


async def test_options_that_is_no_preflight_goes_its_way(client):
    headers = {"Origin": OURS, "Authorization": "Bearer read"}
    async with client.options("/door/word", headers=headers) as answer:
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
