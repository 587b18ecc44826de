"""The box proves that it does what it is for, and that leaves no trace."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from edge import config, others
from edge.app import Appliance
from edge.proving import Proving, prove_trial
from edge.updates.journal import Cause, Trial
from edge.updates.trial import NotProven


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
        cloud=config.Cloud((others.Archive("away", "http://127.0.0.1:9/dicom-web"),)),
    )


@contextlib.asynccontextmanager
async def running(settings):
    async with Appliance(settings) as box:
        yield box


async def test_a_box_that_works_is_proven_and_is_as_it_was(settings, tmp_path):
    told = []
    async with running(settings) as box:
        found = await Proving(settings, told.append, service=20).run()
        assert found == told
        assert [(check.name, check.ok) for check in found] == [
            ("service", True),
            ("index", True),
            ("images", True),
        ], found
        assert (await box.status()).summary.instances == 0
        assert not list((tmp_path / "box").glob("selftest-*"))


async def test_an_archive_that_was_reached_before_has_to_be_again(settings):
    trial = Trial(version="1.1", before="1.0", boot_id="x", reached=("away",))
    async with running(settings):
        with pytest.raises(NotProven, match="archives: it was reached before") as caught:
            await prove_trial(Proving(settings, service=20, reach=0.1), trial)
        assert caught.value.cause is Cause.LINE
        await prove_trial(
            Proving(settings, service=20), Trial(version="1.1", before="1.0", boot_id="x")
        )


async def test_a_service_that_does_not_come_is_not_waited_for_for_ever(settings, tmp_path):
    (tmp_path / "box").mkdir()
    trial = Trial(version="1.1", before="1.0", boot_id="x")
    with pytest.raises(NotProven, match="service: the service does not run"):
        await prove_trial(Proving(settings, service=0.1), trial)


async def test_a_part_that_was_ill_before_is_not_asked_for(settings):
    async with running(settings) as box:
        box.supervisor._states["dropfolder"] = "failed: no such folder, starts again in 60 s"
        proving = Proving(settings, service=0.1)
        [check] = await proving.run()
        assert check.why == "dropfolder: failed: no such folder, starts again in 60 s"
        assert all(check.ok for check in await proving.run(ailing=("dropfolder",)))


async def test_a_service_that_comes_late_is_waited_for(settings, tmp_path):
    (tmp_path / "box").mkdir()
    async with asyncio.TaskGroup() as group:
        proving = group.create_task(Proving(settings, service=60).run())
        await asyncio.sleep(0)
        async with running(settings):
            assert all(check.ok for check in await proving)
