"""A stranger's page can't have a browser do anything here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb.hosts import OwnNames
from edge.dicomweb.origins import Origins
from edge.dicomweb.root import create_root

FRIEND, EVIL = "https://viewer.example", "https://evil.example"
BASIC, COOKIE = {"Authorization": "Basic eDp5"}, {"Cookie": "session=x"}
DONE = web.AppKey("done", list)
BEARER = {"Authorization": "Bearer x"}
FORGED = [
    {"Origin": EVIL},
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://edge.local.evil.example"},
    {"Origin": "http://edge.local:1"},
    {"Origin": "ftp://edge.local"},
    {"Origin": "http://edge.local:port"},
    {"Origin": "edge.local"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
]


def service(*, is_open=False):
    """A client of a service that does all that it is asked, and counts."""

    async def act(request):
        request.app[DONE].append(request.method)
        return web.json_response({})

    door = web.Application()
    door[DONE] = []
    door.router.add_route("*", "/act", act)
    names = OwnNames(["edge.local"])
    root = create_root({"/door": door}, cors_origins=[FRIEND], names=names, is_open=is_open)
    client = TestClient(TestServer(root))
    client.done = door[DONE]
    return client


@pytest.fixture
async def client():
    async with service() as opened:
        yield opened


async def ask(client, method, headers, host="edge.local"):
    headers = {"Host": host, **headers}
    async with client.request(method, "/door/act", headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("proof", [BASIC, COOKIE], ids=["password", "session"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("headers", FORGED, ids=range(len(FORGED)))
async def test_a_forged_request_changes_nothing(client, headers, method, proof):
    assert await ask(client, method, headers | proof) == 403
    assert client.done == []


@pytest.mark.parametrize("headers", FORGED[:-1], ids=range(len(FORGED) - 1))
@pytest.mark.parametrize("proof", [BASIC, COOKIE], ids=["password", "session"])
async def test_nor_does_a_strangers_page_have_pictures_loaded(client, headers, proof):
    assert await ask(client, "GET", headers | proof) == 403
    assert client.done == []


async def test_a_link_from_elsewhere_may_be_followed_and_framed_it_may_not_be(client):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert await ask(client, "GET", link | COOKIE) == 200
    assert await ask(client, "GET", link | COOKIE | {"Sec-Fetch-Dest": "iframe"}) == 403
    assert await ask(client, "POST", link | COOKIE) == 403


@pytest.mark.parametrize("proof", [BASIC, COOKIE, {}], ids=["password", "session", "no proof"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://edge.local"},
        {"Origin": "http://EDGE.local:80"},
        {"Origin": "https://edge.local"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://edge.local", "Sec-Fetch-Site": "same-origin"},
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"},
    ],
    ids=range(7),
)
async def test_our_own_pages_and_those_of_the_configuration_may(client, headers, proof):
    for method in ("POST", "DELETE", "GET"):
        assert await ask(client, method, headers | proof) == 200


async def test_a_session_must_say_where_a_change_comes_from_and_a_program_need_not(client):
    assert await ask(client, "POST", COOKIE) == 403
    assert await ask(client, "POST", COOKIE | BASIC) == 403
    assert await ask(client, "POST", BASIC) == 200
    assert await ask(client, "GET", COOKIE) == 200


async def test_a_forged_log_in_is_refused(client):
    assert await ask(client, "POST", {"Origin": EVIL}) == 403
    assert await ask(client, "POST", {}, host="evil.example") == 421
    assert await ask(client, "POST", {}) == 200  # of a program


@pytest.mark.parametrize("path", ["/login", "/login/redeem", "/logout", "/unlock"])
async def test_no_token_beside_it_hides_a_forged_log_in(path):
    async def act(_request):
        return web.json_response({})

    root = create_root({}, cors_origins=[FRIEND], names=OwnNames(["edge.local"]))
    root.router.add_post(path, act)
    async with TestClient(TestServer(root)) as client:
        ours = {"Host": "edge.local"} | BEARER
        for added, status in (({"Origin": EVIL}, 403), ({}, 200)):
            assert (await client.post(path, headers=ours | added)).status == status


@pytest.mark.parametrize("proof", [BASIC, COOKIE], ids=["password", "session"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
async def test_under_a_strangers_name_no_browser_gets_anything(client, method, proof):
    headers = {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
    assert await ask(client, method, headers | proof, host="evil.example") == 421
    assert client.done == []


async def test_a_program_with_a_token_may_call_it_as_it_likes(client):
    for method in ("GET", "POST", "DELETE"):
        assert await ask(client, method, BEARER, host="pacs.example") == 200


async def test_who_proves_nothing_may_look_whether_it_lives_under_any_name(client):
    assert await ask(client, "GET", {}, host="pacs.example") == 200


@pytest.mark.parametrize("proof", [{}, BEARER, COOKIE], ids=["nothing", "token", "session"])
async def test_without_tokens_every_request_counts_as_that_of_a_browser(proof):
    async with service(is_open=True) as client:
        for headers in FORGED:
            assert await ask(client, "POST", headers | proof) == 403
        assert await ask(client, "GET", proof, host="evil.example") == 421
        assert await ask(client, "OPTIONS", proof, host="evil.example") == 421
        assert client.done == []
        assert await ask(client, "POST", {"Origin": "http://edge.local"} | proof) == 200
        assert await ask(client, "POST", {}) == 200


async def test_a_page_that_was_put_between_over_plain_http_is_not_our_own():
    """Whoever sits on the wire can give a browser http:// pages under our name."""
    assert not _is_own("http://edge.local:8443", secure=True)
    assert _is_own("https://edge.local:8443", secure=True)


def _is_own(origin, *, secure):
    request = SimpleNamespace(host="edge.local:8443", secure=secure)
    return Origins(OwnNames(()))._is_own(origin, request)


async def test_a_program_that_keeps_a_cookie_is_told_what_to_send(client):
    async with client.post("/door/act", headers={"Host": "edge.local", **COOKIE}) as answer:
        told = await answer.json()
    assert (answer.status, told["detail"]) == (403, "the request does not say which page sent it")
    assert "Origin: http://edge.local" in told["hint"]
    assert client.done == []
