"""MPPS over the wire: pynetdicom is the device, the index is real."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import encode

from edge.cache.changes import Changes
from edge.cache.procedures import Procedures
from edge.dicom.procedure import MPPS, MPPS_RETRIEVE
from edge.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from edge.dimse import upper_layer
from edge.dimse.mpps import mpps_service
from edge.errors import StorageFull
from edge.index.database import Database
from edge.others import Peer
from tests.dimse import raw, steps

NAME = "\u041b\u044e\u043a\u0441"
PEERS = (
    Peer("CT1", may=("worklist",)),
    Peer("CT2", may=("store",)),
    Peer("RAW", may=("worklist",)),
)


@pytest.fixture(autouse=True)
def short_goodbye(monkeypatch):
    monkeypatch.setattr(upper_layer, "LINGER_SECONDS", 0.2)


@pytest.fixture
def box(tmp_path):
    @asynccontextmanager
    async def opened(**options):
        async with Database(tmp_path / "index.db", bytes(32)) as database:
            procedures = Procedures(database, Changes(), **options)
            service = mpps_service(procedures)
            async with raw.serving(unknown_peers="reject", peer=PEERS, services=[service]) as it:
                yield SimpleNamespace(port=it.port, procedures=procedures, database=database)

    return opened


def said(call, port, **names):
    """Have a device say something, in a thread of its own."""

    def talk():
        with steps.device(port, **names) as device:
            return call(device)

    return asyncio.to_thread(talk)


async def test_a_step_begins_and_ends_and_can_be_read(box):
    def talk(device):
        created, _ = device.create(steps.beginning(), "1.2.3.4")
        again, _ = device.set(steps.ending(state="IN PROGRESS"), "1.2.3.4")
        done, _ = device.set(steps.ending(), "1.2.3.4")
        return created.Status, again.Status, done.Status, device.get("1.2.3.4")

    async with box() as it:
        created, again, done, (status, step) = await said(talk, it.port)
        assert (created, again, done, status.Status) == (0, 0, 0, 0)
        assert step.PerformedProcedureStepStatus == "COMPLETED"
        assert step.PatientName == "DOE^JANE"
        (kept,) = (await it.procedures.page()).items
        assert (kept.state, kept.peer, kept.study_uids) == ("COMPLETED", "CT1", ["1.2.3"])


async def test_a_device_that_names_no_uid_is_given_one(box):
    async with box() as it, raw.connected(it.port) as peer:
        await peer.associate(CONTEXTS)
        nameless = raw.command_set(
            raw.uid_element(0x0002, MPPS),
            raw.short(0x0100, 0x0140),
            raw.short(0x0110, 1),
            raw.short(0x0800, 1),
        )
        peer.send(raw.p_data(raw.fragment(1, 3, nameless)))
        peer.send(raw.p_data(raw.fragment(1, 2, encode(steps.beginning(), False, True))))
        response = await peer.response()
        assert response[0x0900] == b"\0\0"
        (kept,) = (await it.procedures.page()).items
        assert response[0x1000].decode().strip("\0") == kept.sop_uid
        assert kept.sop_uid.startswith("2.25.")
        await peer.release()


async def test_after_the_end_nothing_can_be_set(box):
    def talk(device):
        device.create(steps.beginning(), "1.2.3.4")
        device.set(steps.ending(state="DISCONTINUED"), "1.2.3.4")
        return device.set(steps.ending(), "1.2.3.4")[0]

    async with box() as it:
        status = await said(talk, it.port)
        assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
        assert status.ErrorComment == "Performed Procedure Step Object may no longer be updated"
        assert (await it.procedures.page()).items[0].state == "DISCONTINUED"


async def test_each_refusal_has_its_status_and_names_the_attributes(box):
    missing = steps.beginning(Modality=None, PerformedProcedureStepID=None)
    empty = steps.beginning(PerformedStationAETitle="")
    begun = steps.beginning(PerformedProcedureStepStatus="COMPLETED")
    unended = steps.ending(PerformedProcedureStepEndDate="")

    def talk(device):
        device.create(steps.beginning(), "1.2.3.4")
        return [
            device.create(missing, "1.1"),
            device.create(empty, "1.2"),
            device.create(begun, "1.3"),
            device.create(steps.beginning(), "1.2.3.4"),
            device.set(steps.ending(), "1.5"),
            device.set(unended, "1.2.3.4"),
            device.get("1.6"),
        ]

    async with box() as it:
        answers = await said(talk, it.port)
        assert [status.Status for status, _ in answers] == [
            0x0120,
            0x0121,
            0x0106,
            0x0111,
            0x0112,
            0x0121,
            0x0112,
        ]
        assert all(status.ErrorComment for status, _ in answers)
        assert answers[0][0].ErrorComment == "missing: Performed Procedure Step ID, Modality"
        assert (await it.procedures.page()).total == 1


async def test_attributes_that_are_missing_are_listed(box):
    missing = steps.beginning(Modality=None, PerformedProcedureStepID=None)
    empty = steps.beginning(PerformedStationAETitle="")
    begun = steps.beginning(PerformedProcedureStepStatus="COMPLETED")
    async with box() as it, raw.connected(it.port) as peer:
        await peer.associate(CONTEXTS)
        for step, status, tags in (
            (missing, 0x0120, "40005302 08006000"),
            (empty, 0x0121, "40004102"),
            (begun, 0x0106, None),
        ):
            peer.send(raw.p_data(raw.fragment(1, 3, command(0x0140, b"x"))))
            peer.send(raw.p_data(raw.fragment(1, 2, encode(step, False, True))))
            response = await peer.response()
            assert int.from_bytes(response[0x0900], "little") == status
            assert response.get(0x1005) == (tags and bytes.fromhex(tags))
            if tags is None:  # the value that can't be comes back (PS3.4 F.7.2.1.3)
                assert (await peer.read_pdu())[1].endswith(b"COMPLETED ")
        await peer.release()


async def test_what_may_not_change_stays_and_is_named_as_a_warning(box):
    change = steps.ending(PatientID="4712", StudyID="1")

    def talk(device):
        device.create(steps.beginning(), "1.2.3.4")
        return device.set(change, "1.2.3.4")[0]

    async with box() as it:
        status = await said(talk, it.port)
        assert (status.Status, status.AttributeIdentifierList) == (0x0107, 0x00100020)
        step = await it.procedures.attributes("1.2.3.4")
        assert step["00100020"]["Value"] == ["4711"]
        assert step["00400252"]["Value"] == ["COMPLETED"]


async def test_only_the_attributes_that_are_asked_for_are_given(box):
    def talk(device):
        device.create(steps.beginning(), "1.2.3.4")
        return [
            device.get("1.2.3.4", [0x00080060, 0x00400252]),
            device.get("1.2.3.4", [0x00080060, 0x00104000]),
        ]

    async with box() as it:
        (status, step), (warned, some) = await said(talk, it.port)
        assert status.Status == 0
        assert {element.tag for element in step} == {0x00080060, 0x00400252}
        assert (warned.Status, warned.AttributeIdentifierList) == (0x0001, 0x00104000)
        assert some.Modality == "CT"


async def test_a_peer_without_the_right_is_not_listened_to(box):
    async with box() as it:
        with pytest.raises(AssertionError):
            await said(lambda device: device.get("1.2"), it.port, ae_title="CT2")


async def test_names_come_in_any_character_set(box):
    step = steps.beginning(SpecificCharacterSet="ISO_IR 144", PatientName=NAME)
    async with box() as it:
        await said(lambda device: device.create(step, "1.2.3.4"), it.port)
        assert (await it.procedures.page()).items[0].patient_name == NAME
        _, read = await said(lambda device: device.get("1.2.3.4"), it.port)
        assert read.SpecificCharacterSet == "ISO_IR 192"
        assert read.PatientName == NAME


async def test_a_step_goes_on_after_a_restart(box):
    async with box() as it:
        await said(lambda device: device.create(steps.beginning(), "1.2.3.4"), it.port)
    async with box() as it:
        status, _ = await said(lambda device: device.set(steps.ending(), "1.2.3.4"), it.port)
        assert status.Status == 0
        assert (await it.procedures.page()).items[0].state == "COMPLETED"


async def test_a_full_disk_is_said(box, monkeypatch):
    async def full(_):
        raise StorageFull("the disk is full")

    async with box() as it:
        monkeypatch.setattr(it.database, "write", full)
        status, _ = await said(lambda device: device.create(steps.beginning(), "1.1"), it.port)
        assert status.Status == 0x0213


def command(field, data_set, sop_class=MPPS, sop_uid="1.2.3.4"):
    affected = field == 0x0140
    return raw.command_set(
        raw.uid_element(0x0002 if affected else 0x0003, sop_class),
        raw.short(0x0100, field),
        raw.short(0x0110, 1),
        raw.short(0x0800, 1 if data_set else 0x0101),
        raw.uid_element(0x1000 if affected else 0x1001, sop_uid),
    )


CONTEXTS = raw.context_item(1, MPPS, [raw.EXPLICIT]) + raw.context_item(
    3, MPPS_RETRIEVE, [IMPLICIT_VR_LITTLE_ENDIAN]
)


async def answer(peer, context_id, set_of_commands, data_set=b""):
    peer.send(raw.p_data(raw.fragment(context_id, 3, set_of_commands)))
    if data_set:
        peer.send(raw.p_data(raw.fragment(context_id, 2, data_set)))
    return await peer.status()


async def test_commands_that_make_no_sense_are_refused_one_by_one(box):
    async with box() as it, raw.connected(it.port) as peer:
        await peer.associate(CONTEXTS)
        assert await answer(peer, 3, command(0x0140, b"")) == 0x0211
        assert await answer(peer, 1, command(0x0110, b"")) == 0x0211
        assert await answer(peer, 1, command(0x0150, b"")) == 0x0211
        assert await answer(peer, 1, command(0x0140, b"", sop_class="1.2.3")) == 0x0118
        assert await answer(peer, 1, command(0x0140, b"", sop_uid="../x")) == 0x0117
        assert await answer(peer, 1, command(0x0140, b"")) == 0x0120
        assert await answer(peer, 1, command(0x0120, b"", sop_uid="")) == 0x0112
        assert await answer(peer, 1, command(0x0140, b"x"), b"\xff" * 50) == 0x0110
        await peer.release()


async def test_hostile_data_sets_leave_nothing_and_hurt_nobody(box):
    sequence = b"\x40\x00\x70\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    async with box() as it, raw.connected(it.port) as peer:
        await peer.associate(CONTEXTS)

        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(st.binary(min_size=1, max_size=300) | st.just(sequence * 400))
        def collect(data):
            data_sets.append(data)

        data_sets = []
        collect()
        for data in data_sets:
            status = await answer(peer, 1, command(0x0140, data), data)
            assert status in (0x0110, 0x0120, 0x0121, 0x0106)
        assert (await it.procedures.page()).total == 0
        await peer.release()


@pytest.mark.parametrize(
    "series",
    [
        Dataset(),
        {"SeriesInstanceUID": "../../etc"},
        {"SeriesInstanceUID": "1.2", "ReferencedImageSequence": [Dataset()]},
    ],
)
async def test_series_that_say_nothing_are_refused(box, series):
    if isinstance(series, dict):
        series, values = Dataset(), series
        for name, value in values.items():
            setattr(series, name, value)
    change = steps.ending(PerformedSeriesSequence=[series])

    def talk(device):
        device.create(steps.beginning(), "1.2.3.4")
        return device.set(change, "1.2.3.4")[0]

    async with box() as it:
        assert (await said(talk, it.port)).Status in (0x0106, 0x0120, 0x0121)
        assert (await it.procedures.page()).items[0].state == "IN PROGRESS"
