"""A whole box: it asks nothing at its start, lets somebody in by the provider, goes on alone."""

from __future__ import annotations

import httpx

from edge import config, others
from edge.app import Appliance
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
