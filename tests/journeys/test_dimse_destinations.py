"""C-MOVE to destinations that are not as they should be, and of what only an archive has."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest

from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.dimse.messages import CommandField, Element
from edge.dimse.storage import storage_service
from edge.errors import PeerError
from edge.others import Archive
from tests import samples
from tests.dimse import raw
from tests.fakes.archive import FakeArchive
from tests.fakes.faults import Fault
from tests.journeys.test_dimse_retrieve import (
    CANCELLED,
    SUCCESS,
    UNABLE,
    UNKNOWN,
    WARNING,
    box_of,
)
from tests.journeys.viewer import Part10
from tests.journeys.workstation import (
    LEVEL,
    Station,
    asking,
    counted,
    counts,
    failed_list,
    getscu,
    movescu,
    moving,
    receiving,
    status,
    storescp,
)

MODALITY = Source(Origin.DIMSE, "MODALITY")


class Slices:
    """A CT series."""

    def __init__(self, seed, count=4):
        self.made = list(samples.ct_series(count, rows=64, columns=64, seed=seed))
        self.uid = self.made[0].ref.study_uid
        self.files = {one.ref.sop_uid: Part10.of(one.data) for one in self.made}

    async def into(self, box):
        """Have the box take them in."""
        for one in self.made:
            await box.appliance.admission.store_instance(
                samples.chunks(one.data), MODALITY, sop_uid=one.ref.sop_uid
            )

    def put(self, archive):
        """Have the archive hold them."""
        for one in self.made:
            archive.put(one.data)


class Trickling(raw.RecordingAdmission):
    """Takes its time for each instance."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    async def store_instance(self, chunks, source, **announced):
        admitted = await super().store_instance(chunks, source, **announced)
        await asyncio.sleep(self.seconds)
        return admitted


class Picky(raw.RecordingAdmission):
    """Does not take the second."""

    def __init__(self):
        super().__init__()
        self.count = 0

    async def store_instance(self, chunks, source, **announced):
        self.count += 1
        self.error = RuntimeError("no") if self.count == 2 else None
        return await super().store_instance(chunks, source, **announced)


class Aborting(raw.RecordingAdmission):
    """Aborts the association in the middle of some instances, by their number."""

    def __init__(self, *numbers):
        super().__init__()
        self.numbers = numbers
        self.count = 0

    async def store_instance(self, chunks, source, **announced):
        self.count += 1
        if self.count in self.numbers:
            await anext(chunks)
            raise PeerError("enough")
        return await super().store_instance(chunks, source, **announced)


async def answers(requestor, *uids, **options):
    return [response async for response in moving(requestor, *uids, **options)]


async def test_a_destination_that_is_not_known_is_said_to_be_so(open_box):
    study = Slices(80)
    async with box_of(open_box) as box:
        await study.into(box)
        ran = await movescu(box.dimse_port, f"{LEVEL}=STUDY", f"StudyInstanceUID={study.uid}")
        assert status(ran) == UNKNOWN
        assert "add DEST as a peer with host and port" in ran.output


async def test_a_study_that_nobody_knows_is_no_error(open_box):
    async with receiving() as station, box_of(open_box, station) as box:
        ran = await movescu(box.dimse_port, f"{LEVEL}=STUDY", "StudyInstanceUID=1.2.3.4")
        assert status(ran) == SUCCESS
        assert counts(ran) == ("none", "0", "0", "0")


async def test_a_peer_without_the_right_gets_no_context(open_box):
    async with receiving() as station, box_of(open_box, station) as box:
        ran = await movescu(
            box.dimse_port, f"{LEVEL}=STUDY", "StudyInstanceUID=1.2", options=("-aet", "OTHER")
        )
        assert not ran.has_succeeded
        assert "No Acceptable Presentation Contexts" in ran.output


@pytest.mark.parametrize("kind", ["dead", "rejecting", "aborting"])
async def test_all_fails_where_the_destination_takes_nothing(kind, open_box, tmp_path, free_port):
    study = Slices(81)
    async with storescp(
        tmp_path / "files",
        *{
            "dead": (),
            "rejecting": ("--refuse",),
            "aborting": ("--abort-during",),
        }[kind],
    ) as station:
        if kind == "dead":
            station.port = free_port()
        async with box_of(open_box, station) as box:
            await study.into(box)
            async with asking(box.dimse_port) as requestor:
                *pending, last = await answers(requestor, study.uid)
    assert all(response.is_pending for response in pending)
    assert last.status == UNABLE
    assert counted(last) == (None, 0, 4, 0)
    assert sorted(failed_list(last)) == sorted(study.files)
    assert last.comment.startswith("4 failed: the destination")


async def test_after_an_abort_the_rest_goes_over_a_new_association(open_box):
    study = Slices(82)
    async with raw.serving(admission := Aborting(3), ae_title="DEST") as server:
        station = Station(server.port, admission=admission)
        async with box_of(open_box, station) as box, asking(box.dimse_port) as requestor:
            await study.into(box)
            *_, last = await answers(requestor, study.uid)
    assert last.status == SUCCESS
    assert counted(last) == (None, 4, 0, 0)
    assert station.got() == study.files


async def test_a_second_abort_fails_the_rest_and_names_it(open_box):
    study = Slices(83)
    async with raw.serving(admission := Aborting(2, 3), ae_title="DEST") as server:
        station = Station(server.port, admission=admission)
        async with box_of(open_box, station) as box, asking(box.dimse_port) as requestor:
            await study.into(box)
            *_, last = await answers(requestor, study.uid)
    assert last.status == WARNING
    assert counted(last) == (None, 1, 3, 0)
    assert sorted(failed_list(last)) == sorted(study.files.keys() - station.got().keys())


async def test_one_that_the_destination_does_not_take_costs_no_other(open_box):
    study = Slices(84)

    async with raw.serving(admission := Picky(), ae_title="DEST") as server:
        station = Station(server.port, admission=admission)
        async with box_of(open_box, station) as box, asking(box.dimse_port) as requestor:
            await study.into(box)
            *_, last = await answers(requestor, study.uid)
    assert last.status == WARNING
    assert counted(last) == (None, 3, 1, 0)
    assert last.comment.startswith("1 failed: C-STORE was answered with 0110: it could not do it")
    assert failed_list(last) == list(study.files.keys() - station.got().keys())


async def test_who_moved_it_is_said_to_the_destination(open_box):
    study = Slices(85, count=1)
    storage = storage_service(raw.RecordingAdmission())
    commands = []

    async def store(operation):
        commands.append(operation.command)
        await storage.handlers[CommandField.C_STORE](operation)

    noting = replace(storage, handlers={CommandField.C_STORE: store})
    async with raw.serving(services=(noting,), ae_title="DEST") as server:
        station = Station(server.port)
        async with box_of(open_box, station) as box, asking(box.dimse_port) as requestor:
            await study.into(box)
            *_, last = await answers(requestor, study.uid)
    assert last.status == SUCCESS
    [command] = commands
    assert command.text(Element.MOVE_ORIGINATOR_AE_TITLE) == "WORKSTATION"
    assert command.number(Element.MOVE_ORIGINATOR_MESSAGE_ID) == 1


async def test_a_cancel_ends_it_after_the_instance_under_way(open_box):
    study = Slices(86, count=12)
    async with raw.serving(admission := Trickling(0.3), ae_title="DEST") as server:
        station = Station(server.port, admission=admission)
        async with box_of(open_box, station) as box:
            await study.into(box)
            ran = await movescu(
                box.dimse_port,
                f"{LEVEL}=STUDY",
                f"StudyInstanceUID={study.uid}",
                options=("--cancel", "2"),
            )
    assert status(ran) == CANCELLED
    remaining, completed, failed, warned = map(int, counts(ran))
    assert (failed, warned) == (0, 0)
    assert completed == len(station.got()) < 12
    assert remaining == 12 - completed


async def test_a_requestor_that_aborts_stops_the_move(open_box):
    study = Slices(87, count=40)
    async with raw.serving(admission := Trickling(0.2), ae_title="DEST") as server:
        station = Station(server.port, admission=admission)
        async with box_of(open_box, station) as box:
            await study.into(box)
            with suppress(PeerError):
                async with asking(box.dimse_port) as requestor:
                    async for _ in moving(requestor, study.uid):
                        requestor.break_off("the user closed the window")
            await raw.until(lambda: not server.associations)
            assert len(station.got()) < 20


@pytest.mark.alone
async def test_one_slow_destination_holds_up_no_other(open_box):
    slow, quick = Slices(88), Slices(89)
    blocked = raw.RecordingAdmission()
    blocked.gate.clear()
    async with (
        raw.serving(blocked, ae_title="SLOW") as server,
        receiving() as station,
    ):
        stuck = Station(server.port, admission=blocked, title="SLOW")
        async with box_of(open_box, station, stuck) as box:
            await slow.into(box)
            await quick.into(box)

            async def move_to_slow():
                async with asking(box.dimse_port) as requestor:
                    return await answers(requestor, slow.uid, to="SLOW")

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(move_to_slow()) for _ in range(6)]
                await blocked.started.wait()
                begun = time.monotonic()
                async with asking(box.dimse_port) as requestor:
                    *_, last = await answers(requestor, quick.uid)
                assert last.status == SUCCESS
                assert time.monotonic() - begun < 3
                assert server.associations <= 4
                # Those that wait for their turn are told that somebody is there.
                await asyncio.sleep(2.5)
                blocked.gate.set()
            for task in tasks:
                *pending, last = task.result()
                assert last.status == SUCCESS
                assert counted(last) == (None, 4, 0, 0)
                assert len(pending) >= 2
    assert station.got() == quick.files
    assert stuck.got() == slow.files


@pytest.fixture
async def archive():
    async with FakeArchive() as made:
        yield made


def boxed(open_box, archive, *stations):
    return box_of(open_box, *stations, cloud=(Archive("cloud", archive.url),))


async def test_what_only_the_archive_has_is_moved_and_the_workstation_kept_alive(archive, open_box):
    study = Slices(90)
    study.put(archive)
    archive.faults["retrieve"].append(Fault(hang=5.0))
    async with (
        receiving() as station,
        boxed(open_box, archive, station) as box,
        asking(box.dimse_port) as requestor,
    ):
        *pending, last = await answers(requestor, study.uid, seconds=3.0)
    assert last.status == SUCCESS
    assert counted(last) == (None, 4, 0, 0)
    assert station.got() == study.files
    assert len(pending) >= 3


async def test_what_only_the_archive_has_is_got(archive, open_box, tmp_path):
    study = Slices(91)
    study.put(archive)
    async with boxed(open_box, archive) as box:
        keys = (f"{LEVEL}=STUDY", f"StudyInstanceUID={study.uid}")
        ran = await getscu(box.dimse_port, tmp_path / "got", *keys)
        assert status(ran) == SUCCESS
        got = {one.sop_uid: one for one in map(Part10.at, (tmp_path / "got").iterdir())}
        assert got == study.files


async def test_with_the_line_down_what_is_here_goes_and_the_rest_is_said_to_be_missing(
    archive, open_box
):
    here, there = Slices(92), Slices(93, count=30)
    there.put(archive)
    async with receiving() as station, boxed(open_box, archive, station) as box:
        await here.into(box)

        async def listed():
            return len(await box.rows("SELECT id FROM instances")) == 34

        await box.until(listed, "the sweep lists what the archive has")
        await archive.stop()
        async with asking(box.dimse_port) as requestor:
            begun = time.monotonic()
            *_, last = await answers(requestor, there.uid, here.uid)
            assert time.monotonic() - begun < 15
    assert last.status == WARNING
    assert counted(last) == (None, 4, 30, 0)
    assert sorted(failed_list(last)) == sorted(there.files)
    assert last.comment.startswith("30 failed: only the archive has it")
    assert station.got() == here.files


async def test_a_study_that_is_not_known_here_while_the_line_is_down_is_not_said_to_be_nowhere(
    archive, open_box
):
    async with receiving() as station, boxed(open_box, archive, station) as box:
        await archive.stop()
        async with asking(box.dimse_port) as requestor:
            *_, last = await answers(requestor, "1.2.3.4")
    assert last.status == 0xC000
    assert last.comment == "a study is not known here, and the archive is out of reach"


@pytest.mark.alone
async def test_a_cancel_ends_the_wait_for_the_archive_at_once(archive, open_box):
    study = Slices(94)
    study.put(archive)
    archive.faults["retrieve"].extend([Fault(hang=30.0)] * 8)
    async with receiving() as station, boxed(open_box, archive, station) as box:
        async with asking(box.dimse_port) as requestor:
            begun = time.monotonic()
            async with aclosing(moving(requestor, study.uid)) as responses:
                assert (await anext(responses)).is_pending
            assert time.monotonic() - begun < 3
            # It was answered to its end, and the association is of use.
            assert requestor.is_alive
        assert not station.got()
