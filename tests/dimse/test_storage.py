import asyncio
import io
import logging

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cache.admission import Outcome, Source
from edge.dicom.instance import Origin
from edge.dimse import upper_layer
from edge.dimse.data_set import HIGH_WATER, RECEIVE
from edge.errors import (
    AccessDenied,
    InstanceMismatch,
    InvalidInstance,
    NotDicom,
    SealBroken,
    StorageFull,
)
from edge.others import Peer
from tests import samples
from tests.dimse import dcmtk, raw
from tests.dimse.raw import CT, EXPLICIT, RecordingAdmission, connected, context_item, serving
from tests.journeys import modality


@pytest.fixture(autouse=True)
def short_goodbye(monkeypatch):
    monkeypatch.setattr(upper_layer, "LINGER_SECONDS", 0.2)


@pytest.fixture
def admission():
    return RecordingAdmission()


def data_set_of(part10):
    """The bytes behind group 0002."""
    if part10[132:140] == b"\2\0\0\0UL\4\0":
        return part10[144 + int.from_bytes(part10[140:144], "little") :]
    stream = io.BytesIO(part10[132:])
    pydicom.filereader._read_file_meta_info(stream)
    return part10[132 + stream.tell() :]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.integers(0, 300_000),
    pdu=st.integers(1, 131_000),
    syntax=st.sampled_from([EXPLICIT, "1.2.840.10008.1.2.4.90", "1.3.6.1.4.1.9999.1"]),
)
def test_a_data_set_is_kept_byte_for_byte_in_any_transfer_syntax(size, pdu, syntax):
    async def store():
        admission = RecordingAdmission()
        data = (bytes(range(256)) * (size // 256 + 1))[:size]
        async with serving(admission) as server, connected(server.port) as peer:
            await peer.associate(context_item(3, CT, [syntax]))
            peer.store(data, size=max(pdu, size // 100 + 1))
            assert await peer.status() == 0
        kept = admission.instances["1.2.3.4"]
        assert data_set_of(kept) == data
        assert syntax.encode() in kept[: len(kept) - size]

    asyncio.run(store())


async def test_the_file_meta_says_who_sent_what_to_whom(admission):
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(b"data")
        assert await peer.status() == 0
    kept = io.BytesIO(admission.instances["1.2.3.4"])
    meta = pydicom.dcmread(kept, force=True, specific_tags=[]).file_meta
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert meta.TransferSyntaxUID == EXPLICIT
    assert (meta.SourceApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == (
        "RAW",
        "EDGE",
    )
    assert admission.sources == [Source(Origin.DIMSE, "RAW")]
    assert admission.announced == [(CT, "1.2.3.4")]


async def test_the_response_repeats_what_it_is_about(admission):
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(b"data", "1.2.3.45", message_id=513)
        answer = await peer.response()
    assert answer[0x0002].rstrip(b"\0").decode() == CT
    assert answer[0x1000].rstrip(b"\0") == b"1.2.3.45"
    assert answer[0x0100] == b"\x01\x80"
    assert answer[0x0120] == b"\x01\x02"
    assert answer[0x0800] == b"\x01\x01"


async def test_success_is_not_said_before_the_instance_is_stored(admission):
    admission.gate.clear()
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(b"data")
        answer = asyncio.ensure_future(peer.status())
        await asyncio.sleep(0.1)
        assert not answer.done()
        admission.gate.set()
        assert await answer == 0


async def test_a_conflict_is_a_success_and_is_logged(admission, caplog):
    admission.outcome = Outcome.CONFLICT
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(b"data")
        assert await peer.status() == 0
    assert "RAW at 127.0.0.1: an instance came with other bytes than before" in caplog.text


async def test_the_log_names_the_peer_and_the_message_but_no_instance(admission, caplog):
    caplog.set_level(logging.DEBUG, logger="edge")
    admission.error = InstanceMismatch("the SOP Instance UID is not the one that was announced")
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(b"data", "1.2.3.4", message_id=513)
        assert await peer.status() == 0xA900
        admission.error, admission.outcome = None, Outcome.CONFLICT
        peer.store(b"data", "1.2.3.4")
        assert await peer.status() == 0
        await peer.release()
    assert "RAW at 127.0.0.1: message 513 was not stored, status A900: the SOP" in caplog.text
    assert "1.2.3.4" not in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageFull("the disk is full"), 0xA700),
        (InstanceMismatch("SOP Class UID is another"), 0xA900),
        (NotDicom("not DICOM"), 0xC000),
        (InvalidInstance("no Study Instance UID"), 0xC000),
        (AccessDenied("no"), 0x0124),
        (SealBroken("seal"), 0x0110),
        (OSError(5, "I/O error on Secret^Patient"), 0x0110),
    ],
)
@pytest.mark.parametrize("after", [0, 100_000, 10_000_000])
async def test_a_failure_is_a_status_after_the_data_set_was_drained(
    admission, error, status, after, caplog
):
    admission.error, admission.error_after = error, after
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(bytes(2_000_000))
        answer = await peer.response()
        assert int.from_bytes(answer[0x0900], "little") == status
        assert "Secret" not in caplog.text + answer.get(0x0902, b"").decode()
        admission.error = None
        peer.store(b"the next one", "1.2.3.5")
        assert await peer.status() == 0
        assert server._shared.intake.held == 0
    assert set(admission.instances) == {"1.2.3.5"}
    assert any(f"{status:04X}" in line or "failed" in line for line in caplog.messages)


async def test_a_full_disk_is_known_before_bytes_are_taken(admission):
    admission.full = StorageFull("2 GiB are kept free")
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(bytes(1_000_000))
        answer = await peer.response()
        assert answer[0x0900] == b"\x00\xa7"
        assert answer[0x0902].strip() == b"2 GiB are kept free"
        assert not admission.started.is_set()
        assert await peer.echo() == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.4"}, 0x0122),
        ({"sop_class": ""}, 0x0122),
        ({"sop_uid": "../../etc/passwd"}, 0x0117),
        ({"sop_uid": "1." * 32 + "1"}, 0x0117),
        ({"sop_uid": "1.2\x003"}, 0x0117),
        ({"sop_uid": ""}, 0x0117),
    ],
)
async def test_an_announcement_that_can_not_be_is_refused(admission, fields, status, caplog):
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(bytes(50_000), **fields)
        assert await peer.status() == status
        assert await peer.echo() == 0
    assert not admission.started.is_set()
    assert f"status {status:04X}" in caplog.text
    assert "passwd" not in caplog.text


async def test_a_store_without_a_data_set_is_not_understood(admission):
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.send(raw.p_data(raw.fragment(3, 3, raw.store_command(data_set=0x0101))))
        assert await peer.status() == 0xC000
        assert await peer.echo() == 0


async def test_a_peer_without_the_right_gets_no_storage_context(admission):
    async with (
        serving(admission, unknown_peers="reject", peer=(Peer("RAW", may=("query",)),)) as server,
        connected(server.port) as peer,
    ):
        await peer.associate()
        peer.store(b"data")
        assert await peer.aborted() == (0, 0)


async def test_memory_stays_bounded_while_the_disk_is_slow(admission):
    admission.gate.clear()
    async with serving(admission) as server, connected(server.port) as peer:
        await peer.associate()
        peer.store(bytes(30_000_000))
        for _ in range(50):
            await asyncio.sleep(0.01)
            assert server._shared.intake.held <= HIGH_WATER + RECEIVE
        admission.gate.set()
        assert await peer.status() == 0
    assert len(data_set_of(admission.instances["1.2.3.4"])) == 30_000_000
    assert admission.pieces < 30_000_000 / 50_000


async def test_the_same_instance_on_two_associations_at_once_reaches_the_cache_twice(admission):
    async with (
        serving(admission) as server,
        connected(server.port) as one,
        connected(server.port) as two,
    ):
        for peer in (one, two):
            await peer.associate()
            peer.send(raw.p_data(raw.fragment(3, 3, raw.store_command())))
            peer.send(raw.p_data(raw.fragment(3, 0, bytes(1000))))
        for peer in (two, one):
            peer.send(raw.p_data(raw.fragment(3, 2, bytes(1000))))
            assert await peer.status() == 0
    assert len(admission.sources) == 2


async def test_dcmtk_sends_a_series(admission, tmp_path):
    files = samples.write_series(tmp_path / "ct", 12, rows=256, columns=256)
    async with serving(admission) as server:
        result = await dcmtk.run("dcmsend", server.port, "+sd", tmp_path / "ct")
        assert result == dcmtk.Result(0, "")
    assert len(admission.instances) == 12
    for file in files:
        sent = pydicom.dcmread(file)
        kept = admission.instances[sent.SOPInstanceUID]
        assert pydicom.dcmread(io.BytesIO(kept)) == sent


async def test_a_sender_with_nagles_algorithm_does_not_wait_for_our_acknowledgements(
    admission, tmp_path
):
    samples.write_series(tmp_path, 120, rows=64, columns=64)
    async with serving(admission) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await dcmtk.run("dcmsend", server.port, "+sd", tmp_path, nagle=True)
        elapsed = loop.time() - began
    assert result == dcmtk.Result(0, "")
    # It takes a tenth of a second; two delayed ACKs for each instance would be 9.6 s.
    assert elapsed < 5


@pytest.mark.parametrize("pdu", [4096, 16384, 131072])
async def test_dcmtk_sends_with_any_pdu_size_in_both_directions(admission, tmp_path, pdu):
    (file,) = samples.write_series(tmp_path, 1)
    async with serving(admission, max_pdu=pdu) as server:
        arguments = ("-pdu", pdu, "--max-send-pdu", pdu)
        result = await dcmtk.run("storescu", server.port, *arguments, file)
        assert result == dcmtk.Result(0, "")
    (kept,) = admission.instances.values()
    assert pydicom.dcmread(io.BytesIO(kept)) == pydicom.dcmread(file)


async def test_dcmtk_is_told_of_a_full_disk(admission, packaged):
    admission.full = StorageFull("full")
    async with serving(admission) as server:
        result = await dcmtk.run("storescu", server.port, "-v", packaged("CT_small.dcm"))
    assert "A700" in result.output or "OutOfResources" in result.output


async def test_four_dcmtk_senders_at_once_lose_nothing(admission, tmp_path):
    for seed in range(4):
        samples.write_series(tmp_path / str(seed), 10, rows=128, columns=128, seed=seed)
    async with serving(admission) as server:
        results = await asyncio.gather(
            *(dcmtk.run("dcmsend", server.port, "+sd", tmp_path / str(s)) for s in range(4))
        )
    assert [result.status for result in results] == [0, 0, 0, 0]
    assert len(admission.instances) == 40


async def test_every_packaged_instance_arrives_verbatim_from_pynetdicom(admission):
    # Some share the UID of their file meta, by which the admission here keeps them.
    files = {
        meta.MediaStorageSOPInstanceUID: file
        for file in samples.distinct_files()
        if "MediaStorageSOPInstanceUID" in (meta := pydicom.filereader.read_file_meta_info(file))
    }
    async with serving(admission) as server:
        statuses = await modality.send(server.port, files.values())
    assert statuses == {0: len(files)}
    kept = {uid: data_set_of(part10) for uid, part10 in admission.instances.items()}
    assert kept == {uid: data_set_of(file.read_bytes()) for uid, file in files.items()}
    assert len(files) > 50
