"""``edge commit``, in processes of its own, beside a running service and without one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.commitments import Asked
from edge.commands.words import moment
from tests import program

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0", commit_grace_seconds=0.0),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    return path


async def edge(path, *arguments):
    return await asyncio.to_thread(program.run, *arguments, "--config", path)


async def tried(box):
    """Ask for what is not here, in the name of a peer that is nowhere, until that was tried."""
    await box.cache.commitments.ask(Asked("CT1", "1.2.9", ((CT, "1.2.3"),)))
    box.changes.wake()
    async with asyncio.timeout(60):
        with box.changes.subscribe() as woken:
            while not (await box.status()).commitments.reason:
                await woken.wait(0.05)


async def test_it_lists_retries_and_forgets_beside_the_service(settings, path):
    async with Appliance(settings) as box:
        await tried(box)
        said = await edge(path, "commit", "list")
        assert said.returncode == 0
        assert "storage commitments: 1" in said.stdout
        assert "1.2.9  (from CT1)" in said.stdout
        assert "decided, will be reported" in said.stdout
        assert "no [[dimse.peer]] says the host" in said.stdout
        said = await edge(path, "status")
        assert "storage commitments   0 wait, 1 to be reported" in said.stdout
        assert "did not get through: CT1: no [[dimse.peer]] says the host" in said.stdout
        said = await edge(path, "commit", "retry", "1.2.9")
        assert "edge: retry: 1 storage commitments now" in said.stderr
        said = await edge(path, "commit", "forget", "1.2.9")
        assert "edge: forget: 1 storage commitments" in said.stderr
        assert (await box.cache.commitments.page()).total == 0


async def test_it_says_what_a_commitment_waits_for_and_until_when(settings, path):
    dimse = replace(settings.dimse, commit_grace_seconds=60.0)
    async with Appliance(replace(settings, dimse=dimse)) as box:
        await box.cache.commitments.ask(Asked("CT1", "1.2.9", ((CT, "1.2.3"),)))
        asked = (await box.cache.commitments.page()).items[0].asked
        said = await edge(path, "commit", "list")
        assert (
            f"state     waits: 1 not here, may still come until {moment(asked + 60)}" in said.stdout
        )


async def test_without_the_service_it_is_reported_at_the_next_start(settings, path):
    async with Appliance(settings) as box:
        await tried(box)
        # As after a week.
        await box.cache.database.write(
            lambda db: db.execute(
                "UPDATE commitments SET outcome = 'GIVEN_UP', ended = 1, reason = 'it is off'"
            )
        )
        assert (
            "1 storage commitment could not be reported: CT1: it is off."
            in (await box.status()).sentence
        )
    said = await edge(path, "commit", "list")
    assert "given up" in said.stdout
    said = await edge(path, "commit", "retry", "--all")
    assert "1 storage commitments when the service starts" in said.stderr
    page = json.loads((await edge(path, "commit", "list", "--json")).stdout)
    assert page["items"][0]["outcome"] == ""
    said = await edge(path, "commit", "list")
    assert "decided, is being reported" in said.stdout


@pytest.mark.parametrize("act", ["retry", "forget"])
@pytest.mark.parametrize("about", [(), ("1.2", "--all")])
async def test_what_it_is_about_must_be_said_once(path, act, about):
    said = await edge(path, "commit", act, *about)
    assert said.returncode == 2
    assert "it is not clear about which transactions that is" in said.stderr
