"""A server of updates is asked, and not believed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from dataclasses import fields

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import config
from edge.errors import CloudRefused, CloudUnreachable, UpdateRefused
from edge.updates.server import UpdateServer
from tests.fakes.proxy import Proxy
from tests.updates.makers import shop

pytestmark = pytest.mark.blocks  # the tests make updates themselves


@pytest.fixture
async def store(maker):
    async with shop(maker.folder) as opened:
        yield opened


def asked(store, **more):
    return UpdateServer(config.Update(url=store.url, **more))


async def newest(store, keys, url="", machine="x86-64", running="1.0"):
    async with asked(store) as server:
        return await server.newest(url or store.url, machine, running, keys)


async def test_the_newest_for_this_machine_is_found(store, maker, keys):
    listed = [("1.1", "x86-64"), ("1.2", "x86-64"), ("1.3", "arm64"), ("1.0", "x86-64")]
    for version, machine in listed:
        maker.bundle(version, machine=machine)
    store.list(*[(version, machine, f"{version}.edgeupdate") for version, machine in listed])
    seen = await newest(store, keys)
    assert seen.head.manifest.version == "1.2"
    assert seen.url.endswith("/1.2.edgeupdate")
    assert seen.etag == '"one"'
    assert await newest(store, keys, running="1.2") is None
    assert await newest(store, keys, url=f"{store.url}1.1.edgeupdate") is not None
    assert await newest(store, keys, url=f"{store.url}1.0.edgeupdate") is None
    # No more was read than heads.
    assert store.sent < 30_000


async def test_a_step_that_is_missing_is_taken_first(store, maker, keys):
    maker.bundle("1.1")
    maker.bundle("2.0", minimum="1.1")
    names = [(version, "x86-64", f"{version}.edgeupdate") for version in ("1.1", "2.0")]
    store.list(*names)
    assert (await newest(store, keys)).head.manifest.version == "1.1"
    assert (await newest(store, keys, running="1.1")).head.manifest.version == "2.0"
    store.list(names[1])
    with pytest.raises(UpdateRefused, match=r"can be taken from 1\.1 on"):
        await newest(store, keys)


async def test_a_step_that_brings_the_next_key_is_taken_first(store, maker, keys):
    maker.bundle("1.1", keys=[maker.next])
    maker.bundle("1.2", keys=[Ed25519PrivateKey.generate()])  # which 1.1 brings
    maker.bundle("1.4", form=2)
    listed = ("1.1", "1.2", "1.3", "1.4")  # nothing is where 1.3 should be
    store.list(*[(version, "x86-64", f"{version}.edgeupdate") for version in listed])
    assert (await newest(store, keys)).head.manifest.version == "1.1"
    store.list(("1.2", "x86-64", "1.2.edgeupdate"))
    with pytest.raises(UpdateRefused, match="signed by nobody"):
        await newest(store, keys)


async def test_one_that_is_for_others_is_refused_before_all_of_it_comes(store, maker, keys):
    maker.bundle("1.1", machine="rpi")
    with pytest.raises(UpdateRefused, match="this machine is x86-64"):
        await newest(store, keys, url=f"{store.url}1.1.edgeupdate")
    maker.bundle("2.0", minimum="1.1")
    with pytest.raises(UpdateRefused, match=r"can be taken from 1\.1 on"):
        await newest(store, keys, url=f"{store.url}2.0.edgeupdate")


async def test_what_the_list_says_beyond_the_truth_is_not_believed(store, maker, keys):
    maker.bundle("1.1")
    store.list(("9.9", "x86-64", "1.1.edgeupdate"))
    assert await newest(store, keys) is None
    for name in (
        "../1.1.edgeupdate",
        "http://elsewhere/1.1.edgeupdate",
        "1.1.txt",
        "a/b.edgeupdate",
    ):
        store.list(("1.1", "x86-64", name))
        with pytest.raises(UpdateRefused, match="no update"):
            await newest(store, keys)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "<html>", '{"updates": [{"version": "x"}]}'])
async def test_a_list_that_is_none_is_told_of(store, keys, text):
    (store.folder / "index.json").write_text(text)
    with pytest.raises(UpdateRefused, match=r"index\.json|not a version"):
        await newest(store, keys)


async def test_a_proxy_on_the_way_gets_the_login_that_it_wants(store, maker, keys):
    maker.bundle("1.1")
    store.list(("1.1", "x86-64", "1.1.edgeupdate"))
    login = {"proxy_user": "box", "proxy_password": "right"}
    async with Proxy(("box", "right")) as proxy:
        async with asked(store, proxy=proxy.url, **login) as server:
            seen = await server.newest(store.url, "x86-64", "1.0", keys)
        assert seen.head.manifest.version == "1.1"
        assert any("index.json" in target for target in proxy.asked)


@pytest.mark.parametrize(("login", "words"), [({}, "set"), ({"proxy_user": "box"}, "check")])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_another_login_is_named_with_the_settings(
    store, keys, scheme, login, words
):
    url = store.url.replace("http", scheme, 1)
    async with Proxy(("box", "right")) as proxy, asked(store, proxy=proxy.url, **login) as server:
        with pytest.raises(CloudUnreachable, match=r"the proxy 127\.0\.0\.1:.*407") as caught:
            await server.newest(url, "x86-64", "1.0", keys)
    hint = f"{words} proxy_user and proxy_password of the server of updates"
    assert hint in caught.value.hint
    assert {"proxy_user", "proxy_password"} <= {one.name for one in fields(config.Update)}


@contextlib.asynccontextmanager
async def serving(answer):
    """A server whose every answer is that of this function."""
    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def ask(url, keys):
    async with UpdateServer(config.Update(url=url)) as server:
        return await server.newest(url, "x86-64", "1.0", keys)


async def test_a_list_that_is_packed_twice_is_not_unpacked(keys):
    body = gzip.compress(gzip.compress(bytes(50_000_000), 9), 9)

    async def answer(_):
        return web.Response(body=body, headers={"Content-Encoding": "gzip, gzip"})

    async with serving(answer) as url:
        with pytest.raises(CloudUnreachable, match="decompressed"):
            await ask(url, keys)


async def test_a_list_that_comes_without_end_and_slowly_is_given_up(keys, monkeypatch):
    monkeypatch.setattr("edge.updates.server._PATIENCE", 0.3)

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    async with serving(answer) as url:
        with pytest.raises(CloudUnreachable):
            await ask(url, keys)


async def test_many_heads_that_come_slowly_are_given_up(keys, monkeypatch):
    monkeypatch.setattr("edge.updates.server._LOOK", 0.5)
    names = [
        {"version": f"2.{n}", "machine": "x86-64", "file": f"{n}.edgeupdate"} for n in range(9)
    ]

    async def answer(request):
        if request.match_info["name"] == "index.json":
            return web.json_response({"updates": names})
        await asyncio.sleep(5)
        return web.Response(status=404)

    async with serving(answer) as url:
        with pytest.raises(CloudUnreachable, match="too slow"):
            await ask(url, keys)


async def test_a_tag_that_can_not_be_asked_for_is_none(store, maker, keys):
    maker.bundle("1.1")
    content = (maker.folder / "1.1.edgeupdate").read_bytes()

    async def answer(request):
        begin, end = request.headers["Range"].removeprefix("bytes=").split("-")
        body = content[int(begin) : int(end) + 1]
        return web.Response(status=206, body=body, headers={"ETag": '"caf\xe9"'})

    async with serving(answer) as url, asked(store) as server:
        seen = await server.newest(f"{url}1.1.edgeupdate", "x86-64", "1.0", keys)
    assert seen.etag == ""


async def test_a_list_without_end_is_not_read(store, keys):
    (store.folder / "index.json").write_bytes(b"[" * 2_000_000)
    with pytest.raises(UpdateRefused, match="longer than any list"):
        await newest(store, keys)


async def test_what_is_not_there_is_told_of(store, keys):
    with pytest.raises(CloudRefused, match="answered 404"):
        await newest(store, keys)
    async with UpdateServer(config.Update()) as server:
        with pytest.raises(CloudUnreachable, match="the server of updates"):
            await server.newest("http://127.0.0.1:9/", "x86-64", "1.0", keys)


async def test_a_file_that_changed_meanwhile_is_not_gone_on_with(store, maker):
    maker.bundle("1.1")
    async with asked(store) as server:
        rest = [piece async for piece in server.rest(f"{store.url}1.1.edgeupdate", 100, '"one"')]
        whole = (maker.folder / "1.1.edgeupdate").read_bytes()
        assert b"".join(rest) == whole[100:]
        store.etag = '"two"'
        with pytest.raises(UpdateRefused, match="from its middle"):
            [piece async for piece in server.rest(f"{store.url}1.1.edgeupdate", 100, '"one"')]
