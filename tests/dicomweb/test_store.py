"""STOW-RS: parts are taken as they come, and each is accounted for."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import threading
import warnings

import aiohttp
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cache.admission import Admitted, Outcome
from edge.dicom.instance import InstanceRef, Origin
from edge.dicom.xml_model import from_xml
from edge.dicomweb import store as store_module
from edge.errors import EdgeError, StorageFull
from tests import samples
from tests.dicomweb.conftest import until

BOUNDARY = "a-boundary-of-ours"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def message(*parts, content_type="application/dicom"):
    """A multipart body; dicomweb-client begins the first boundary with a line end, we do not."""
    body = b"".join(
        f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode() + part + b"\r\n"
        for part in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


async def store(service, body, *, path="/studies", content_type=CONTENT_TYPE):
    headers = {"Content-Type": content_type}
    async with service.http.post(service.base + path, data=body, headers=headers) as answer:
        if answer.content_type == "application/dicom+json":
            return answer.status, pydicom.Dataset.from_json(await answer.json(content_type=None))
        return answer.status, await answer.json(content_type=None)


@pytest.fixture
def slices():
    return list(samples.ct_series(3))


@pytest.fixture
def ct(packaged):
    return packaged("CT_small.dcm").read_bytes()


async def test_what_a_token_of_an_entity_stores_comes_from_that(service, slices):
    service.http.headers["Authorization"] = "Bearer store as CT1"
    status, _ = await store(service, message(slices[0].data))
    assert status == 200
    assert [source.peer for source in service.admission.sources] == ["CT1"]


async def test_what_is_sent_is_stored_and_listed(service, slices):
    status, answer = await store(service, message(*[part.data for part in slices]))
    assert status == 200
    assert service.admission.kept == {part.ref.sop_uid: part.data for part in slices}
    assert {source.origin for source in service.admission.sources} == {Origin.DICOMWEB}
    assert {source.peer for source in service.admission.sources} == {"gateway"}
    study = slices[0].ref.study_uid
    assert answer.RetrieveURL == f"{service.base}/studies/{study}"
    for item, part in zip(answer.ReferencedSOPSequence, slices, strict=True):
        assert item.ReferencedSOPInstanceUID == part.ref.sop_uid
        assert item.ReferencedSOPClassUID == part.sop_class_uid
        assert item.RetrieveURL == (
            f"{service.base}/studies/{study}/series/{part.ref.series_uid}"
            f"/instances/{part.ref.sop_uid}"
        )
        assert "WarningReason" not in item
    assert "FailedSOPSequence" not in answer


async def test_the_same_again_is_a_success(service, ct):
    assert (await store(service, message(ct)))[0] == 200
    assert (await store(service, message(ct, ct)))[0] == 200
    assert len(service.admission.kept) == 1


async def test_other_bytes_under_the_same_uid_are_stored_with_a_warning(service, ct):
    await store(service, message(ct))
    status, answer = await store(service, message(ct.replace(b"GE MEDICAL", b"XX MEDICAL")))
    assert status == 202
    assert answer.ReferencedSOPSequence[0].WarningReason == 0x0111
    assert "FailedSOPSequence" not in answer


async def test_instances_of_several_studies_have_no_common_url(service, slices, ct):
    status, answer = await store(service, message(slices[0].data, ct))
    assert status == 200
    assert answer["RetrieveURL"].is_empty


async def test_a_bad_part_does_not_harm_the_others(service, slices, ct):
    truncated = ct[:1000]
    body = message(slices[0].data, b"no DICOM" * 30000, slices[1].data, truncated, slices[2].data)
    status, answer = await store(service, body)
    assert status == 202
    assert len(service.admission.kept) == len(answer.ReferencedSOPSequence) == 3
    [failed] = answer.FailedSOPSequence
    dataset = pydicom.dcmread(io.BytesIO(ct))
    assert failed.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    assert failed.ReferencedSOPClassUID == dataset.SOPClassUID
    assert failed.FailureReason == 0xC000
    assert failed[0x00091001].value == "the data set ends early"
    [other] = answer.OtherFailuresSequence
    assert other.FailureReason == 0xC000


async def test_an_instance_of_another_study_is_refused_alone(service, slices, ct):
    path = f"/studies/{slices[0].ref.study_uid}"
    status, answer = await store(service, message(slices[0].data, ct), path=path)
    assert status == 202
    assert [item.FailureReason for item in answer.FailedSOPSequence] == [0xA900]
    status, answer = await store(service, message(ct), path=path)
    assert status == 409
    assert "ReferencedSOPSequence" not in answer


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [(EdgeError("broken"), 500, 0x0110), (RuntimeError("DOE^JANE"), 500, 0x0110)],
)
async def test_what_fails_here_is_a_processing_failure(service, ct, error, status, reason, caplog):
    service.admission.fail_with = error
    answered, answer = await store(service, message(ct))
    assert answered == status
    assert answer.FailedSOPSequence[0].FailureReason == reason
    assert "DOE" not in caplog.text + answer.to_json()
    assert ("RuntimeError" in caplog.text) is isinstance(error, RuntimeError)


async def test_a_full_cache_refuses_before_it_reads(service, ct):
    service.admission.full = True
    status, document = await store(service, message(ct))
    assert (status, document["detail"]) == (507, "the cache is full")


async def test_a_cache_that_fills_up_says_so_per_instance(service, ct, slices):
    original = service.admission.store_instance

    async def fill(chunks, source, *, study_uid=None):
        admitted = await original(chunks, source, study_uid=study_uid)
        service.admission.fail_with = StorageFull("the disk is full")
        return admitted

    service.admission.store_instance = fill
    status, answer = await store(service, message(slices[0].data, ct))
    assert status == 202
    assert answer.FailedSOPSequence[0].FailureReason == 0xA700
    status, answer = await store(service, message(ct))
    assert status == 507
    assert answer.FailedSOPSequence[0].FailureReason == 0xA700


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("application/dicom", 400),
        ("application/dicom+json", 400),
        ('multipart/related; type="application/dicom+json"', 400),
        (f'multipart/related; type="text/plain"; boundary={BOUNDARY}', 415),
        (f"multipart/form-data; boundary={BOUNDARY}", 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=""', 400),
        ("nonsense", 400),
        (f"multipart/related; boundary={BOUNDARY}", 200),
        (f"Multipart/Related; Type=application/dicom; Boundary={BOUNDARY}", 200),
    ],
)
async def test_the_content_type_decides(service, ct, content_type, status):
    assert (await store(service, message(ct), content_type=content_type))[0] == status


async def test_a_media_type_that_is_not_taken_is_answered_with_those_that_are(service, ct):
    url, headers = f"{service.base}/studies", {"Content-Type": "image/jpeg"}
    async with service.http.post(url, data=ct, headers=headers) as answer:
        assert 'multipart/related; type="application/dicom", ' in answer.headers["Accept-Post"]


async def test_one_instance_comes_without_multipart(service, ct):
    status, answer = await store(service, ct, content_type="application/dicom")
    assert status == 200
    assert list(service.admission.kept.values()) == [ct]
    assert len(answer.ReferencedSOPSequence) == 1


async def test_the_answer_can_be_xml(service, ct):
    headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+xml"}
    async with service.http.post(f"{service.base}/studies", data=ct, headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "application/dicom+xml")
        assert from_xml(await answer.read())["00081199"]["Value"][0]["00081155"]["Value"]


async def test_an_answer_that_can_not_be_given_stores_nothing(service, ct):
    headers = {"Content-Type": "application/dicom", "Accept": "text/html"}
    async with service.http.post(f"{service.base}/studies", data=ct, headers=headers) as answer:
        assert answer.status == 406
    assert service.admission.kept == {}


async def test_a_part_of_another_type_is_refused_alone(service, ct, slices):
    body = message(ct, content_type="application/pdf").removesuffix(f"--{BOUNDARY}--\r\n".encode())
    status, answer = await store(service, body + message(slices[0].data))
    assert status == 202
    assert answer.OtherFailuresSequence[0].FailureReason == 0xC000
    assert list(service.admission.kept) == [slices[0].ref.sop_uid]


@pytest.mark.parametrize(
    "body",
    [b"", b"nothing", message(), b"x" * 100_000, b"--another\r\n\r\nx\r\n--another--"],
)
async def test_a_body_without_parts_is_refused(service, body):
    status, document = await store(service, body)
    assert status == 400
    assert document["title"] == "Bad Request"


async def test_what_came_before_a_broken_end_stays_stored(service, slices):
    whole = message(*[part.data for part in slices])
    status, answer = await store(service, whole[: -len(slices[2].data) // 2])
    assert status == 202
    assert len(answer.ReferencedSOPSequence) == len(service.admission.kept) == 2
    assert answer.FailedSOPSequence[0].ReferencedSOPInstanceUID == slices[2].ref.sop_uid
    # Only the closing boundary is missing: everything is there, but the message is not whole.
    status, answer = await store(service, whole.removesuffix(b"--\r\n"))
    assert status == 202


async def test_a_truncated_body_stores_nothing_of_its_last_part(service, ct):
    status, answer = await store(service, message(ct)[:20_000])
    assert status == 400
    assert answer.FailedSOPSequence[0].FailureReason == 0xC000
    assert service.admission.kept == {}


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(service):
    length = 25 * 1024 * 1024
    reader, writer = await _connect(service)
    writer.write(_head(service, length))
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize(
    ("content_type", "limit"),
    [
        (CONTENT_TYPE, "capacity"),
        ("application/dicom", "max_instance_bytes"),
        ("application/dicom+json", "MAX_METADATA"),
    ],
)
async def test_what_can_not_be_kept_in_any_case_is_refused_before_it_is_read(
    service, monkeypatch, content_type, limit
):
    if limit == "MAX_METADATA":
        monkeypatch.setattr("edge.dicomweb.store.MAX_METADATA", 1000)
    else:
        setattr(service.admission, limit, 1000)
    reader, writer = await _connect(service)
    writer.write(_head(service, 1001).replace(CONTENT_TYPE.encode(), content_type.encode()))
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    assert b'"hint":' in await asyncio.wait_for(reader.readuntil(b"}"), 5)
    writer.close()


async def test_a_compression_that_is_not_known_is_a_415(service, ct):
    headers = {"Content-Type": CONTENT_TYPE, "Content-Encoding": "snappy"}
    url = f"{service.base}/studies"
    async with service.http.post(url, data=message(ct), headers=headers) as answer:
        assert answer.status == 415
        assert answer.headers["Accept-Encoding"] == "gzip, deflate"


async def test_a_body_that_grows_too_long_is_given_up(service, slices):
    async def endless():
        yield message(slices[0].data).removesuffix(f"--{BOUNDARY}--\r\n".encode())
        yield f"--{BOUNDARY}\r\n\r\n".encode() + bytes(128) + b"DICM"
        for _ in range(100):
            yield bytes(1024 * 1024)

    url, headers = f"{service.base}/studies", {"Content-Type": CONTENT_TYPE}
    async with service.http.post(url, data=endless(), headers=headers) as answer:
        assert answer.status == 202
    assert list(service.admission.kept) == [slices[0].ref.sop_uid]


async def test_nobody_is_told_to_go_on_who_is_then_refused(service, ct):
    body = message(ct)
    service.admission.full = True
    reader, writer = await _connect(service)
    writer.write(_head(service, len(body), "Expect: 100-continue\r\n"))
    assert b" 507 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_who_waits_to_be_asked_is_asked(service, ct):
    body = message(ct)
    reader, writer = await _connect(service)
    writer.write(_head(service, len(body), "Expect: 100-continue\r\n"))
    assert b" 100 " in await asyncio.wait_for(reader.readline(), 5)
    assert await reader.readline() == b"\r\n"
    writer.write(body)
    assert b" 200 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_another_expectation_is_not_met(service):
    reader, writer = await _connect(service)
    writer.write(_head(service, 10, "Expect: miracles\r\n"))
    assert b" 417 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_a_client_that_goes_away_leaves_nothing_half_stored(service, slices):
    body = message(*[part.data for part in slices])
    _, writer = await _connect(service)
    writer.write(_head(service, len(body)) + body[: len(slices[0].data) * 3 // 2])
    await writer.drain()
    await until(lambda: service.admission.kept)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
    writer.close()
    await until(lambda: not service.admission.under_way)
    assert list(service.admission.kept) == [slices[0].ref.sop_uid]
    assert (await store(service, body))[0] == 200


async def _connect(service):
    host, port = service.base.removeprefix("http://").removesuffix("/dicom-web").split(":")
    return await asyncio.open_connection(host, int(port))


def _head(service, length, more=""):
    return (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer store\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


async def test_no_part_is_ever_held_whole(service):
    _, pieces = samples.multiframe(20 * 1024 * 1024)

    async def body():
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        for piece in pieces:
            yield piece
        yield f"\r\n--{BOUNDARY}--".encode()

    assert (await store(service, body()))[0] == 200
    assert service.admission.largest_piece <= 2 * 1024 * 1024


async def test_the_next_part_is_read_while_one_becomes_durable(service):
    slices = list(samples.ct_series(8))
    service.admission.settling = asyncio.Event()
    sending = asyncio.create_task(store(service, message(*[part.data for part in slices])))
    await until(lambda: service.admission.under_way >= 4)
    await asyncio.sleep(0.1)
    # No more than a few at once, and no answer before all are durable.
    assert service.admission.most_under_way == 4
    assert not sending.done()
    service.admission.settling.set()
    status, answer = await sending
    assert status == 200
    listed = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
    assert listed == [part.ref.sop_uid for part in slices]


async def test_another_client_stores(service, client):
    paths = [path for path in samples.distinct_files() if path.name != "badVR.dcm"][:30]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = [pydicom.dcmread(path) for path in paths]
        answer = await asyncio.to_thread(client.store_instances, datasets)
    stored = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
    assert stored == {dataset.SOPInstanceUID for dataset in datasets} == set(service.admission.kept)


async def test_another_client_is_told_of_failures(service, client, ct):
    dataset = pydicom.dcmread(io.BytesIO(ct))
    answer = await asyncio.to_thread(client.store_instances, [dataset], dataset.StudyInstanceUID)
    assert len(answer.ReferencedSOPSequence) == 1


async def test_a_chunked_body_with_broken_framing_is_no_defect(service, slices, caplog):
    reader, writer = await _connect(service)
    head = _head(service, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    writer.write(head + b"5\r\nhello\r\nnonsense\r\n")
    line = await asyncio.wait_for(reader.readline(), 5)
    assert b" 400 " in line or line == b""
    writer.close()
    assert "defect" not in caplog.text


async def test_a_request_may_be_followed_by_another_on_its_connection(service, slices):
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector, headers=service.http.headers) as http:
        for part in slices:
            headers = {"Content-Type": CONTENT_TYPE}
            data = message(part.data)
            async with http.post(f"{service.base}/studies", data=data, headers=headers) as answer:
                assert answer.status == 200


BODIES = st.lists(st.binary(max_size=300) | st.sampled_from([b"\r\n--", b"--", b""]), max_size=6)


@given(
    parts=st.lists(BODIES.map(b"".join), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 90))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_parts_arrive_byte_for_byte_however_they_are_cut(service, parts, sizes):
    taken = []

    async def record(chunks, source, *, study_uid=None):
        index = len(taken)
        taken.append(b"")
        async for chunk in chunks:
            taken[index] += chunk
        return Admitted(InstanceRef("1.2", "1.2.3", f"1.2.3.{index}"), "1.2", Outcome.STORED)

    async def cut():
        body = memoryview(message(*parts))
        for size in sizes:
            yield bytes(body[:size])
            body = body[size:]
        yield bytes(body)

    service.admission.store_instance = record
    assert (await store(service, cut()))[0] == 200
    assert taken == parts


async def test_a_body_has_so_many_parts_and_no_more(service, ct):
    body = message(ct)[: -len(f"--{BOUNDARY}--\r\n")]
    part = f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()
    status, answer = await store(service, body + part * 30_000)
    assert status == 202
    assert len(answer.ReferencedSOPSequence) == 1
    assert len(answer[0x0008119A].value) == 19_999


async def test_a_long_account_is_written_while_others_go_on(service, monkeypatch):
    threads = set()

    def recorded(of):
        def call(*arguments):
            threads.add(threading.current_thread())
            return of(*arguments)

        return call

    monkeypatch.setattr(store_module.Report, "answer", recorded(store_module.Report.answer))
    monkeypatch.setattr(store_module, "to_xml", recorded(store_module.to_xml))
    part = f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()
    headers = {"Content-Type": CONTENT_TYPE, "Accept": "application/dicom+xml"}
    url, data = f"{service.base}/studies", part * 100 + f"--{BOUNDARY}--".encode()
    async with service.http.post(url, data=data, headers=headers) as answer:
        assert answer.status == 400
        assert len(from_xml(await answer.read())["0008119A"]["Value"]) == 100
    assert threads
    assert threading.main_thread() not in threads


async def test_a_body_that_was_compressed_to_little_keeps_nobody_waiting(service, ct):
    padding = bytes(20 * 1024 * 1024)
    body = gzip.compress(message(ct + padding), 1)
    headers = {"Content-Type": CONTENT_TYPE, "Content-Encoding": "gzip"}
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(others())
        service.admission.fail_with = StorageFull("no room")
        async with service.http.post(
            f"{service.base}/studies", data=body, headers=headers
        ) as answer:
            assert answer.status == 507
        waiting.cancel()
    assert turns > len(padding) / (1024 * 1024)  # one for every mebibyte
