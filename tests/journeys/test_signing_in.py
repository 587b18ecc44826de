"""An archive that wants tokens: they end, and are revoked, while images go up and come down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge import config, others
from edge.cache.admission import Source
from edge.crypto.secrets import PURPOSE, seal_secret
from edge.dicom.instance import Origin
from tests.fakes.archive import FakeArchive
from tests.fakes.token_endpoint import FakeTokenEndpoint
from tests.journeys import box as box_of
from tests.samples import chunks, ct_series


@pytest.fixture
async def endpoint():
    async with FakeArchive() as archive, FakeTokenEndpoint() as endpoint:
        endpoint.archive = archive
        archive.authorization = "none was given yet"
        yield endpoint


def running(tmp_path, endpoint=None, secret=""):
    """The box, which signs in there with this secret."""
    settings = box_of.settings(tmp_path / "box")
    if endpoint is not None:
        auth = others.Auth(
            "oauth2",
            token_url=endpoint.url,
            client_id=endpoint.client[0],
            client_secret=secret,
        )
        archive = others.Archive("cloud", endpoint.archive.url, auth=auth)
        settings = replace(settings, cloud=config.Cloud((archive,)))
    return box_of.running(settings)


async def store(box, parts):
    for part in parts:
        await box.appliance.admission.store_instance(chunks(part.data), Source(Origin.DIMSE, "CT"))


async def sealed(tmp_path, secret):
    async with running(tmp_path) as box:
        key = box.appliance.cache.keys.derive(PURPOSE)
    return seal_secret(secret, key)


async def test_images_go_up_although_tokens_end_and_are_revoked(endpoint, tmp_path):
    secret = await sealed(tmp_path, endpoint.client[1])
    parts = list(ct_series(9, rows=16, columns=16))
    endpoint.grants["expires_in"] = 1
    async with running(tmp_path, endpoint, secret) as box:
        await store(box, parts[:3])
        await box.until_verified(3)
        endpoint.grants["expires_in"] = 3600
        await asyncio.sleep(1.0)
        await store(box, parts[3:6])
        await box.until_verified(6)
        endpoint.archive.authorization = "all tokens were revoked"
        await store(box, parts[6:])
        await box.until_verified(9)
    assert {held.part10 for held in endpoint.archive.instances.values()} == {
        part.data for part in parts
    }
    assert set(endpoint.archive.received.values()) == {1}
    assert endpoint.given >= 3


async def test_without_tokens_the_box_works_and_says_what_must_be_mended(
    endpoint, tmp_path, caplog
):
    (part,) = ct_series(1, rows=16, columns=16)
    async with running(tmp_path, endpoint, "a-wrong-secret") as box:
        await store(box, [part])
        await box.until_offline()
        (state,) = (await box.appliance.status()).archives
        assert state.lasting
        assert "invalid_client" in state.reason
        assert "client_secret" in state.reason
        assert await box.custody() == {"EDGE_ONLY": 1}
        # Mended where the client is registered: no restart.
        endpoint.client = (endpoint.client[0], "a-wrong-secret")
        await box.until_verified(1)
    assert "invalid_client" in caplog.text
    assert "a-wrong-secret" not in caplog.text
    assert not any(
        b"a-wrong-secret" in path.read_bytes()
        for path in (tmp_path / "box").rglob("*")
        if path.is_file()
    )
