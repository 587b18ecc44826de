"""What a client sends to its token endpoint."""

from __future__ import annotations

import pytest

from edge import others
from edge.cloud.oauth2 import ClientCredentials
from edge.errors import CloudUnauthorised


def client(tokens, endpoint, **more):
    name, secret = tokens.client
    said = {"token_url": tokens.url, "client_id": name, "client_secret": secret, **more}
    return ClientCredentials(others.Auth("oauth2", **said), endpoint)


@pytest.mark.parametrize("way", ["basic", "body"])
@pytest.mark.parametrize("secret", ["plain", "s3cret/+: %&=é~", "c:o:l:o:n"])
async def test_the_client_says_its_secret_in_either_way(tokens, endpoint, way, secret):
    tokens.client = ("edge 1", secret)
    assert (await client(tokens, endpoint, client_auth=way)()).value == "token-1"
    assert tokens.said == [way]


async def test_nothing_is_said_that_was_not_configured(tokens, endpoint):
    await client(tokens, endpoint)()
    assert tokens.forms == [{"grant_type": "client_credentials"}]


async def test_scope_audience_and_resource_are_said_as_they_are(tokens, endpoint):
    more = {
        "scope": "https://dicom.healthcareapis.azure.com/.default a+b",
        "audience": "https://archive.example",
        "resource": "urn:archive",
    }
    await client(tokens, endpoint, **more)()
    assert tokens.forms == [{"grant_type": "client_credentials", **more}]


async def test_the_secret_stands_in_the_header_or_in_the_body_and_never_in_both(tokens, endpoint):
    await client(tokens, endpoint)()
    await client(tokens, endpoint, client_auth="body")()
    basic, body = tokens.forms
    assert not {"client_id", "client_secret"} & set(basic)
    assert (body["client_id"], body["client_secret"]) == tokens.client


async def test_a_wrong_secret_is_named_as_such(tokens, endpoint):
    with pytest.raises(CloudUnauthorised, match="invalid_client") as caught:
        await client(tokens, endpoint, client_secret="hush")()
    assert "hush" not in f"{caught.value} {caught.value.hint}"
