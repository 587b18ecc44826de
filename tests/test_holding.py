"""The root secret while the service runs, and how it lets go of it."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from edge import config, locked
from edge.access.audit.entry import Event, Kind
from edge.access.audit.search import Asked
from edge.access.audit.search import entries as recorded
from edge.admin.local_keys import (
    LockAsked,
    LockedNow,
    Opening,
    lock_service,
    open_service,
    root_of_service,
    state_of_service,
)
from edge.app import Appliance
from edge.crypto.custodian import MARKER, Custodian
from edge.crypto.escrow import Escrow
from edge.crypto.providers import FileKeyProvider
from edge.crypto.recovery import RecoveryKey
from edge.errors import DecisionRefused, KeyLocked, Needs, WrongKey
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


async def test_a_key_that_can_not_be_destroyed_ends_the_service_all_the_same(
    lab, tmp_path, monkeypatch
):
    """As on a medium that can't be written: the box is locked, and its answer says what is left."""

    def destroy(_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/media/root.key")

    async with Appliance(lab) as box:
        escrow = Escrow(tmp_path, box.cache.keys)
        await asyncio.to_thread(escrow.keep, RecoveryKey.new().recipient, 0.0)
        monkeypatch.setattr(FileKeyProvider, "destroy", destroy)
        answer = await asyncio.to_thread(lock_service, tmp_path, LockAsked("somebody"))
        assert answer == LockedNow("/media/root.key: Read-only file system")
        assert await box.serve_until(asyncio.Event())
    start = asyncio.create_task(locked.root_secret(lab))
    assert (await waits(tmp_path)).needs is Needs.RECOVERY_KEY
    start.cancel()
    await asyncio.wait([start])
    with pytest.raises(KeyLocked, match="somebody locked it"):
        async with Appliance(lab):
            pass


async def waits(folder):
    """What the start of a box waits for."""
    async with asyncio.timeout(60):
        while not (found := await asyncio.to_thread(state_of_service, folder)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


async def test_whatever_fails_a_box_that_is_written_down_as_locked_ends(lab, tmp_path, monkeypatch):
    def shut(*_):
        raise RuntimeError("on purpose")

    async with Appliance(lab) as box:
        escrow = Escrow(tmp_path, box.cache.keys)
        await asyncio.to_thread(escrow.keep, RecoveryKey.new().recipient, 0.0)
        monkeypatch.setattr(Custodian, "_shut", shut)
        with pytest.raises(RuntimeError):
            await box.holding.lock(LockAsked("somebody"))
        assert await box.serve_until(asyncio.Event())


async def test_a_full_disk_gives_the_room_that_is_set_aside_for_a_lock_down(
    lab, tmp_path, monkeypatch
):
    write, ballast = os.write, tmp_path / "ballast"

    def full(descriptor, data):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if name == f"{MARKER}.new" and ballast.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    async with Appliance(lab) as box:
        assert await asyncio.to_thread(ballast.exists)
        monkeypatch.setattr(os, "write", full)
        assert await box.holding.lock(LockAsked("somebody", force=True)) == ""
        assert box.holding.locking.is_set()


def key_acts(entries):
    return [
        (entry.what, entry.actor.name, entry.actor.address, entry.times, str(entry.outcome))
        for entry in entries
        if entry.event is Event.KEY
    ]


async def test_the_audit_hears_who_opened_the_box_how_and_after_what(tmp_path):
    lab = settings(tmp_path, keys={"provider": "passphrase", "grace_hours": 0.0})
    good = "seven herons over a wet field"
    for tries in (0, 2):
        start = asyncio.create_task(locked.root_secret(lab))
        await waits(tmp_path)
        for number in range(tries):
            wrong = Opening(f"{good} {number}", by="Ada")
            with pytest.raises(WrongKey):
                await asyncio.to_thread(open_service, tmp_path, wrong)
        await asyncio.to_thread(open_service, tmp_path, Opening(good, by="Ada"))
        async with Appliance(lab, root=await start) as box:
            if not tries:
                await box.holding.lock(LockAsked("Bert"))
        entries = await asyncio.to_thread(list, recorded(box.cache.audit.folder, Asked()))
    assert key_acts(entries) == [
        ("the box was opened", "Ada", "", 1, "0"),
        ("the box was locked", "Bert", "", 1, "0"),
        ("wrong tries to open the box", "Ada", "", 2, "4"),
        ("the box was opened", "Ada", "", 1, "0"),
    ]
    acts = [entry for entry in entries if entry.event is Event.KEY]
    assert acts[0].detail == {"by": "the passphrase"}
    assert acts[3].detail == {"by": "the passphrase", "locked by": "Bert"}
    assert all(entry.actor.kind is Kind.MACHINE for entry in (acts[0], acts[2], acts[3]))
    assert not await asyncio.to_thread(list, tmp_path.glob("unlocked*"))
