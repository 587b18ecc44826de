"""The network of a locked box, at its screen: where it waits for that, and nowhere else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from edge.app import Appliance
from edge.cache.condition import Level
from edge.console.box import LocalBox
from edge.console.service import ServiceState
from edge.errors import EdgeError, KeyLocked, Needs
from edge.machine.carrying import Carrier
from edge.machine.networks import read_network
from edge.machine.wishes import Keep, Move, Network
from tests.console.boxes import IN_USE, FakeBox
from tests.console.test_box import FIXED, admin, entries, loaded, machine
from tests.console.test_network import begun
from tests.console.test_page import press, shown, until
from tests.machine.machines import served

__all__ = ["loaded", "machine"]

LOCKED = replace(IN_USE, sentence="The box is locked: no server answers.", level=Level.ALARM)


class _Shut(LocalBox):
    """It waits for this."""

    needs = Needs.SERVER

    async def _state(self, config):
        if self.needs is not None:
            return ServiceState("The box is locked: no server answers.", needs=self.needs)
        return await super()._state(config)


@pytest.fixture
def box(loaded, machine):
    return _Shut(lambda: loaded, None, machine.places)


async def wished(box, machine, wish):
    async with asyncio.TaskGroup() as group:
        group.create_task(served(Carrier(machine.places, machine.tools)))
        await box.wish(wish, None)


async def test_a_box_that_waits_for_its_network_is_given_another_one_and_the_record_hears_of_it(
    loaded, box, machine
):
    async with Appliance(loaded) as service:
        await admin(service)
    await wished(box, machine, Network(FIXED))
    box.needs = None  # by these it opened
    async with Appliance(loaded):
        await wished(box, machine, Keep())
        assert (await asyncio.to_thread(read_network, machine.places)).kept == FIXED
        with pytest.raises(EdgeError, match="for admins"):
            await box.wish(Network(FIXED), None)
        with pytest.raises(EdgeError, match="for admins"):
            await box.wish(Keep(), None)
    done = [one for one in await entries(loaded, "administered") if "machine" in one.what]
    assert {one.what for one in done} == {"console: machine: Network", "console: machine: Keep"}
    assert {one.actor.proof for one in done} == {"stands before the box"}


@pytest.mark.parametrize("needs", [one for one in Needs if one is not Needs.SERVER])
async def test_a_box_that_is_locked_for_another_reason_is_given_none(
    loaded, box, machine, needs, monkeypatch
):
    def locked(_):
        raise KeyLocked("the box is locked", needs=needs)

    box.needs = needs
    monkeypatch.setattr("edge.console.box.LocalBox._opened", locked)
    with pytest.raises(KeyLocked):
        await box.wish(Network(FIXED), None)
    assert (await asyncio.to_thread(read_network, machine.places)).tried is None
    assert not (loaded.appliance.data_dir / "unlocked").exists()


@pytest.mark.parametrize("needs", list(Needs))
async def test_the_key_for_it_is_there_only_where_the_box_waits_for_a_server(needs):
    box = FakeBox(replace(LOCKED, needs=needs))
    async with shown(box) as (page, pilot):
        offered = {one.binding.key for one in page.screen.active_bindings.values()}
        assert ("n" in offered) is (needs is Needs.SERVER)
        assert "d" not in offered
        if needs is Needs.SERVER:
            await begun(pilot, address="192.168.1.10/24")
            await press(pilot, "yes")
            await until(pilot, lambda: (Keep(), None) in box.asked)
        else:
            await pilot.press("n")
        await pilot.press("d")
        await pilot.pause()
    assert not [one for one in box.asked if isinstance(one[0], Move) or one[0] == "log in"]
