"""A whole box: it asks nothing at its start, lets somebody in by the provider, goes on alone."""

from __future__ import annotations

import httpx

from edge import config, others
from edge.app import Appliance
from edge.crypto.secrets import seal_secret
from tests.access.oidc.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from tests.test_app import settings


async def test_a_box_asks_nothing_at_its_start_and_lets_people_in_and_goes_on_alone(tmp_path):
    fake = FakeProvider()
    async with fake:
        oidc = others.Oidc(
            issuer=fake.issuer,
            client_id=CLIENT_ID,
            client_secret=f"file:{tmp_path / 'secret'}",
            roles={"grp-radiology": "physician"},
        )
        (tmp_path / "secret").write_text(CLIENT_SECRET + "\n")
        said = settings(tmp_path / "box", access=config.Access(oidc=oidc))
        async with (
            Appliance(said) as box,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{box.http_port}", timeout=60) as client,
        ):
            assert fake.asked == []
            assert box.parts()["oidc"] == "running"
            begun = await client.get("/login/oidc")
            assert begun.status_code == 303
            ended = await client.get(fake.back(begun.headers["Location"]))
            assert ended.status_code == 200, ended.text
            who = await client.get("/login")
            assert (who.json()["name"], who.json()["role"]) == ("oidc:anna", "physician")
            assert (await client.get("/dicom-web/studies")).is_success
            assert (await client.get("/api/v1/users")).status_code == 403
            await fake.stop()
            assert (await client.get("/login")).status_code == 200


async def test_a_secret_that_can_not_be_opened_lets_nobody_in_and_ends_no_start(tmp_path):
    async with FakeProvider() as fake:
        oidc = others.Oidc(
            issuer=fake.issuer,
            client_id=CLIENT_ID,
            client_secret=seal_secret(CLIENT_SECRET, bytes(32)),
            roles={"grp-radiology": "physician"},
        )
        said = settings(tmp_path / "box", access=config.Access(oidc=oidc))
        async with (
            Appliance(said) as box,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{box.http_port}", timeout=60) as client,
        ):
            (lost,) = (await box.status()).lost_secrets
            assert (lost.key, lost.archive) == ("access.oidc.client_secret", "")
            begun = await client.get("/login/oidc")
            assert begun.status_code == 503
            assert "can&#x27;t open its own secret for the identity provider" in begun.text
            assert "log in by another way" in begun.text
            ended = await client.get("/login/oidc/back?code=x&state=y")
            assert ended.status_code == 403
            assert (await client.get("/login")).status_code == 401
            code = (await box.cache.users.first_code()).code
            asked = {"code": code, "name": "grace", "password": "seven quiet lamps"}
            assert (await client.post("/login/redeem", json=asked)).is_success
            assert box.parts()["oidc"] == "running"
        assert fake.asked == []
