"""The provider, as it is asked: what is known, what is asked for again, how we say who we are."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from edge.access.roles import Role
from edge.errors import IssuerError, IssuerUnreachable
from tests.access.oidc.conftest import BACK, Way
from tests.access.oidc.provider import EC_KEY, RSA_KEYS, private_pem
from tests.access.people import World


def count(way, path):
    return sum(asked == path for _, asked in way.fake.asked)


async def test_what_is_known_is_asked_for_once_an_hour(way):
    await way.enter()
    await way.enter()
    assert (count(way, "/.well-known/openid-configuration"), count(way, "/jwks")) == (1, 1)
    way.clock.now += 3601
    await way.enter()
    assert (count(way, "/.well-known/openid-configuration"), count(way, "/jwks")) == (2, 2)


async def test_keys_that_were_rotated_are_asked_for_and_old_ones_are_worth_nothing(way):
    await way.enter()
    way.clock.now += 61
    way.fake.keys, way.fake.sign_with = {"k2": RSA_KEYS[1]}, "k2"
    assert (await way.enter()).session.role is Role.PHYSICIAN
    way.fake.keys, way.fake.sign_with = {"k1": RSA_KEYS[0]}, "k1"
    way.fake.published = list
    with pytest.raises(IssuerError, match="does not publish"):
        await way.enter()


async def test_a_key_that_is_missing_is_asked_for_once_a_minute(way):
    await way.enter()
    way.fake.keys["k9"], way.fake.sign_with = RSA_KEYS[1], "k9"
    published = way.fake.published
    way.fake.published = lambda: published()[:1]
    way.clock.now += 61
    for _ in range(5):
        with pytest.raises(IssuerError, match="does not publish"):
            await way.enter()
    assert count(way, "/jwks") == 2


async def test_a_provider_that_is_away_is_asked_every_few_seconds(way):
    async def away(_request):
        return web.Response(status=503)

    way.fake.answer = away
    for _ in range(5):
        with pytest.raises(IssuerUnreachable):
            await way.login.begin(BACK)
    assert len(way.fake.asked) == 1
    way.fake.answer = None
    way.clock.now += 5
    await way.login.begin(BACK)


async def test_many_at_once_ask_once(way):
    await asyncio.gather(*(way.login.begin(BACK) for _ in range(10)))
    assert len(way.fake.asked) == 1


@pytest.mark.parametrize("key", [RSA_KEYS[0], EC_KEY], ids=["rsa", "ec"])
async def test_a_client_that_signs(fake, database, tmp_path, key):
    path = tmp_path / "client.pem"
    path.write_bytes(private_pem(key))
    fake.auth_methods, fake.client_key = ("key",), key.public_key()
    way = Way(fake, World(database), client_auth="key", client_key=path, client_secret="")
    assert (await way.enter()).session.role is Role.PHYSICIAN
    path.write_text("no key")
    with pytest.raises(IssuerError, match="client_key"):
        await way.enter()


@pytest.mark.parametrize("way_of", ["body", "none"])
async def test_a_client_that_says_it_otherwise(fake, database, way_of):
    fake.auth_methods = (way_of,)
    more = {"client_secret": ""} if way_of == "none" else {}
    way = Way(fake, World(database), client_auth=way_of, **more)
    assert (await way.enter()).session.role is Role.PHYSICIAN
    fake.auth_methods = ("basic",)
    with pytest.raises(IssuerError, match="invalid_client"):
        await way.enter()


@pytest.mark.parametrize(
    ("supported", "asked"),
    [
        (None, "openid profile offline_access"),
        (["openid", "offline_access"], "openid profile offline_access"),
        (["openid", "profile"], "openid profile"),
    ],
)
async def test_scopes_that_are_asked_for(way, supported, asked):
    way.fake.metadata = {"scopes_supported": supported}
    await way.enter()
    assert way.fake.last["scope"] == asked


async def test_a_page_of_log_in_with_a_query_keeps_it(way):
    way.fake.metadata = {"authorization_endpoint": f"{way.fake.issuer}/authorize?tenant=a"}
    begun = await way.login.begin(BACK)
    assert f"{way.fake.issuer}/authorize?tenant=a&response_type=code" in begun.url


@pytest.mark.parametrize(
    "metadata",
    [
        {"token_endpoint": None},
        {"jwks_uri": 7},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://a\r\nSet-Cookie: a=b"},
        {"authorization_endpoint": "https://["},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    ],
    ids=str,
)
async def test_metadata_that_can_t_be_used(way, metadata):
    way.fake.metadata = metadata
    with pytest.raises(IssuerError):
        await way.login.begin(BACK)
    way.fake.metadata = {}
    await way.login.begin(BACK)


@pytest.mark.parametrize("address", ["https://xn--a/", "https://127.0.0.1:99999/", "https://["])
async def test_an_address_that_can_t_be_one_is_asked_nothing(way, address):
    way.fake.metadata = {"token_endpoint": address}
    with pytest.raises(IssuerError):
        await way.enter()
    way.fake.metadata = {}


async def test_keys_whose_parts_are_no_text_are_left_out(way):
    way.fake.published = lambda: [{"kty": [], "kid": "k1"}, {"kty": "RSA", "alg": {}}, 7]
    with pytest.raises(IssuerError, match="does not publish"):
        await way.enter()


async def test_an_access_token_that_no_header_can_hold_is_none(way):
    way.fake.in_id_token = False
    granted = way.fake._grant

    def grant(*whom):
        said = json.loads(granted(*whom).text)
        return web.json_response({**said, "access_token": "\u00e4"})

    way.fake._grant = grant
    with pytest.raises(IssuerError, match="access token"):
        await way.enter()


async def test_roles_where_the_way_leads_into_the_claim(fake, database):
    way = Way(fake, World(database), role_claim="realm_access.roles")
    fake.people["sub-anna"]["realm_access"] = {"roles": ["grp-all", "grp-radiology", 7, None]}
    assert (await way.enter()).session.role is Role.PHYSICIAN
    fake.people["sub-anna"]["realm_access.roles"] = "grp-all"
    assert (await way.enter()).session.role is Role.VIEWER
