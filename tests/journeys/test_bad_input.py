"""Bad input at the doors of a whole box: the right answer, a line in the log, and no trace.

What each door does with each kind of mischief is tested beside the doors; here it is that the
whole box stands it, keeps nothing of it, and goes on.
"""

from __future__ import annotations

import asyncio
import io
import struct

import pydicom
import pytest

from edge import others
from edge.access.roles import Role
from tests import samples
from tests.dimse import raw
from tests.dimse.raw import fragment, p_data, pdu, store_command
from tests.journeys.modality import dcmtk
from tests.journeys.viewer import JSON, Part10, Viewer

HALF = 1_500_000
MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
async def box(open_box):
    async with open_box() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level("INFO", logger="edge")


def a_slice(seed: int = 71) -> samples.Slice:
    return next(samples.ct_series(1, rows=64, columns=64, seed=seed))


def a_large_slice() -> samples.Slice:
    """2 MiB: the box can't but write some of it before it has all of it."""
    return next(samples.ct_series(1, rows=1024, columns=1024, seed=72))


def changed(**values: object) -> bytes:
    """The data set of a slice with other values; None takes the element away."""
    dataset = pydicom.dcmread(io.BytesIO(a_slice().data))
    with pydicom.config.disable_value_validation():
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        file = io.BytesIO()
        dataset.save_as(file)
    return Part10.of(file.getvalue()).dataset


def good() -> bytes:
    return Part10.of(a_slice().data).dataset


def nested(levels: int) -> bytes:
    """A sequence in a sequence in a sequence."""
    sequence = b"\x40\x00\x75\xa2SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return good() + sequence * levels


async def assert_clean(box) -> None:
    """Nothing was kept, and the next one is served."""

    async def empty() -> bool:
        return await box.is_empty()

    await box.until(empty, "nothing is left")
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        assert await peer.echo() == 0
        one = a_slice()
        peer.store(Part10.of(one.data).dataset, one.ref.sop_uid)
        assert await peer.status() == 0
        await peer.release()
    assert len(box.files()) == 1


# DICOM


SOP_UID = a_slice().ref.sop_uid
LONG = "1." + "2" * 63

DATA_SETS = {
    "truncated": (lambda: good()[:-100], 0xC000),
    "truncated in its header": (lambda: good()[:301], 0xC000),
    "not DICOM": (lambda: b"GIF89a" + bytes(5000), 0xC000),
    "another file in a file": (lambda: a_slice().data, 0xC000),
    "empty": (lambda: b"", 0xC000),
    "of another SOP class": (lambda: changed(SOPClassUID=MR), 0xA900),
    "another instance": (lambda: changed(SOPInstanceUID="1.2.3.4.5"), 0xA900),
    "without a study": (lambda: changed(StudyInstanceUID=None), 0xC000),
    "with a path as study": (lambda: changed(StudyInstanceUID="../../../tmp/study"), 0xC000),
    "with a path as series": (lambda: changed(SeriesInstanceUID="1.2/../../3"), 0xC000),
    "with a NUL in its study": (lambda: changed(StudyInstanceUID="1.2\x003.4"), 0xC000),
    "with too long a study": (lambda: changed(StudyInstanceUID=LONG), 0xC000),
    "nested without end": (lambda: nested(20_000), 0xC000),
}


@pytest.mark.parametrize("kind", DATA_SETS)
async def test_a_data_set_that_is_no_good_gets_its_status(kind, box, caplog):
    make, status = DATA_SETS[kind]
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        peer.store(make(), SOP_UID)
        assert await peer.status() == status
        assert await peer.echo() == 0
        await peer.release()
    assert f"was not stored, status {status:04X}" in caplog.text
    await assert_clean(box)


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/../../3", "1..2", "", LONG, "1.2\x003"])
async def test_an_announced_uid_that_is_none_is_refused(uid, box, caplog):
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        peer.store(good(), uid)
        assert await peer.status() == 0x0117  # Invalid SOP Instance (PS3.7 C.5.11)
        await peer.release()
    assert "was not stored, status 0117: Affected SOP Instance UID is not a UID" in caplog.text
    await assert_clean(box)


async def test_a_sop_class_that_was_not_agreed_on_is_refused(box, caplog):
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        peer.store(good(), SOP_UID, sop_class=MR)
        assert await peer.status() == 0x0122  # SOP Class Not Supported (PS3.7 C.5.16)
        await peer.release()
    assert "status 0122" in caplog.text
    await assert_clean(box)


BREAKS_PS3_8 = {
    "a PDU longer than was offered": struct.pack(">BxI", 4, 0x7FFFFFFF),
    "a PDV longer than its PDU": pdu(4, struct.pack(">IBB", 5000, 3, 0) + bytes(100)),
    "a PDU that ends in a PDV's head": p_data(fragment(3, 0, bytes(10)), b"\0\0"),
    "a context that was not agreed on": p_data(fragment(9, 0, bytes(10))),
    "an unknown type of PDU": pdu(9, bytes(10)),
    "a second request to associate": pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS)),
}


@pytest.mark.parametrize("kind", BREAKS_PS3_8)
async def test_who_breaks_the_protocol_in_the_middle_of_an_instance_is_aborted(kind, box, caplog):
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        peer.send(p_data(fragment(3, 3, store_command(SOP_UID))))
        peer.send(p_data(fragment(3, 0, good()[:5000])))
        peer.send(BREAKS_PS3_8[kind])
        await peer.aborted()
    await raw.until(lambda: "the association was lost" in caplog.text)
    await assert_clean(box)


ENDINGS = {
    "A-ABORT": lambda peer: peer.send(pdu(7, bytes(4))),
    "RST": lambda peer: peer.reset(),
    "FIN": lambda peer: peer.writer.write_eof(),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_instance_that_breaks_off_in_the_middle_leaves_nothing(ending, box, caplog):
    dataset = Part10.of(a_large_slice().data).dataset
    async with raw.connected(box.dimse_port) as peer:
        await peer.associate()
        peer.send(p_data(fragment(3, 3, store_command(SOP_UID))))
        for start in range(0, HALF, 16_000):
            peer.send(p_data(fragment(3, 0, dataset[start : start + 16_000])))
        await peer.writer.drain()

        async def arriving() -> bool:
            return bool(box.files())

        await box.until(arriving, "the instance is on its way to the disk")
        ENDINGS[ending](peer)

        async def lost() -> bool:
            return "the association was lost" in caplog.text

        await box.until(lost, "the log says so")
        await box.until(box.is_empty, "nothing is left")
    await assert_clean(box)


async def test_an_instance_longer_than_allowed_is_given_up(open_box, caplog):
    async with open_box(cache={"max_instance_bytes": 20_000}) as box:
        dataset = Part10.of(next(samples.ct_series(1, rows=256, columns=256, seed=73)).data).dataset
        async with raw.connected(box.dimse_port) as peer:
            await peer.associate()
            peer.store(dataset, SOP_UID)
            kind, _ = await peer.read_pdu()
            assert kind == 7

        async def told() -> bool:
            return "longer than" in caplog.text

        await box.until(told, "the log says why")
        await assert_clean(box)


async def test_strangers_and_wrong_addresses_are_rejected(open_box, caplog, tmp_path):
    [path] = samples.write_series(tmp_path / "ct", 1, rows=16, columns=16, seed=74)
    known = others.Peer(ae_title="CT1")
    async with open_box(dimse={"unknown_peers": "reject", "peer": (known,)}) as box:
        stranger = await dcmtk("storescu", box.dimse_port, path, calling="STRANGER")
        assert not stranger.has_succeeded
        assert "Calling AE Title Not Recognized" in stranger.output
        assert "no peer has the AE title 'STRANGER'" in caplog.text
        wrong = await dcmtk("storescu", box.dimse_port, path, calling="CT1", called="OTHER")
        assert not wrong.has_succeeded
        assert "Called AE Title Not Recognized" in wrong.output
        assert "it called 'OTHER'; this is 'EDGE'" in caplog.text
        assert await box.is_empty()

        assert (await dcmtk("storescu", box.dimse_port, path, calling="CT1")).has_succeeded
        assert await box.custody() == {"EDGE_ONLY": 1}


async def test_two_hundred_silent_connections_disturb_nobody(box):
    silent = [await asyncio.open_connection("127.0.0.1", box.dimse_port) for _ in range(200)]
    await assert_clean(box)
    for _, writer in silent:
        writer.close()


# DICOMweb


@pytest.fixture
async def writer(box):
    async with await box.client(Role.TECHNOLOGIST) as client:
        yield client


def part10(dataset: bytes) -> bytes:
    data = a_slice().data
    return data[: len(data) - len(good())] + dataset


PARTS = {
    "truncated": (lambda: a_slice().data[:-100], 400, 0xC000),
    "not DICOM": (lambda: b"%PDF-1.4" + bytes(5000), 400, 0xC000),
    "empty": (lambda: b"", 400, 0xC000),
    "without a study": (lambda: part10(changed(StudyInstanceUID=None)), 400, 0xC000),
    "with a path as study": (lambda: part10(changed(StudyInstanceUID="../../tmp")), 400, 0xC000),
    "with a path as its name": (lambda: part10(changed(SOPInstanceUID="1/../2")), 400, 0xC000),
    "nested without end": (lambda: part10(nested(20_000)), 400, 0xC000),
}


def failures(answer) -> list[int]:
    """The Failure Reasons that a STOW-RS answer lists."""
    body = answer.json()
    items = [
        item for tag in ("00081198", "0008119A") for item in body.get(tag, {}).get("Value", [])
    ]
    return [item["00081197"]["Value"][0] for item in items]


@pytest.mark.parametrize("kind", PARTS)
async def test_a_part_that_is_no_good_gets_its_failure_reason(kind, box, writer, caplog):
    make, status, reason = PARTS[kind]
    answer = await writer.store(make())
    assert answer.status_code == status
    assert failures(answer) == [reason]
    assert "POST /dicom-web/studies: " in caplog.text
    await assert_clean(box)


async def test_a_bad_part_does_not_harm_the_good_ones(box, writer):
    fine = list(samples.ct_series(2, rows=16, columns=16, seed=75))
    answer = await writer.store(fine[0].data, a_slice().data[:-100], b"rubbish", fine[1].data)
    assert answer.status_code == 202
    assert failures(answer) == [0xC000, 0xC000]
    stored = answer.json()["00081199"]["Value"]
    assert [one["00081155"]["Value"][0] for one in stored] == [one.ref.sop_uid for one in fine]
    assert len(box.files()) == 2
    found = await box.viewer.instances(f"/studies/{fine[0].ref.study_uid}")
    assert found == {one.ref.sop_uid: Part10.of(one.data) for one in fine}


async def test_an_instance_of_another_study_is_refused(box, writer):
    answer = await writer.store(a_slice().data, path="/studies/1.2.3.4")
    assert answer.status_code == 409
    assert failures(answer) == [0xA900]
    await assert_clean(box)


async def test_bodies_that_are_not_what_they_say_are_refused(box, writer):
    data = a_slice().data
    related = 'multipart/related; type="application/dicom"'
    for kind, body, status in (
        ("text/plain", data, 415),
        ("application/dicom", data[:200], 400),
        (f"{related}; boundary=x", data, 400),
        (f"{related}; boundary=x", b"", 400),
        (related, data, 400),
        ('multipart/related; type="image/jpeg"; boundary=x', data, 415),
        (f"{related}; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100_000, 400),
    ):
        answer = await writer.http.post("/studies", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (kind, body[:20], answer.text)
    await assert_clean(box)


async def test_a_body_that_breaks_off_leaves_nothing(box, writer):
    data = a_large_slice().data
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"

    async def body():
        yield head + data[:HALF]

        async def arriving() -> bool:
            return bool(box.files())

        await box.until(arriving, "the instance is on its way to the disk")
        raise ConnectionError("the line broke")

    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    with pytest.raises(ConnectionError):
        await writer.http.post("/studies", content=body(), headers=headers)
    await assert_clean(box)


async def test_nobody_comes_in_without_a_token_or_beyond_his_role(box):
    base = str(box.viewer.http.base_url)
    async with Viewer(base) as nobody, Viewer(base, headers={"Authorization": "Bearer x"}) as liar:
        for stranger in (nobody, liar):
            for path in ("/studies", "/studies/1.2", "/studies/1.2/metadata", "/anything"):
                answer = await stranger.get(path, JSON)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await stranger.store(a_slice().data)).status_code == 401
    async with await box.client(Role.VIEWER) as viewer:
        assert await viewer.search("/studies") == []
        assert (await viewer.store(a_slice().data)).status_code == 403
    await assert_clean(box)


async def test_paths_that_lead_elsewhere_lead_nowhere(box):
    for path in (
        "/studies/../../../../etc/passwd",
        "/studies/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/studies/1.2%00/metadata",
        f"/studies/{LONG}",
        "/studies/1.2/series/..%2f..%2f/instances/1.2",
        "/studies/1.2/series/1.3/instances/1.4/bulkdata/../../../../root.key",
        "/studies/1.2/series/1.3/instances/1.4/frames/0",
        "/studies/1.2/series/1.3/instances/1.4/frames/99999999999999999999",
    ):
        answer = await box.viewer.get(path, "*/*")
        assert answer.status_code in (400, 404), path
        assert b"root:" not in answer.content
