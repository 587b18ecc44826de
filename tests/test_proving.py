"""The box proves that it does what it is for, and that leaves no trace."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from edge import config, others
from edge.admin.local import local_door
from edge.admin.local_keys import Waiting, when_locked
from edge.app import Appliance
from edge.errors import Needs
from edge.proving import Proving, prove_trial
from edge.updates.history import Cause
from edge.updates.journal import Trial
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
        found = await Proving(settings.appliance.data_dir, told.append, service=20).run()
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
            await prove_trial(Proving(settings.appliance.data_dir, service=20, reach=0.1), trial)
        assert caught.value.cause is Cause.LINE
        await prove_trial(
            Proving(settings.appliance.data_dir, service=20),
            Trial(version="1.1", before="1.0", boot_id="x"),
        )


async def test_a_service_that_does_not_come_is_not_waited_for_for_ever(settings, tmp_path):
    (tmp_path / "box").mkdir()
    trial = Trial(version="1.1", before="1.0", boot_id="x")
    with pytest.raises(NotProven, match="service: the service does not run"):
        await prove_trial(Proving(settings.appliance.data_dir, service=0.1), trial)


async def test_a_part_that_was_ill_before_is_not_asked_for(settings):
    async with running(settings) as box:
        box.supervisor._states["dropfolder"] = "failed: no such folder, starts again in 60 s"
        proving = Proving(settings.appliance.data_dir, service=0.1)
        [check] = await proving.run()
        assert check.why == "dropfolder: failed: no such folder, starts again in 60 s"
        assert all(check.ok for check in await proving.run(ailing=("dropfolder",)))


async def test_a_service_that_comes_late_is_waited_for(settings, tmp_path):
    (tmp_path / "box").mkdir()
    async with asyncio.TaskGroup() as group:
        proving = group.create_task(Proving(settings.appliance.data_dir, service=60).run())
        await asyncio.sleep(0)
        async with running(settings):
            assert all(check.ok for check in await proving)


@contextlib.asynccontextmanager
async def locked(folder, needs):
    """A service that waits for something, as its door says."""

    async def never(_):
        raise AssertionError

    waiting = Waiting(needs, f"it waits for a {needs}")
    parts = {"keys": f"locked: {waiting.why}"}
    more = when_locked(lambda: waiting, never, never)
    async with local_door(folder, lambda: parts, more=more):
        yield


@pytest.mark.parametrize("needs", [Needs.SERVER, Needs.RECOVERY_KEY, Needs.ADMIN])
async def test_what_no_passphrase_opens_is_not_waited_for_for_ever(tmp_path, needs):
    trial = Trial(version="1.1", before="1.0", boot_id="x")
    async with locked(tmp_path, needs):
        with pytest.raises(NotProven, match="service: the box is locked: it waits for a") as caught:
            await prove_trial(Proving(tmp_path, service=0.1), trial)
    # That no server answers, or somebody has locked it, is no fault of the version.
    assert (caught.value.cause is Cause.ITSELF) == (needs is Needs.RECOVERY_KEY)


@pytest.mark.parametrize("needs", [Needs.PASSPHRASE, Needs.NEW_PASSPHRASE])
async def test_somebody_who_knows_the_passphrase_is_waited_for(tmp_path, needs):
    trial = Trial(version="1.1", before="1.0", boot_id="x")
    async with locked(tmp_path, needs):
        proving = asyncio.create_task(prove_trial(Proving(tmp_path, service=0.1), trial))
        await asyncio.wait([proving], timeout=3)
        assert not proving.done()
    with pytest.raises(NotProven, match="the service does not run"):  # from here on it counts
        await proving


async def test_a_look_that_does_not_end_is_a_verdict(settings, monkeypatch):
    never = asyncio.Event()

    async def hangs(*_):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await never.wait()
                return

    async with running(settings) as box:
        proving = Proving(box.cache.folder, service=20, trip=0.1, closing=0.1)
        monkeypatch.setattr(proving, "_round_trip", hangs)
        found = await proving.run()
        never.set()
        assert [(check.name, check.ok) for check in found] == [
            ("service", True),
            ("index", True),
            ("images", False),
        ], found
        assert found[-1].why == "it takes too long"
        await asyncio.wait(proving._abandoned, timeout=20)


async def test_what_a_power_cut_left_of_a_look_goes(settings, tmp_path):
    left, others = (tmp_path / "box" / f"selftest-{name}" for name in ("left", "others"))
    async with running(settings):
        for folder in (left, others):
            await asyncio.to_thread(folder.mkdir)
        await asyncio.to_thread(os.utime, left, (1, 1))
        assert all(check.ok for check in await Proving(tmp_path / "box", service=20).run())
    assert not left.exists()
    assert others.exists()
