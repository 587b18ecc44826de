"""The endpoint's answers, good and bad, as they become ours."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from edge.cloud.token_endpoint import TokenEndpoint
from edge.cloud.transport import Timeouts, is_lasting, new_client
from edge.errors import CloudRefused, CloudUnauthorised, CloudUnreachable

SECRET = "a-secret-that-nobody-may-read"


async def asked(endpoint, tokens, **form):
    return await endpoint.ask(
        tokens.url, {"grant_type": "client_credentials", "client_secret": SECRET, **form}
    )


async def failure(endpoint, tokens, kind):
    with pytest.raises(kind) as caught:
        await asked(endpoint, tokens)
    error = caught.value
    assert type(error) is kind
    assert str(error).startswith("archive cloud: signing in: ")
    told = f"{error} | {error.hint} | {error!r} | {error.__cause__!r}"
    assert SECRET not in told
    return told


def granting(**grant):
    return web.json_response({"access_token": "abc", **grant})


@pytest.mark.parametrize(
    ("grant", "seconds"),
    [
        ({"expires_in": 3599}, 3599.0),
        ({"expires_in": 59.5}, 59.5),
        ({"expires_in": "3599"}, 3599.0),  # Microsoft's first version says it as text
        ({}, 300.0),
        ({"expires_in": None}, 300.0),
        ({"expires_in": "soon"}, 300.0),
        ({"expires_in": "nan"}, 300.0),
        ({"expires_in": "1e999"}, 300.0),
        ({"expires_in": -5}, 0.0),
        ({"expires_in": 10**12}, 24 * 3600.0),
        ({"expires_in": 60, "token_type": "bearer", "scope": "a b", "other": [1]}, 60.0),
    ],
)
async def test_a_token_lives_as_long_as_it_is_said_within_reason(endpoint, tokens, grant, seconds):
    tokens.answers.append(granting(**grant))
    token = await asked(endpoint, tokens)
    assert (token.value, token.seconds) == ("abc", seconds)
    assert "abc" not in repr(token)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("invalid_client", "client_secret"),
        ("invalid_grant", "clock"),
        ("invalid_scope", "auth.scope"),
        ("invalid_target", "auth.resource"),
        ("invalid_request", "auth.audience"),
        ("unauthorized_client", "registered"),
        ("unsupported_grant_type", "token_url"),
    ],
)
@pytest.mark.parametrize("status", [400, 401])
async def test_a_refusal_is_about_our_credentials_and_says_what_to_do(
    endpoint, tokens, code, hint, status
):
    tokens.answers.append(web.json_response({"error": code}, status=status))
    told = await failure(endpoint, tokens, CloudUnauthorised)
    assert code in told
    assert hint in told


async def test_an_endpoint_that_repeats_what_it_was_sent_is_not_quoted(endpoint, tokens):
    answer = {"error": SECRET, "error_description": f"AADSTS7000215: wrong secret {SECRET}"}
    tokens.answers.append(web.json_response(answer, status=400))
    assert "AADSTS7000215" in await failure(endpoint, tokens, CloudUnauthorised)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_without_words_is_one_too(endpoint, tokens, status):
    tokens.answers.append(web.Response(status=status, text=SECRET))
    assert str(status) in await failure(endpoint, tokens, CloudUnauthorised)


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_a_wrong_url_is_told_from_wrong_credentials(endpoint, tokens, status):
    tokens.answers.append(web.Response(status=status, text=f"<html>{SECRET}"))
    assert "token_url" in await failure(endpoint, tokens, CloudRefused)


@pytest.mark.parametrize("status", [408, 429, 500, 503, 511])
async def test_a_bad_moment_is_no_refusal(endpoint, tokens, status):
    tokens.answers.append(
        web.json_response({"error": "x"}, status=status, headers={"Retry-After": "7"})
    )
    with pytest.raises(CloudUnreachable) as caught:
        await asked(endpoint, tokens)
    assert caught.value.retry_after == 7.0
    assert not is_lasting(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>please log in</html>",
        b"[]",
        b'{"token": "abc"}',
        b'{"access_token": 1}',
        b'{"access_token": "abc", "expires_in": []}',
        b'{"access_token": "abc", "expires_in": true}',
        b'{"access_token": "\xff\xfe"}',
        b'{"access_token": ""}',
        b'{"access_token": "abc def"}',
        b'{"access_token": "abc\\r\\nX-Other: 1"}',
        b'{"access_token": "a-secret-that-nobody-may-read',
        b"[" * 10_000,
    ],
)
async def test_nonsense_is_no_token(endpoint, tokens, answer):
    tokens.answers.append(web.Response(body=answer, content_type="application/json"))
    assert "captive portal" in await failure(endpoint, tokens, CloudUnreachable)


async def test_a_token_of_another_type_is_not_used(endpoint, tokens):
    tokens.answers.append(granting(token_type="DPoP"))
    assert "another type" in await failure(endpoint, tokens, CloudUnauthorised)


async def test_a_huge_answer_is_not_read(endpoint, tokens):
    tokens.answers.append(web.Response(body=b" " * 10_000_000))
    assert "more than a token" in await failure(endpoint, tokens, CloudUnreachable)


async def test_a_redirect_is_not_followed_with_the_secret(endpoint, tokens):
    tokens.answers.append(web.Response(status=307, headers={"Location": tokens.url}))
    assert "307, a redirect" in await failure(endpoint, tokens, CloudUnreachable)
    assert len(tokens.forms) == 1


async def test_an_endpoint_that_nobody_listens_at(endpoint, tokens):
    await tokens.stop()
    told = await failure(endpoint, tokens, CloudUnreachable)
    assert "refuses the connection" in told
    assert "the token endpoint is not running" in told


async def test_an_answer_that_drips_is_given_up(tokens):
    async def drip(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    def connect(encrypted):
        return new_client(None, None, Timeouts(), encrypted=encrypted)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CloudUnreachable, match="fell silent"):
            await TokenEndpoint("cloud", connect, seconds=0.2).ask(f"http://127.0.0.1:{port}", {})
