"""Of a file that was cut short, nothing stays in force; of one whose settings fail, neither."""

from __future__ import annotations

import asyncio
import errno
import threading
from argparse import Namespace
from functools import partial

import pytest
import trustme

from edge.cache.own_settings import FORMER, OwnSettings, prove, said_in, take_back
from edge.commands import serve
from edge.errors import AccessDenied, DecisionRefused, MachineRefused
from edge.loading import OWN, load
from edge.machine.asking import NoAnswer
from edge.machine.carrying import Carrier
from edge.machine.networks import NetworkState, read_network
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Trust
from edge.provision import journal
from edge.provision.file import read_setup
from edge.provision.journal import (
    HalfTaken,
    is_open,
    may_have_admin,
    read_provisioned,
    undo_settings,
)
from edge.provision.taking import CutShort, may_pass
from tests.machine.machines import machine_in

TOKEN = "7K2M-Q0XE-41TR-ZB9D"
PASSWORD = "correct horse battery staple"
FIRST = f"""[setup]
token = "{TOKEN}"
ca = "ca.pem"
[setup.network]
address = ["192.0.2.10/24"]
[appliance]
name = "clinic-a"
[[cloud.archive]]
name = "a"
url = "https://archive-a.example/dicom-web"
"""
SECOND = '[appliance]\nname = "clinic-b"\n'
NETWORK = NetworkSettings(address=("192.0.2.10/24",))


class PowerCut(BaseException):
    """Nothing of the process happens any more."""


@pytest.fixture(scope="module")
def beside():
    return {"ca.pem": trustme.CA().cert_pem.bytes()}


@pytest.fixture
def cut(monkeypatch):
    """Cuts the power before, or after, a step."""

    def cut(name, *, after=False):
        real = getattr(*name)

        async def end(self, *words, **more):
            if after:
                await real(self, *words, **more)
            raise PowerCut

        async def nothing(_):
            return []

        monkeypatch.setattr(*name, end)
        monkeypatch.setattr(journal.Journal, "undo", nothing)

    return cut


async def loaded(tmp_path):
    return await asyncio.to_thread(load, tmp_path / "edge.toml", {})


async def is_new(cache, tmp_path):
    now = await loaded(tmp_path)
    assert (now.appliance.name, now.cloud.archive) == ("edge", ())
    assert await asyncio.to_thread(read_provisioned, cache.folder) is None
    assert not await asyncio.to_thread(is_open, cache.folder)
    with pytest.raises(AccessDenied):
        await cache.users.redeem(TOKEN, PASSWORD, name="anna")


async def half_taken(box, beside, monkeypatch, cut, **more):
    cut((journal.Journal, "mark"), **more)
    with pytest.raises(PowerCut):
        await box().take(read_setup(FIRST, "first"), "stick", beside)
    monkeypatch.undo()


async def undone(cache):
    """As a start does it that knows that there is nobody."""
    await asyncio.to_thread(partial(undo_settings, cache.folder, is_new=True))


async def test_another_file_finds_nothing_of_one_that_was_cut_short(
    box, cache, wishes, beside, cut, monkeypatch, tmp_path
):
    """Its archive, its authority and its token were in force, and nobody was told."""
    await half_taken(box, beside, monkeypatch, cut)
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"
    wishes.clear()
    taken = await box().take(read_setup(SECOND, "second"), "stick", {})
    assert taken.is_new
    assert wishes == [Trust(""), Back()]
    now = await loaded(tmp_path)
    assert (now.appliance.name, now.cloud.archive) == ("clinic-b", ())
    with pytest.raises(AccessDenied):
        await cache.users.redeem(TOKEN, PASSWORD, name="anna")


async def test_the_same_file_is_taken_once_more(box, cache, beside, cut, monkeypatch):
    await half_taken(box, beside, monkeypatch, cut)
    assert (await box().take(read_setup(FIRST, "first"), "stick", beside)).is_new
    assert (await cache.users.redeem(TOKEN, PASSWORD, name="anna")).role == "admin"


async def test_the_next_start_finds_no_settings_of_one(
    box, cache, beside, cut, monkeypatch, tmp_path
):
    await half_taken(box, beside, monkeypatch, cut)
    assert await asyncio.to_thread(may_have_admin, cache.folder)
    await undone(cache)
    assert (await loaded(tmp_path)).appliance.name == "edge"
    assert not (cache.folder / FORMER).exists()
    assert not await asyncio.to_thread(may_have_admin, cache.folder)
    await box().settle()
    await is_new(cache, tmp_path)


async def test_the_service_starts_whatever_became_of_the_settings_or_the_journal(
    box, cache, beside, cut, monkeypatch, caplog
):
    await half_taken(box, beside, monkeypatch, cut)
    (cache.folder / OWN).write_bytes(b"\xff")
    await undone(cache)
    assert "settings were damaged meanwhile" in caplog.text
    assert (cache.folder / OWN).read_bytes() == b"\xff", "for the service to set aside"
    (cache.folder / OWN).unlink()
    (cache.folder / OWN).mkdir()
    await undone(cache)
    assert "the settings could not be taken back: Is a directory" in caplog.text
    (cache.folder / "provisioning.json").write_bytes(b'{"settings":{"before":{"text":"\xff"}}}')
    await undone(cache)
    (cache.folder / "provisioning.json").unlink()
    (cache.folder / "provisioning.json").mkdir()
    await undone(cache)
    assert "may hold: [Errno 21] Is a directory" in caplog.text


async def test_of_settings_that_were_damaged_the_rest_is_undone(
    box, cache, wishes, beside, cut, monkeypatch
):
    await half_taken(box, beside, monkeypatch, cut)
    (cache.folder / OWN).write_bytes(b"\xff")
    wishes.clear()
    assert not await box().settle()
    assert wishes == [Trust(""), Back()]
    assert not await asyncio.to_thread(is_open, cache.folder)


async def test_settings_of_one_that_is_taken_just_now_are_left_alone(
    box, cache, beside, cut, monkeypatch, tmp_path
):
    await half_taken(box, beside, monkeypatch, cut)
    async with journal.alone(cache.folder):
        await undone(cache)
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"


async def test_settings_that_were_being_written_go(box, cache, cut, monkeypatch, tmp_path):
    cut((type(box()._own), "change"), after=True)
    with pytest.raises(PowerCut):
        await box().take(read_setup(SECOND, "second"), "stick", {})
    monkeypatch.undo()
    assert (await loaded(tmp_path)).appliance.name == "clinic-b"
    await box().settle()
    await is_new(cache, tmp_path)


async def test_what_somebody_changed_while_it_was_being_written_stays(
    box, cache, monkeypatch, tmp_path
):
    def end(*_):
        raise PowerCut

    async def nothing(_):
        return []

    monkeypatch.setattr(OwnSettings, "_write", end)
    monkeypatch.setattr(journal.Journal, "undo", nothing)
    with pytest.raises(PowerCut):
        await box().take(read_setup(SECOND, "second"), "stick", {})
    monkeypatch.undo()
    await box()._own.change({"sync.sweep_minutes": 7})
    await undone(cache)
    assert (await loaded(tmp_path)).sync.sweep_minutes == 7


async def test_they_are_undone_once(box, cache, beside, cut, monkeypatch, tmp_path):
    """Whoever sets the same afterwards has their own, at each start."""
    await half_taken(box, beside, monkeypatch, cut)
    await undone(cache)
    await box()._own.change(read_setup(FIRST, "first").changes, is_remote=False)
    await undone(cache)
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"


async def test_an_admin_by_the_token_of_one_that_was_cut_short_keeps_all_of_it(
    box, cache, wishes, beside, cut, monkeypatch, tmp_path
):
    await half_taken(box, beside, monkeypatch, cut)
    await cache.users.redeem(TOKEN, PASSWORD, name="anna")
    wishes.clear()
    await asyncio.to_thread(undo_settings, cache.folder)
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"
    await box().settle()
    assert wishes == []
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"
    assert not await asyncio.to_thread(is_open, cache.folder)


@pytest.mark.parametrize("name", ["clinic-a", "edge"])
async def test_a_start_asks_whether_there_is_an_admin(
    box, cache, beside, cut, monkeypatch, tmp_path, name
):
    await half_taken(box, beside, monkeypatch, cut)
    if name == "clinic-a":
        await cache.users.redeem(TOKEN, PASSWORD, name="anna")
    options = Namespace(config=tmp_path / "edge.toml")
    before = await serve._load(options)
    assert before.config.appliance.name == "clinic-a"
    after = await serve._without_half_taken(options, before, None)
    assert after.config.appliance.name == name


async def test_a_mark_that_can_not_go_keeps_nothing_else_from_being_undone(
    box, cache, wishes, beside, monkeypatch, tmp_path
):
    def fail(_):
        raise OSError(errno.EROFS, "Read-only file system")

    await box().take(read_setup(FIRST, "first"), "stick", beside)
    await asyncio.to_thread(take_back, cache.folder)
    wishes.clear()
    monkeypatch.setattr(journal.Journal, "_unmark", fail)
    with pytest.raises(HalfTaken, match=r"holds: that the box counts as set up; .*Read-only"):
        await box().settle()
    assert wishes == [Trust(""), Back()]
    monkeypatch.undo()
    assert not await box().settle()
    await is_new(cache, tmp_path)


async def test_one_that_was_marked_is_taken(box, cache, beside, cut, monkeypatch, tmp_path):
    await half_taken(box, beside, monkeypatch, cut, after=True)
    await asyncio.to_thread(undo_settings, cache.folder)
    assert (await loaded(tmp_path)).appliance.name == "clinic-a"
    assert await box().settle()
    assert await asyncio.to_thread(is_open, cache.folder), "the service is yet to run with it"
    ran = await asyncio.to_thread(said_in, cache.folder)
    await asyncio.to_thread(prove, cache.folder, ran)
    assert await box().settle()
    assert not await asyncio.to_thread(is_open, cache.folder)
    with pytest.raises(DecisionRefused, match="set up already"):
        await box().take(read_setup(SECOND, "second"), "stick", {})


async def test_with_settings_that_were_taken_back_the_box_is_new(
    box, cache, wishes, beside, tmp_path
):
    """By a start of which who brought the stick saw nothing."""
    await box().take(read_setup(FIRST, "first"), "stick", beside)
    await asyncio.to_thread(take_back, cache.folder)
    wishes.clear()
    assert not await box().settle()
    assert wishes == [Trust(""), Back()]
    assert not (cache.folder / "settings.toml.refused").exists()
    await is_new(cache, tmp_path)


async def test_settings_that_were_taken_back_on_a_full_disk_are_known_by_those_of_before(
    box, cache, tmp_path
):
    await box().take(read_setup(SECOND, "second"), "stick", {})
    (cache.folder / "settings.toml.refused").mkdir()
    await asyncio.to_thread(take_back, cache.folder)
    assert not await box().settle()
    await is_new(cache, tmp_path)


async def test_an_admin_who_was_made_by_then_keeps_it(box, cache, wishes, beside):
    await box().take(read_setup(FIRST, "first"), "stick", beside)
    await cache.users.redeem(TOKEN, PASSWORD, name="anna")
    await asyncio.to_thread(take_back, cache.folder)
    wishes.clear()
    assert await box().settle()
    assert wishes == []
    assert not await asyncio.to_thread(is_open, cache.folder)


async def test_what_can_not_be_undone_keeps_other_files_out_until_it_can(
    box, cache, wishes, beside, cut, monkeypatch, tmp_path
):
    async def silent(wish):
        raise NoAnswer("the machine does not answer")

    await half_taken(box, beside, monkeypatch, cut)
    with pytest.raises(HalfTaken, match=r"earlier file .* perhaps the authority") as caught:
        await box(machine=silent).take(read_setup(SECOND, "second"), "stick", {})
    assert may_pass(caught.value)
    assert (await loaded(tmp_path)).appliance.name == "edge"
    wishes.clear()
    assert (await box().take(read_setup(SECOND, "second"), "stick", {})).is_new
    assert wishes == [Trust(""), Back()]


async def test_what_was_changed_since_is_said(box, cache, beside, cut, monkeypatch, tmp_path):
    await half_taken(box, beside, monkeypatch, cut)
    await box()._own.change({"sync.sweep_minutes": 7}, is_remote=False)
    taken = await box().take(read_setup(SECOND, "second"), "stick", {})
    assert taken.stays == ("the settings",)


async def test_what_was_refused_is_not_undone(box, cache, wishes):
    async def refuse(wish):
        wishes.append(wish)
        raise MachineRefused("this machine takes no wishes")

    with pytest.raises(MachineRefused, match=r"^this machine takes no wishes$"):
        await box(machine=refuse).take(read_setup(FIRST.replace("ca =", "# "), "x"), "stick", {})
    assert wishes == [Network(NETWORK)]


async def test_a_network_that_was_kept_goes_back(box, cache, beside, cut, monkeypatch, tmp_path):
    machine = machine_in(tmp_path / "machine")
    carrier = Carrier(machine.places, machine.tools)
    held = threading.Lock()

    async def carry(wish):
        with held:
            await asyncio.to_thread(carrier._carry, wish)

    def real():
        return box(machine=carry, places=machine.places)

    await half_taken(real, beside, monkeypatch, cut)
    assert await asyncio.to_thread(read_network, machine.places) == NetworkState(NETWORK)
    assert await asyncio.to_thread(machine.places.ca_kept.read_bytes)
    await real().settle()
    assert await asyncio.to_thread(read_network, machine.places) == NetworkState()
    assert await asyncio.to_thread(machine.places.ca_kept.read_bytes) == b""


@pytest.mark.parametrize("step", [Network, Trust, Keep])
async def test_who_is_told_to_stop_undoes_all_of_it(box, cache, wishes, beside, tmp_path, step):
    stopped = []

    async def machine(wish):
        wishes.append(wish)
        if isinstance(wish, step):
            stopped.append(wish)

    taking = box(machine=machine)
    taking._is_stopped = lambda: bool(stopped)
    with pytest.raises(CutShort, match="pulled out") as caught:
        await taking.take(read_setup(FIRST, "first"), "stick", beside)
    assert may_pass(caught.value)
    assert wishes[-1] == Back()
    await is_new(cache, tmp_path)


async def test_who_is_told_to_stop_does_not_wait_for_its_turn(box, cache):
    taking = box()
    taking._is_stopped = lambda: True
    async with journal.alone(cache.folder):
        with pytest.raises(CutShort):
            await taking.take(read_setup(SECOND, "second"), "stick", {})


class Paper:
    """Where a token stands."""

    def __init__(self):
        self.did = []

    async def strike_out(self):
        self.did.append("struck out")

    async def put_back(self):
        self.did.append("put back")


async def test_a_token_is_struck_out_before_the_box_is_set_up(box, cache, monkeypatch):
    paper = Paper()

    async def fail(*_):
        assert paper.did == ["struck out"]
        raise OSError("power")

    setup = read_setup(f'[setup]\ntoken = "{TOKEN}"\n{SECOND}', "x")
    monkeypatch.setattr(journal.Journal, "mark", fail)
    with pytest.raises(Exception, match="power"):
        await box().take(setup, "stick", {}, paper)
    assert paper.did == ["struck out", "put back"]
    monkeypatch.undo()
    await box().take(setup, "stick", {}, paper)
    assert paper.did[2:] == ["struck out"]


def test_a_journal_that_was_damaged_is_still_one(tmp_path):
    (tmp_path / "provisioning.json").write_bytes(b"{")
    assert is_open(tmp_path)
    undo_settings(tmp_path)
