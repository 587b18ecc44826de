"""Factory reset: nothing that exists only here is lost by accident, and keys go first."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
import trustme

from edge import closing, config, others, resetting
from edge.access.audit.entry import Actor
from edge.app import Appliance
from edge.cache.admission import Source
from edge.closing import MARK
from edge.crypto import durable
from edge.dicom.instance import Origin
from edge.errors import DecisionRefused, EdgeError, MachineRefused, SecretError, StorageFull
from edge.index.remote import set_archive_state
from edge.machine.asking import NoAnswer, ask
from edge.machine.carrying import Carrier
from edge.machine.places import Places
from edge.opening import Cache
from edge.others import Syslog
from edge.resetting import BEGUN, Resetting, Standing, finish
from tests.dimse.raw import until
from tests.fakes.syslog import SyslogServer
from tests.machine.machines import machine_in
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
    monkeypatch.setattr(resetting, "write_file", fail)
    with pytest.raises(SecretError, match="can't be destroyed"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
    async with Cache(loaded) as cache:
        entries = await asyncio.to_thread(recorded, cache)
    [entry] = [one for one in entries if one.what == "factory reset"]
    assert entry.actor == ANNA
    assert entry.detail == {"lost": "1 study exists only here", "forced": "True"}


def fail(*_):
    raise OSError(30, "Read-only file system")


async def test_a_disk_that_is_full_is_emptied_all_the_same(loaded, nowhere, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    await start_once(loaded)
    monkeypatch.setattr(resetting, "write_file", full)
    await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    assert list(loaded.appliance.data_dir.iterdir()) == []


async def test_if_the_keys_can_not_be_destroyed_what_opens_them_is(loaded, nowhere, monkeypatch):
    await start_once(loaded)
    monkeypatch.setattr(resetting, "destroy_file", fail)
    with pytest.raises(SecretError, match="can't be destroyed: Read-only") as caught:
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    assert "tries again" in caught.value.hint
    assert not (loaded.appliance.data_dir / "root.key").exists()
    monkeypatch.undo()
    assert await finish(loaded, nowhere)
    assert list(loaded.appliance.data_dir.iterdir()) == []


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
    # What is left to do is done by whoever says it again, and by the next start.
    await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    assert list(loaded.appliance.data_dir.iterdir()) == []


async def test_a_box_whose_keys_are_lost_is_reset_by_force_alone(loaded, nowhere):
    await start_once(loaded)
    (loaded.appliance.data_dir / "keys.db").unlink()
    (loaded.appliance.data_dir / "keys.db.copy").unlink()
    with pytest.raises(DecisionRefused, match="can't be told"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
    assert list(loaded.appliance.data_dir.iterdir()) == []


async def test_the_next_start_finishes_what_was_cut_short(loaded, nowhere, monkeypatch):
    assert not await finish(loaded, nowhere)
    await start_once(loaded)
    monkeypatch.setattr(Resetting, "_remove_all", cut_short)
    with pytest.raises(OSError, match="power"):
        await Resetting(loaded, nowhere, ANNA).reset(is_forced=False)
    monkeypatch.undo()
    assert await finish(loaded, nowhere)
    assert list(loaded.appliance.data_dir.iterdir()) == []
    assert not await finish(loaded, nowhere)


async def test_on_an_appliance_the_next_start_has_root_finish_it(loaded, tmp_path):
    machine = machine_in(tmp_path / "machine")
    machine.places.data_disk.parent.mkdir()
    machine.places.data_disk.symlink_to("nothing that this user sees")
    await start_once(loaded)
    (loaded.appliance.data_dir / BEGUN).touch()
    async with attended(machine):
        with pytest.raises(DecisionRefused, match="being reset"):
            await finish(loaded, machine.places)
    assert machine.called[-1] == "systemctl --no-block reboot --force"
    assert not (loaded.appliance.data_dir / "keys.db").exists()


async def test_where_the_data_has_no_partition_the_next_start_empties_the_folder(loaded, tmp_path):
    machine = machine_in(tmp_path / "machine")
    async with Appliance(loaded), attended(machine):
        await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
    assert machine.called[-1] == "systemctl --no-block reboot --force"
    assert await finish(loaded, machine.places)
    assert list(loaded.appliance.data_dir.iterdir()) == []


async def test_a_machine_that_says_nothing_of_the_rest_is_restarted(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    monkeypatch.setattr(resetting, "answer_to", silent)
    async with Appliance(loaded), attended(machine):
        with pytest.raises(NoAnswer, match="the keys are destroyed") as caught:
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
    assert "restart" in caught.value.hint


async def silent(*_):
    raise NoAnswer("the machine does not answer")


def root_of(machine):
    """Root's side of a machine that is called as the box is."""
    return Carrier(
        machine.places, machine.tools, called=lambda: "radiology", rename=lambda name: None
    )


@contextlib.asynccontextmanager
async def attended(machine):
    """Root carries out what is wished, to its end: what ends a machine comes after the answer."""
    is_over = False

    async def serve():
        while not is_over:
            await asyncio.to_thread(root_of(machine).carry_out)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        try:
            yield
        finally:
            is_over = True


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
    async with Appliance(loaded) as box, attended(machine):
        await store(box)
        with pytest.raises(DecisionRefused, match="only here"):
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        assert box.intake.why() == ""
        await box.admission.make_room()
    assert machine.called == []


async def test_on_an_appliance_root_does_the_rest(loaded, tmp_path):
    machine = machine_in(tmp_path / "machine")
    async with Appliance(loaded) as box:
        async with attended(machine):
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        # Nothing more comes in until root ends the service.
        with pytest.raises(StorageFull, match="being reset"):
            await box.admission.make_room()
    assert machine.called[0].startswith("systemctl stop edge.service")
    assert machine.called[-1] == "systemctl --no-block reboot --force"
    assert not (loaded.appliance.data_dir / "keys.db").exists()


async def test_the_machine_that_gets_the_audit_has_it_before_anything_is_destroyed(
    loaded, tmp_path, monkeypatch
):
    authority, destroyed = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    log = SyslogServer(context)
    await log.start()
    syslog = Syslog(f"127.0.0.1:{log.port}", tls_ca=tmp_path / "ca.pem")
    loaded = replace(loaded, audit=config.Audit(syslog=syslog))

    def told():
        return [one for one in log.messages if "factory reset" in one.text]

    def destroy(path):
        destroyed.append(len(told()))
        durable.destroy_file(path)

    monkeypatch.setattr(resetting, "destroy_file", destroy)
    machine = machine_in(tmp_path / "machine")
    async with Appliance(loaded) as box, attended(machine):
        await log.until(1)
        while (await box.status()).audit.waiting:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
        # It is connected, has sent all, and looks again in half a minute.
        await Resetting(loaded, machine.places, ANNA, patience=20).reset(is_forced=False)
    await log.stop()
    assert log.errors == []
    assert destroyed
    assert set(destroyed) == {1}


async def test_a_machine_that_does_not_answer_destroys_nothing(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    monkeypatch.setattr(resetting, "ask", partial(ask, patience=0.1))
    async with Appliance(loaded) as box:
        with pytest.raises(MachineRefused, match="does not answer"):
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=True)
        await box.admission.make_room()
    await start_once(loaded)


async def test_once_keys_are_destroyed_no_failure_opens_intake_again(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")

    def refused(*_):
        raise MachineRefused("this machine takes no wishes: No space left on device")

    monkeypatch.setattr(resetting, "leave", refused)
    async with Appliance(loaded) as box, attended(machine):
        with pytest.raises(MachineRefused):
            await Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        with pytest.raises(StorageFull, match="being reset"):
            await box.admission.make_room()
    assert (loaded.appliance.data_dir / BEGUN).exists()  # the next start finishes it


async def test_who_is_cancelled_has_destroyed_all_of_it_or_nothing(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    began, go_on = threading.Event(), threading.Event()

    def slowly(path):
        began.set()
        assert go_on.wait(20)
        durable.destroy_file(path)

    monkeypatch.setattr(resetting, "destroy_file", slowly)
    async with Appliance(loaded) as box:
        async with attended(machine):
            doing = asyncio.ensure_future(
                Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
            )
            await asyncio.to_thread(began.wait, 20)
            doing.cancel()
            await asyncio.sleep(0)
            doing.cancel()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await doing
            await until(lambda: machine.called[-1:] == ["systemctl --no-block reboot --force"])
        with pytest.raises(StorageFull, match="being reset"):
            await box.admission.make_room()
    assert not (loaded.appliance.data_dir / "keys.db").exists()
    assert not (loaded.appliance.data_dir / "keys.db.copy").exists()


async def test_who_is_cancelled_before_has_changed_nothing(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    counted = asyncio.Event()

    async def for_long(*_, **__):
        counted.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Resetting, "_record", for_long)
    async with Appliance(loaded) as box, attended(machine):
        doing = asyncio.ensure_future(
            Resetting(loaded, machine.places, ANNA).reset(is_forced=False)
        )
        await counted.wait()
        assert "being reset" in box.intake.why()
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
        assert box.intake.why() == ""
    await start_once(loaded)


async def test_what_is_under_way_is_counted(loaded, tmp_path):
    """It is waited for; what does not end is lost by force alone."""
    machine = machine_in(tmp_path / "machine")
    [sample] = ct_series(1, seed=4)
    half, go_on = asyncio.Event(), asyncio.Event()

    async def slowly():
        for at, chunk in enumerate([sample.data[:2000], sample.data[2000:]]):
            if at:
                half.set()
                await go_on.wait()
            yield chunk

    async with Appliance(loaded) as box, attended(machine), asyncio.TaskGroup() as group:
        group.create_task(box.admission.store_instance(slowly(), Source(Origin.DIMSE, "CT")))
        await half.wait()
        with pytest.raises(DecisionRefused, match="still coming in"):
            await Resetting(loaded, machine.places, ANNA, quiet=0.3).reset(is_forced=False)
        await box.admission.make_room()
        doing = group.create_task(refused(Resetting(loaded, machine.places, ANNA)))
        await until(lambda: "being reset" in box.intake.why())
        go_on.set()
        assert "1 study exists only here" in await doing


async def refused(one):
    with pytest.raises(DecisionRefused) as caught:
        await one.reset(is_forced=False)
    return str(caught.value)


@contextlib.asynccontextmanager
async def counted(loaded, places, monkeypatch, **other):
    """A reset that has counted, and goes on once it is let."""
    there, go_on, sent = asyncio.Event(), asyncio.Event(), Resetting._sent

    async def waits(self, cache):
        there.set()
        await go_on.wait()
        await sent(self, cache)

    monkeypatch.setattr(Resetting, "_sent", waits)
    doing = asyncio.ensure_future(refused(Resetting(loaded, places, ANNA, **other)))
    await there.wait()
    yield doing, go_on
    go_on.set()


async def test_a_service_that_is_started_anew_after_the_count_starts_closed_and_ends_the_reset(
    loaded, tmp_path, monkeypatch
):
    machine = machine_in(tmp_path / "machine")
    before = Appliance(loaded)
    await before.__aenter__()
    async with (
        attended(machine),
        counted(loaded, machine.places, monkeypatch) as (doing, go_on),
    ):
        await before.__aexit__(None, None, None)
        async with Appliance(loaded) as box:
            with pytest.raises(StorageFull, match="being reset"):
                await store(box)
            go_on.set()
            assert "started anew meanwhile" in await doing
            await store(box)
    assert not (loaded.appliance.data_dir / MARK).exists()
    assert machine.called == []


async def test_a_service_that_is_gone_after_the_count_ends_the_reset(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    box = Appliance(loaded)
    await box.__aenter__()
    async with (
        attended(machine),
        counted(loaded, machine.places, monkeypatch) as (doing, go_on),
    ):
        await box.__aexit__(None, None, None)
        go_on.set()
        assert "ended meanwhile" in await doing
    await start_once(loaded)


async def test_a_lease_that_runs_out_after_the_count_ends_the_reset(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    async with (
        Appliance(loaded) as box,
        attended(machine),
        counted(loaded, machine.places, monkeypatch, lease=0.5) as (doing, go_on),
    ):
        await until(lambda: box.intake.why() == "")
        await store(box)
        go_on.set()
        assert "come in meanwhile" in await doing
        await box.admission.make_room()


async def test_another_reset_does_not_open_what_the_first_one_closed(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    async with (
        Appliance(loaded) as box,
        attended(machine),
        counted(loaded, machine.places, monkeypatch) as (doing, _),
    ):
        second = Resetting(loaded, machine.places, Actor("bert"))
        assert "another reset is under way" in await refused(second)
        with pytest.raises(StorageFull, match="being reset"):
            await store(box)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
        await store(box)


async def test_a_mark_of_somebody_who_is_gone_closes_nothing(loaded):
    await start_once(loaded)
    (loaded.appliance.data_dir / MARK).write_text("gone")
    async with Appliance(loaded) as box:
        await store(box)
    assert not (loaded.appliance.data_dir / MARK).exists()


async def test_a_service_that_hangs_is_not_waited_for_without_end(loaded, tmp_path, monkeypatch):
    machine = machine_in(tmp_path / "machine")
    monkeypatch.setattr(closing, "_ANSWER", 0.2)
    await start_once(loaded)

    async def silence(reader, writer):
        with contextlib.closing(writer):
            await reader.read()

    socket = loaded.appliance.data_dir / "service.sock"
    async with await asyncio.start_unix_server(silence, socket), attended(machine):
        assert "does not answer" in await refused(Resetting(loaded, machine.places, ANNA))
        assert not (loaded.appliance.data_dir / MARK).exists()
        await Resetting(loaded, machine.places, ANNA).reset(is_forced=True)
    assert machine.called[-1] == "systemctl --no-block reboot --force"


async def test_what_lies_in_the_trash_is_counted(loaded, nowhere):
    [sample] = ct_series(1, seed=4)
    async with Appliance(loaded) as box:
        source = Source(Origin.CLOUD, "cloud", vouches=True)
        await box.admission.store_instance(chunks(sample.data), source)
        await box.cache.trash.put([sample.ref], archive="cloud", reason="gone")
    assert "1 image lies in the trash" in await refused(Resetting(loaded, nowhere, ANNA))
    lost = await Resetting(loaded, nowhere, ANNA).reset(is_forced=True)
    assert lost == Standing(0, 0, trashed=1)


@pytest.mark.parametrize(
    ("days", "online", "perhaps"), [(31, True, 0), (29, False, 0), (31, False, 1)]
)
async def test_what_an_archive_had_long_ago_that_can_not_be_asked_is_perhaps_only_here(
    loaded, nowhere, days, online, perhaps
):
    """As eviction has it."""
    await start_once(loaded, image=True)
    archive = others.Archive(name="cloud", url="https://archive.example/dicom-web")
    loaded = replace(loaded, cloud=config.Cloud(archive=(archive,)))
    async with Cache(loaded) as cache:
        verified = time.time() - days * 86400.0
        await cache.database.write(
            lambda db: (
                db.execute("UPDATE instances SET custody = 'VERIFIED', verified = ?", (verified,)),
                set_archive_state(db, "cloud", online, "no route", False, time.time()),
            )
        )
    resetting = Resetting(loaded, nowhere, ANNA)
    if perhaps:
        assert "1 study exists perhaps only here" in await refused(resetting)
    else:
        assert await resetting.reset(is_forced=False) == Standing(0, 0)
