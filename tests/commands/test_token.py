"""``edge token``, in processes of its own, beside a service that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest

from edge import config
from edge.access.roles import Role
from edge.app import Appliance
from tests import program

DAY = 86400


@pytest.fixture
async def box(tmp_path):
    """A box that runs."""
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
    )
    async with Appliance(loaded) as running:
        yield running


@pytest.fixture
async def token(box, tmp_path):
    """Runs the command on it."""
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n')

    async def run(*words):
        ran = await asyncio.to_thread(program.run, "token", *words, "--config", path)
        return ran.returncode, ran.stdout, ran.stderr

    return run


@contextlib.asynccontextmanager
async def asking(box, secret):
    headers = {"Authorization": f"Bearer {secret}"}
    base = f"http://127.0.0.1:{box.http_port}"
    async with httpx.AsyncClient(
        base_url=base, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


async def refused(viewer):
    """Ask until the answer is that."""
    while (await viewer.get("/dicom-web/studies")).status_code != 401:
        pass


async def listed(token):
    return json.loads((await token("list", "--json"))[1])


async def test_a_token_is_worth_nothing_the_moment_it_is_revoked(box, token):
    _, out, _ = await token("create", "--role", "viewer", "--name", "Reading room")
    (known,) = await listed(token)
    assert known["expires"] - known["created"] == pytest.approx(365 * DAY)
    async with asking(box, out.strip()) as viewer:
        assert (await viewer.get("/dicom-web/studies")).status_code == 200

        # It is in use all the time, so that it is remembered when it is revoked.
        using = asyncio.ensure_future(refused(viewer))
        assert (await token("revoke", known["token_id"]))[0] == 0
        assert (await viewer.get("/dicom-web/studies")).status_code == 401
        await using
    status, _, error = await token("revoke", known["token_id"])
    assert status == 1
    assert f"there is no token {known['token_id']}" in error
    assert "edge token list" in error


async def test_a_new_token_is_told_with_its_id_and_its_end(box, token):
    _, out, err = await token("create", "--role", "viewer", "--no-end")
    (known,) = await listed(token)
    assert f"edge token revoke {known['token_id']}; it does not end by itself" in err
    assert out.split() == [out.strip()]  # the secret alone: scripts read it there
    assert " never       never       viewer" in (await token("list"))[1]


async def test_a_token_is_narrowed_and_what_it_is_for_is_listed(box, token):
    status, out, _ = await token(
        *("create", "--role", "service", "--name", "CT gateway", "--days", "30"),
        *("--for", "dicomweb", "--for", "changefeed", "--may", "store"),
        *("--ae-title", "CT1", "--from", "127.0.0.0/8"),
    )
    assert status == 0
    async with asking(box, out.strip()) as gateway:
        assert (await gateway.get("/dicom-web/studies")).status_code == 403
        assert (await gateway.get("/api/v1/status")).status_code == 403
        assert (await gateway.post("/dicom-web/studies")).status_code == 400
    await box.cache.tokens.uses.flush()
    (known,) = await listed(token)
    assert known["services"] == ["changefeed", "dicomweb"]
    assert (known["acts"], known["ae_title"]) == (["store"], "CT1")
    assert (known["networks"], known["used_from"]) == (["127.0.0.0/8"], "127.0.0.1")
    _, plain, _ = await token("list")
    assert out.strip() not in plain
    assert "for changefeed, dicomweb; may store; stores as CT1; from 127.0.0.0/8" in plain
    assert "used last from 127.0.0.1" in plain


async def test_one_without_end_is_made_expressly_and_one_that_ends_soon_is_named(box, token):
    assert (await token("create", "--role", "viewer", "--no-end"))[0] == 0
    await box.cache.tokens.create(Role.VIEWER, "Old viewer", days=1e-7)
    _, plain, _ = await token("list")
    first, second = plain.splitlines()[1:]
    assert " never " in first
    assert " has ended " in second
    assert (await box.status()).sentence.startswith("Token Old viewer ended on ")


@pytest.mark.parametrize(
    "words",
    [
        ["--days", "0"],
        ["--days", "4000"],
        ["--from", "everywhere"],
        ["--ae-title", "back\\slash"],
        ["--may", "delete"],
        ["--name", "x" * 65],
    ],
    ids=lambda words: " ".join(words)[:20],
)
async def test_what_can_not_be_meant_is_refused(token, words):
    status, out, err = await token("create", "--role", "viewer", *words)
    assert (status, out) == (2, "")
    assert "the token can't be made" in err
    assert await listed(token) == []
