"""A service account against an endpoint that checks its signature."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from edge import others
from edge.cloud.google import SCOPE, ServiceAccount
from edge.errors import CloudUnauthorised

EMAIL = "edge@clinic.iam.gserviceaccount.example"


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def write(tmp_path, tokens, key):
    """Writes the key file; what it holds, or the same with changes."""
    tokens.public_key = key.public_key()

    def call(**changes):
        path = tmp_path / "key.json"
        content = {
            "type": "service_account",
            "project_id": "clinic",
            "private_key_id": "k1",
            "private_key": pem(key),
            "client_email": EMAIL,
            "token_uri": tokens.url,
            **changes,
        }
        path.write_text(json.dumps(content))
        return path

    return call


def account(path, endpoint, now=1_700_000_000.75, **more):
    return ServiceAccount(others.Auth("google", key_file=path, **more), endpoint, clock=lambda: now)


async def test_the_assertion_is_signed_and_says_who_asks_for_what(write, tokens, endpoint):
    assert (await account(write(), endpoint)()).value == "token-1"
    header, claims = tokens.assertions[0]
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert claims == {
        "iss": EMAIL,
        "scope": SCOPE,
        "aud": tokens.url,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }
    assert set(tokens.forms[0]) == {"grant_type", "assertion"}


async def test_the_endpoint_and_the_scope_may_be_others(write, tokens, endpoint):
    path = write(token_uri="https://oauth2.google.example/token", private_key_id="")
    await account(path, endpoint, token_url=tokens.url, scope="a b")()
    header, claims = tokens.assertions[0]
    assert "kid" not in header
    assert (claims["aud"], claims["scope"]) == (tokens.url, "a b")


async def test_a_new_key_needs_no_restart(write, tokens, endpoint):
    ask = account(write(), endpoint)
    await ask()
    new = rsa.generate_private_key(65537, 2048)
    tokens.public_key = new.public_key()
    write(private_key=pem(new))
    assert (await ask()).value == "token-2"


async def test_a_key_that_was_revoked_is_told_from_a_line_that_is_down(write, tokens, endpoint):
    path = write()
    tokens.public_key = rsa.generate_private_key(65537, 2048).public_key()
    with pytest.raises(CloudUnauthorised, match="invalid_grant") as caught:
        await account(path, endpoint)()
    assert "clock" in caught.value.hint


async def test_a_key_of_another_kind_is_refused(write, endpoint):
    path = write(private_key=pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(CloudUnauthorised, match="holds no RSA key"):
        await account(path, endpoint)()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read: No such file"),
        ("", "is not a key of a service account"),
        ("hush", "is not a key of a service account"),
        ('{"type": "authorized_user", "refresh_token": "hush"}', "is not a key of a service"),
        ('{"client_email": "hush", "private_key": "hush", "token_uri": "x"}', "no RSA key"),
        ('"' + "hush" * 20_000, "is not a key of a service account"),
    ],
)
async def test_a_key_file_that_is_of_no_use(tmp_path, endpoint, content, why):
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CloudUnauthorised, match=why) as caught:
        await account(path, endpoint)()
    error = caught.value
    assert "hush" not in f"{error} {error.hint} {error.__cause__!r}"
    assert str(path) in str(error)
    assert "auth.key_file" in error.hint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://oauth2.google.example/token",
        "ftp://127.0.0.1",
        "https://",
        "http://[",
        "https://a:b",
        "x",
    ],
)
async def test_an_assertion_never_travels_in_the_clear(write, tokens, endpoint, url):
    with pytest.raises(CloudUnauthorised, match="token_uri"):
        await account(write(token_uri=url), endpoint)()
    assert not tokens.forms
