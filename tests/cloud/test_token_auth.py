"""Tokens in use, against a real archive and a real endpoint."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import httpx
import pytest
from aiohttp import web

from edge.cloud.archive import Outgoing, StoreOutcome
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.oauth2 import ClientCredentials
from edge.cloud.token_auth import TokenAuth
from edge.cloud.token_endpoint import Token
from edge.cloud.transport import is_lasting
from edge.errors import CloudUnauthorised, CloudUnreachable
from edge.others import Archive, Auth
from tests.cloud.conftest import outgoing


def settings(fake, tokens, **more):
    client, secret = tokens.client
    said = {"token_url": tokens.url, "client_id": client, "client_secret": secret, **more}
    return Archive("cloud", fake.url, auth=Auth("oauth2", **said))


@pytest.fixture
async def archive(fake, tokens):
    """The archive takes the first token."""
    fake.authorization = "Bearer token-1"
    async with DicomwebArchive(settings(fake, tokens)) as archive:
        yield archive


async def test_one_token_serves_many_requests(archive, tokens):
    for _ in range(5):
        assert await archive.search_studies(limit=1) == []
    assert tokens.given == 1


async def test_many_requests_at_once_wait_for_one_token(archive, tokens):
    tokens.delay = 0.2
    found = await asyncio.gather(*(archive.search_studies(limit=1) for _ in range(50)))
    assert found == [[]] * 50
    assert len(tokens.forms) == 1


async def test_many_requests_at_once_share_an_error(archive, tokens):
    tokens.delay = 0.2
    tokens.answers.extend(web.Response(status=503) for _ in range(50))
    found = await asyncio.gather(
        *(archive.search_studies(limit=1) for _ in range(50)), return_exceptions=True
    )
    assert [type(error) for error in found] == [CloudUnreachable] * 50
    assert len({id(error) for error in found}) == 50
    assert all("503" in str(error) and error.hint for error in found)
    assert len(tokens.forms) == 1


async def test_the_next_request_after_an_error_asks_again(archive, tokens):
    tokens.answers.append(web.Response(status=503))
    with pytest.raises(CloudUnreachable):
        await archive.search_studies(limit=1)
    assert await archive.search_studies(limit=1) == []


async def test_who_gives_up_takes_the_token_from_nobody(archive, fake, tokens):
    fake.authorization = None
    tokens.delay = 0.2
    first = asyncio.create_task(archive.search_studies(limit=1))
    await tokens.asked.wait()
    others = [asyncio.create_task(archive.search_studies(limit=1)) for _ in range(5)]
    await asyncio.sleep(0.05)
    first.cancel()
    assert await asyncio.gather(*others) == [[]] * 5
    assert first.cancelled()
    assert len(tokens.forms) == 2


async def test_after_a_401_a_new_token_is_tried_once(archive, fake, tokens):
    await archive.search_studies(limit=1)
    fake.authorization = "Bearer token-2"
    assert await archive.search_studies(limit=1) == []
    assert tokens.given == 2


async def test_many_requests_with_an_old_token_ask_for_one_new_one(archive, fake, tokens):
    await archive.search_studies(limit=1)
    tokens.delay = 0.1
    fake.authorization = "Bearer token-2"
    found = await asyncio.gather(*(archive.search_studies(limit=1) for _ in range(20)))
    assert found == [[]] * 20
    assert tokens.given == 2


async def test_a_second_401_comes_out(archive, fake, tokens):
    fake.authorization = "something else"
    with pytest.raises(CloudUnauthorised, match="401"):
        await archive.search_studies(limit=1)
    assert tokens.given == 2
    assert fake.asked("/studies") == 2


async def test_a_retrieval_goes_on_with_a_new_token(archive, fake, tokens, slices):
    for part in slices:
        fake.put(part.data)
    await archive.search_studies(limit=1)
    fake.authorization = "Bearer token-2"
    async with aclosing(archive.retrieve_instance(slices[0].ref)) as stream:
        assert b"".join([piece async for piece in stream]) == slices[0].data


async def test_a_deletion_is_sent_again_with_a_new_token(archive, fake, slices):
    fake.put(slices[0].data)
    await archive.search_studies(limit=1)
    fake.authorization = "Bearer token-2"
    await archive.delete_instance(slices[0].ref)
    assert not fake.instances


async def test_images_are_sent_with_a_token_that_was_there_before(archive, fake, tokens, slices):
    (result,) = await archive.store_instances([outgoing(slices[0])])
    assert result.outcome is StoreOutcome.STORED
    assert fake.instances[slices[0].ref.sop_uid].part10 == slices[0].data
    assert (tokens.given, fake.asked("POST")) == (1, 1)


async def test_images_are_never_sent_twice(archive, fake, tokens, slices):
    await archive.search_studies(limit=1)
    fake.authorization = "Bearer token-2"
    with pytest.raises(CloudUnauthorised, match="401"):
        await archive.store_instances([outgoing(slices[0])])
    assert fake.asked("POST") == 1
    assert tokens.given == 1
    # The token was given up all the same: the next attempt has a new one.
    (result,) = await archive.store_instances([outgoing(slices[0])])
    assert result.outcome is StoreOutcome.STORED
    assert tokens.given == 2


async def test_no_image_is_begun_without_a_token(archive, fake, tokens, slices):
    await tokens.stop()
    begun = []

    async def stream():
        begun.append(True)
        yield slices[0].data

    with pytest.raises(CloudUnreachable, match="signing in"):
        await archive.store_instances([Outgoing(slices[0].ref, len(slices[0].data), stream)])
    assert not begun
    assert fake.asked("POST") == 0


async def test_a_wrong_secret_is_told_plainly_and_stays_so(fake, tokens):
    wrong = settings(fake, tokens, client_secret="wrong-secret")
    async with DicomwebArchive(wrong) as archive:
        with pytest.raises(CloudUnauthorised) as caught:
            await archive.search_studies(limit=1)
    error = caught.value
    assert "invalid_client" in str(error)
    assert "client_secret" in error.hint
    assert "wrong-secret" not in f"{error} {error.hint} {error!r}"
    assert is_lasting(error)
    assert not fake.requests


async def test_a_refusal_that_is_endless_is_not_read(tokens, fake):
    sent = []

    async def endless(request):
        if request.headers["Authorization"] == "Bearer token-2":
            return web.json_response([])
        response = web.StreamResponse(status=401)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                sent.append(65536)
        except ConnectionError:
            return response

    application = web.Application()
    application.add_routes([web.get("/studies", endless)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client, secret = tokens.client
        auth = Auth("oauth2", token_url=tokens.url, client_id=client, client_secret=secret)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with DicomwebArchive(Archive("cloud", url, auth=auth)) as archive:
            assert await archive.search_studies(limit=1) == []
    finally:
        await runner.cleanup()
    assert sum(sent) < 50_000_000


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def signing(lives):
    """A client of an archive that takes everything, its clock, and the tokens it signed with."""
    clock, used, asked = Clock(), [], []

    async def fetch():
        clock.now += 1.0  # an answer takes a while
        asked.append(clock.now)
        return Token(f"t{len(asked)}", lives)

    def archive(request):
        used.append(request.headers["Authorization"].removeprefix("Bearer "))
        return httpx.Response(200)

    auth = TokenAuth(fetch, clock=clock)
    client = httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(archive))
    return client, clock, used


@pytest.mark.parametrize(
    ("lives", "good", "over"),
    [
        (3600.0, 3539.0, 3541.0),  # a minute before its end, from when it was asked for
        (100.0, 79.0, 81.0),  # a fifth, if it lives shortly
        (0.0, None, 1.0),  # each request has one of its own
    ],
)
async def test_a_token_is_given_up_shortly_before_its_end(lives, good, over):
    client, clock, used = signing(lives)
    await client.get("http://archive")
    if good is not None:
        clock.now = 1000.0 + good
        await client.get("http://archive")
        assert used == ["t1", "t1"]
    clock.now = 1000.0 + over
    await client.get("http://archive")
    assert used[-1] == "t2"


async def test_the_wall_clock_does_not_count(monkeypatch):
    client, _, used = signing(3600.0)
    await client.get("http://archive")
    monkeypatch.setattr("time.time", lambda: 4e9)
    await client.get("http://archive")
    assert used == ["t1", "t1"]


async def test_tokens_that_live_no_moment_are_shared_by_those_who_waited(tokens, fake, endpoint):
    tokens.grants["expires_in"] = 0
    tokens.delay = 0.1
    auth = TokenAuth(ClientCredentials(settings(fake, tokens).auth, endpoint))
    async with httpx.AsyncClient(auth=auth, timeout=60) as client:
        await asyncio.gather(*(client.get(f"{fake.url}/studies") for _ in range(20)))
    assert tokens.given == 1


def test_neither_token_nor_secret_shows_in_a_repr():
    auth = TokenAuth(ClientCredentials(Auth("oauth2", client_secret="hush"), None))
    assert "hush" not in f"{auth!r} {auth.__dict__!r}"
