"""One connection, step by step."""

import asyncio

import httpx
import pytest
import trustme
from aiohttp import web

from edge import others
from edge.cloud.knock import Knock, look_at
from edge.cloud.route import Route
from tests.fakes.proxy import Proxy
from tests.fakes.website import website


def route_to(url, **settings):
    return Route.of(others.Archive("cloud", url, **settings), httpx.URL(url))


async def test_a_head_is_asked_for_without_credentials_or_path():
    seen = []

    async def answer(request):
        seen.append((request.method, request.path, dict(request.headers)))
        return web.Response(headers={"Date": "Tue, 14 Nov 2023 22:13:20 GMT"})

    async with website(answer) as url, Knock(route_to(url), patience=2.0) as knock:
        await knock.connect(await knock.resolve())
        head = await knock.head()
    assert (head.status, head.reason, head.date) == (200, "OK", 1_700_000_000.0)
    ((method, path, headers),) = seen
    assert (method, path) == ("HEAD", "/")
    assert "Authorization" not in headers


async def test_the_second_address_is_tried_if_the_first_refuses(free_port):
    async def handle(reader, writer):
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Knock(route_to(f"http://archive.invalid:{port}"), patience=2.0) as knock:
            assert await knock.connect(["127.0.0.77", "127.0.0.1"]) == "127.0.0.1"


@pytest.mark.parametrize("answer", [b"220 mail ESMTP\r\n\r\n", b"", b"HTTP/1.1 x\r\n\r\n"])
async def test_what_is_no_http(answer):
    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Knock(route_to(f"http://127.0.0.1:{port}"), patience=2.0) as knock:
            await knock.connect(await knock.resolve())
            with pytest.raises(httpx.RemoteProtocolError):
                await knock.head()


async def test_the_login_of_the_proxy_is_for_the_proxy_alone():
    async def answer(request):
        raise AssertionError

    leaf = trustme.CA().issue_cert("127.0.0.1")
    login = {"proxy_user": "box", "proxy_password": "secret"}
    async with Proxy(("box", "secret")) as proxy, website(answer, leaf) as url:
        look = await look_at(route_to(url, proxy=proxy.url, **login), patience=2.0)
        assert look.certificate.names == ("127.0.0.1",)
        (head,) = proxy.heads
    assert b"Proxy-Authorization" in head


async def test_a_look_at_nobody_sees_nothing(free_port):
    look = await look_at(route_to(f"https://127.0.0.1:{free_port()}"), patience=1.0)
    assert look.certificate is None
    assert look.date is None
