"""The root secret while the service runs, and how it lets go of it."""

from __future__ import annotations

import asyncio

import pytest

from edge import config
from edge.admin.local_keys import LockAsked, root_of_service
from edge.app import Appliance
from edge.crypto.escrow import Escrow
from edge.crypto.recovery import RecoveryKey
from edge.errors import DecisionRefused, KeyLocked
from edge.holding import Holding
from tests.journeys.box import settings


@pytest.fixture
def lab(tmp_path):
    return settings(tmp_path)


async def test_a_lock_down_ends_the_service_and_the_next_start_waits(lab, tmp_path):
    async with Appliance(lab) as box:
        with pytest.raises(DecisionRefused, match="no recovery key"):
            await box.holding.lock(LockAsked("somebody"))
        assert not box.holding.locking.is_set()
        escrow = Escrow(tmp_path, box.cache.keys)
        await asyncio.to_thread(escrow.keep, RecoveryKey.new().recipient, 0.0)
        await box.holding.lock(LockAsked("somebody"))
        assert await box.serve_until(asyncio.Event())
    with pytest.raises(KeyLocked, match="somebody locked it"):
        async with Appliance(lab):
            pass
    assert not await asyncio.to_thread((tmp_path / "root.key").exists)


async def test_who_is_told_to_stop_does_not_start_again_because_of_a_lock(lab):
    async with Appliance(lab) as box:
        stopping = asyncio.Event()
        stopping.set()
        box.holding.locking.set()
        assert not await box.serve_until(stopping)


async def test_commands_get_the_secret_from_the_service_that_runs(lab, tmp_path):
    async with Appliance(lab) as box:
        root = await asyncio.to_thread(root_of_service, tmp_path)
        assert box.cache.keys.escrow_root(bytes) == root


async def test_a_box_whose_ring_is_not_open_yet_can_be_locked_if_no_key_is_needed(tmp_path):
    passphrase = config.Config(
        appliance=config.Appliance(data_dir=tmp_path), keys=config.Keys(provider="passphrase")
    )
    holding = Holding(passphrase)
    await holding.lock(LockAsked("somebody"))
    assert holding.locking.is_set()
    file = Holding(config.Config(appliance=config.Appliance(data_dir=tmp_path / "another")))
    with pytest.raises(DecisionRefused):
        await file.lock(LockAsked("somebody"))
