"""Factory reset: nothing that exists only here is lost by accident, and keys go first."""

from __future__ import annotations

import asyncio

import pytest

from edge import config, resetting
from edge.access.audit.entry import Actor
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.errors import DecisionRefused, EdgeError, SecretError, StorageFull
from edge.machine.carrying import Carrier
from edge.machine.places import Places
from edge.opening import Cache
from edge.resetting import Resetting, Standing
from tests.machine.machines import machine_in, served
from tests.samples import chunks, ct_series
from tests.witnesses import recorded

ANNA = Actor("anna")


@pytest.fixture
def loaded(tmp_path):
    return config.Config(
        appliance=config.Appliance(name="radiology", data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
    )


@pytest.fixture
def nowhere(tmp_path):
    """A machine that takes no wishes."""
    return Places.under(tmp_path / "nowhere")


async def store(box):
    """An image that no archive has."""
    [sample] = ct_series(1, seed=4)
    await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE, "CT"))


async def start_once(loaded, *, image=False):
    async with Appliance(loaded) as box:
        if image:
            await store(box)


async def test_a_box_without_images_is_as_on_its_first_day(loaded, nowhere):
    await start_once(loaded)
    assert await Resetting(loaded, nowhere, ANNA).reset(is_forced=False) == Standing(0, 0)
    assert list(loaded.appliance.data_dir.iterdir()) == []
    await start_once(loaded)  # it is a new one


async def test_what_exists_only_here_is_lost_by_force_alone(loaded, nowhere):
    await start_once(loaded, image=True)
    before = sorted(path.name for path in loaded.appliance.data_dir.iterdir())
    with pytest.raises(DecisionRefused, match="1 study exists only here") as caught:
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    assert "force" in caught.value.hint
    assert before == sorted(path.name for path in loaded.appliance.data_dir.iterdir())
    assert await Resetting(loaded, nowhere, ANNA).reset(is_forced=True) == Standing(1, 0)
    assert list(loaded.appliance.data_dir.iterdir()) == []


async def test_what_no_archive_was_proven_to_have_is_perhaps_only_here(loaded, nowhere):
    await start_once(loaded, image=True)
    async with Cache(loaded) as cache:
        await cache.database.write(
            lambda db: db.execute("UPDATE instances SET custody = 'ACKNOWLEDGED'")
        )
    with pytest.raises(DecisionRefused, match="1 study exists perhaps only here"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)


async def test_what_would_be_lost_is_in_the_record_before_anything_goes(
    loaded, nowhere, monkeypatch
):
    await start_once(loaded, image=True)
    monkeypatch.setattr(resetting, "destroy_file", fail)
    with pytest.raises(SecretError, match="can't be destroyed"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
    async with Cache(loaded) as cache:
        entries = await asyncio.to_thread(recorded, cache)
    [entry] = [one for one in entries if one.what == "factory reset"]
    assert entry.actor == ANNA
    assert entry.detail == {"lost": "1 study exists only here", "forced": "True"}


def fail(*_):
    raise OSError(30, "Read-only file system")


async def test_the_keys_go_first(loaded, nowhere, monkeypatch):
    await start_once(loaded)
    monkeypatch.setattr(Resetting, "_remove_all", cut_short)
    with pytest.raises(OSError, match="power"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    left = {path.name for path in loaded.appliance.data_dir.iterdir()}
    assert "index.db" in left
    assert not left & {"keys.db", "keys.db.copy", "root.key"}
    with pytest.raises(EdgeError):
        await start_once(loaded)  # whatever is there opens no more
    monkeypatch.undo()
    with pytest.raises(DecisionRefused, match="can't be told"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
    assert list(loaded.appliance.data_dir.iterdir()) == []


def cut_short(_):
    raise OSError("power")


async def test_a_service_that_runs_is_not_reset_under_its_feet(loaded, nowhere):
    async with Appliance(loaded) as box:
        with pytest.raises(DecisionRefused, match="the service runs"):
            await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
        await store(box)


async def test_on_an_appliance_intake_ends_while_it_is_asked_and_goes_on_if_refused(
    loaded, tmp_path
):
    machine = machine_in(tmp_path / "machine")
    async with Appliance(loaded) as box:
        await store(box)
        with pytest.raises(DecisionRefused, match="only here"):
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        assert box.intake.why() == ""
        await box.admission.make_room()
    assert machine.called == []


async def test_on_an_appliance_root_does_the_rest(loaded, tmp_path):
    machine = machine_in(tmp_path / "machine")
    carrier = Carrier(machine.places, machine.tools, called=lambda: "radiology")
    async with Appliance(loaded) as box:
        async with asyncio.TaskGroup() as group:
            group.create_task(served(carrier))
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        # Nothing more comes in until root ends the service.
        with pytest.raises(StorageFull, match="being reset"):
            await box.admission.make_room()
    assert machine.called[0].startswith("systemctl stop edge.service")
    assert machine.called[-1] == "systemctl --no-block reboot --force"
    assert not (loaded.appliance.data_dir / "keys.db").exists()
