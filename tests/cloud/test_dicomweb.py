import asyncio
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import replace

import pytest

from edge import others
from edge.cloud.archive import Advice, StoreOutcome
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.pace import Throttle, Way
from edge.cloud.transport import Timeouts
from edge.errors import (
    CloudRefused,
    CloudUnauthorised,
    CloudUnreachable,
    ConfigError,
    InstanceNotFound,
    InstanceUnreadable,
)
from edge.sync.meter import Meter
from tests.cloud.conftest import outgoing
from tests.fakes.archive import FakeArchive, Fault, Refusal
from tests.samples import ct_series

STORED, FAILED, UNKNOWN = StoreOutcome.STORED, StoreOutcome.FAILED, StoreOutcome.UNKNOWN


async def store(client, slices):
    return await client.store_instances([outgoing(part) for part in slices])


def outcomes(results):
    return [result.outcome for result in results]


async def test_a_store_request_knows_its_length(fake, client, slices):
    assert outcomes(await store(client, slices)) == [STORED] * 5
    assert fake.lengths[0] > sum(len(part.data) for part in slices)


async def test_storing_nothing_asks_nothing(fake, client):
    assert await client.store_instances([]) == []
    assert fake.requests == []


async def test_each_instance_has_its_own_result(fake, client, slices):
    fake.refusals[slices[1].ref.sop_uid] = Refusal(0xA900, "not the class that it says")
    fake.refusals[slices[3].ref.sop_uid] = Refusal(272, "instance already exists", private=True)
    results = await store(client, slices)
    assert [result.ref for result in results] == [part.ref for part in slices]
    assert outcomes(results) == [STORED, FAILED, STORED, FAILED, STORED]
    assert results[1].advice is Advice.QUARANTINE
    assert results[1].text == "not the class that it says"
    assert results[3].advice is Advice.COMPARE
    assert results[0].status == 202


async def test_all_refused_is_409_and_still_per_instance(fake, client, slices):
    for part in slices:
        fake.refusals[part.ref.sop_uid] = Refusal(0xA700)
    results = await store(client, slices)
    assert {(it.outcome, it.advice, it.status) for it in results} == {(FAILED, Advice.FULL, 409)}


async def test_400_with_some_stored_is_read(fake, client, slices):
    good, bad = slices[:2]
    results = await client.store_instances([outgoing(good), outgoing(bad, b"garbage" * 50)])
    assert outcomes(results) == [STORED, UNKNOWN]


async def test_a_lonely_instance_that_can_not_be_read_there_has_failed(client, slices):
    (result,) = await client.store_instances([outgoing(slices[0], b"garbage" * 50)])
    assert (result.outcome, result.advice) == (FAILED, Advice.RETRY)


async def test_an_answer_in_xml_is_read(fake, client, slices):
    fake.xml = True
    fake.refusals[slices[1].ref.sop_uid] = Refusal(0xC000, "can't understand")
    results = await store(client, slices)
    assert outcomes(results) == [STORED, FAILED, STORED, STORED, STORED]
    assert results[1].reason == 0xC000


async def test_200_that_names_nothing_is_unknown(fake, client, slices):
    fake.faults["store"].append(Fault(silent=True))
    assert outcomes(await store(client, slices)) == [UNKNOWN] * 5


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_server_error_after_a_store_is_unknown(fake, client, slices, status):
    fake.faults["store"].append(Fault(status=status, body=b"oops", commit=True))
    results = await store(client, slices)
    assert {(it.outcome, it.status, it.text) for it in results} == {(UNKNOWN, status, "oops")}
    assert len(fake.instances) == 5


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut_request=1000),
        Fault(cut_answer=0),
        Fault(cut_answer=20),
        Fault(hang=3.0),
    ],
)
async def test_a_connection_that_dies_leaves_all_unknown(fake, client, slices, fault):
    fake.faults["store"].append(fault)
    assert outcomes(await store(client, slices)) == [UNKNOWN] * 5


async def test_an_archive_that_is_off_was_sent_nothing(fake, client, slices):
    await fake.stop()
    with pytest.raises(CloudUnreachable, match="refuses the connection"):
        await store(client, slices)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_archive_says_when(fake, client, slices, status):
    fake.faults["store"].append(Fault(status=status, headers={"Retry-After": "17"}))
    with pytest.raises(CloudUnreachable) as caught:
        await store(client, slices)
    assert caught.value.retry_after == 17.0


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused(fake, client, slices, status):
    fake.faults["store"].append(Fault(status=status))
    with pytest.raises(CloudUnauthorised):
        await store(client, slices)


async def test_a_batch_that_is_too_large_is_refused_as_a_whole(fake, client, slices):
    fake.max_request = 5000
    with pytest.raises(CloudRefused) as caught:
        await store(client, slices)
    assert caught.value.status == 413


async def test_an_instance_that_is_too_large_by_itself_is_a_dead_letter(fake, client, slices):
    fake.max_request = 1000
    (result,) = await store(client, slices[:1])
    assert (result.outcome, result.advice, result.status) == (FAILED, Advice.QUARANTINE, 413)


async def test_a_url_without_a_service_is_a_refusal_not_a_fate_of_instances(fake, slices):
    settings = others.Archive("cloud", f"{fake.url}/elsewhere")
    async with DicomwebArchive(settings) as archive:
        with pytest.raises(CloudRefused) as caught:
            await store(archive, slices)
    assert "url" in caught.value.hint


async def test_an_instance_that_can_not_be_read_here_breaks_the_request_off(fake, client, slices):
    with pytest.raises(InstanceUnreadable) as caught:
        await client.store_instances(
            [outgoing(slices[0]), outgoing(slices[1], size=len(slices[1].data) + 1)]
        )
    assert caught.value.sop_uid == slices[1].ref.sop_uid
    assert fake.batches == []


async def test_searches_read_xml_too(fake, client, slices):
    fake.xml = True
    held = fake.put(slices[0].data)
    (study,) = await client.search_studies(limit=10)
    assert study["0020000D"]["Value"] == [held.study_uid]
    assert study["00201208"]["Value"] == [1]


async def test_lists_are_asked_on_until_they_bring_nothing_new(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    template = fake.instances.pop(slices[0].ref.sop_uid)
    for number in range(250):
        uid = f"1.2.3.{number}"
        fake.instances[uid] = replace(
            template,
            sop_uid=uid,
            attributes=template.attributes | {"00080018": {"vr": "UI", "Value": [uid]}},
        )
    fake.cap = 100
    found = await client.search_instances(template.study_uid, template.series_uid)
    assert len(found) == 254
    assert fake.asked("instances") == 3


async def test_an_archive_that_ignores_offset_does_not_hold_us_forever(fake, client, slices):
    template = fake.put(slices[0].data)
    fake.instances = {
        uid: replace(
            template,
            sop_uid=uid,
            attributes=template.attributes | {"00080018": {"vr": "UI", "Value": [uid]}},
        )
        for uid in (f"1.2.{number}" for number in range(150))
    }
    fake.ignores_offset = True
    found = await client.search_instances(template.study_uid, template.series_uid)
    assert len(found) == 150
    assert fake.asked("instances") == 2


async def test_a_study_that_is_not_there_has_no_series(client):
    assert await client.search_series("1.2.3") == []


async def test_a_failed_search_is_an_error_not_an_empty_list(fake, client):
    for status in (500, 429):
        fake.faults["search"].append(Fault(status=status))
        with pytest.raises(CloudUnreachable):
            await client.search_studies(limit=1)


async def test_a_get_that_hits_a_dying_connection_is_repeated_once():
    connections = 0

    async def talk(reader, writer):
        """Answers the first request of a connection, and hangs up at the second."""
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with DicomwebArchive(others.Archive("cloud", url)) as archive:
            for _ in range(2):
                assert await archive.search_studies(limit=1) == []
    assert connections == 2


async def test_a_get_survives_a_restart_of_the_archive(fake, client, slices):
    fake.put(slices[0].data)
    await client.search_studies(limit=1)
    await fake.stop()
    await fake.start()
    assert len(await client.search_studies(limit=1)) == 1


async def test_an_instance_is_retrieved_byte_for_byte(fake, client, slices):
    fake.put(slices[0].data)
    pieces = [piece async for piece in client.retrieve_instance(slices[0].ref)]
    assert b"".join(pieces) == slices[0].data


async def test_a_study_comes_as_a_stream_of_streams(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    study = client.retrieve_study(slices[0].ref.study_uid)
    found = [b"".join([piece async for piece in stream]) async for stream in study]
    assert found == [part.data for part in slices]


async def test_an_answer_of_a_single_part_is_taken(fake, client, slices):
    part = slices[0]
    fake.put(part.data)
    fake.faults["retrieve"].append(
        Fault(status=200, body=part.data, content_type="application/dicom")
    )
    pieces = [piece async for piece in client.retrieve_instance(part.ref)]
    assert b"".join(pieces) == part.data


async def test_what_is_not_there_is_not_found(client, nowhere):
    with pytest.raises(InstanceNotFound):
        await anext(client.retrieve_instance(nowhere))
    with pytest.raises(InstanceNotFound):
        await anext(client.retrieve_study(nowhere.study_uid))
    with pytest.raises(InstanceNotFound):
        await client.retrieve_metadata(nowhere.study_uid)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut_answer=3000),
        Fault(cut_answer=0),
        Fault(wrong_boundary=True),
        Fault(status=503),
        Fault(status=200, body=b"<html>", content_type="text/html"),
        Fault(status=200, body=b"--x\r\n", content_type="multipart/related"),
    ],
)
async def test_a_retrieval_that_is_cut_or_garbled_is_an_error_never_a_short_object(
    fake, client, slices, fault
):
    fake.put(slices[0].data)
    fake.faults["retrieve"].append(fault)
    with pytest.raises(CloudUnreachable):
        [piece async for piece in client.retrieve_instance(slices[0].ref)]


async def test_a_cut_inside_the_stream_of_a_study_is_an_error_too(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    fake.faults["retrieve"].append(Fault(cut_answer=5000))
    study = client.retrieve_study(slices[0].ref.study_uid)
    with pytest.raises(CloudUnreachable):
        [[piece async for piece in stream] async for stream in study]


async def test_a_retrieval_may_be_given_up_in_the_middle(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    for _ in range(20):
        async with aclosing(client.retrieve_study(slices[0].ref.study_uid)) as study:
            async for stream in study:
                await anext(stream)
                break
    assert len(await client.search_studies(limit=1)) == 1


async def test_metadata_is_read(fake, client, slices):
    for part in slices:
        fake.put(part.data)
    ref = slices[0].ref
    assert len(await client.retrieve_metadata(ref.study_uid)) == 5
    assert len(await client.retrieve_metadata(ref.study_uid, ref.series_uid)) == 5


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (others.Auth("basic", user="edge", password="secret"), "Basic ZWRnZTpzZWNyZXQ="),
        (others.Auth("bearer", token="abc.def"), "Bearer abc.def"),
    ],
)
async def test_every_request_is_signed(fake, auth, header):
    fake.authorization = header
    async with DicomwebArchive(others.Archive("cloud", fake.url, auth=auth)) as archive:
        assert await archive.search_studies(limit=1) == []


async def test_a_wrong_password_is_told(fake, client):
    fake.authorization = "Basic something-else"
    with pytest.raises(CloudUnauthorised, match="401"):
        await client.search_studies(limit=1)


@pytest.mark.parametrize(
    "url", ["archive.example", "ftp://archive.example", "http://", "https://u:p@archive.example/x"]
)
def test_a_url_that_can_not_be_used_is_an_error_of_the_configuration(url):
    with pytest.raises(ConfigError, match=r"cloud\.archive cloud"):
        DicomwebArchive(others.Archive("cloud", url))


async def test_an_answer_that_is_too_large_is_the_archives_mistake_not_the_lines(fake, client):
    row = b'{"0020000D":{"vr":"UI","Value":["1.2.3"]}}'
    body = b"[%b]" % b",".join([row] * 120_000)
    fake.faults["search"].append(
        Fault(status=200, body=body, content_type="application/dicom+json")
    )
    with pytest.raises(CloudRefused, match="larger than 4194304 bytes"):
        await client.search_studies(limit=1)


async def test_an_instance_that_drips_is_given_up(fake, slices):
    fake.put(slices[0].data)
    fake.faults["retrieve"].append(Fault(drip=0.01))
    timeouts = Timeouts(slowest=1000.0, slow=0.1)
    async with DicomwebArchive(others.Archive("cloud", fake.url), timeouts=timeouts) as archive:
        stream = archive.retrieve_instance(slices[0].ref)
        with pytest.raises(CloudUnreachable, match="too slowly"):
            [piece async for piece in stream]


async def test_all_that_goes_over_the_line_is_counted_in_both_directions(fake, slices):
    counted = Counter()
    meter = Meter(lambda direction, count: counted.update({direction: count}))
    settings = others.Archive("cloud", fake.url)
    async with DicomwebArchive(settings, way=Way(Throttle(), meter)) as client:
        await store(client, slices)
        sizes = sum(len(part.data) for part in slices)
        assert sizes < counted["up"] < sizes + 5000
        assert 0 < counted["down"] < 10_000
        assert meter.speed("down") is None
        before = counted["down"]
        async with aclosing(client.retrieve_study(slices[0].ref.study_uid)) as streams:
            got = sum([len(piece) async for stream in streams async for piece in stream])
        assert got == sizes
        assert sizes < counted["down"] - before < sizes + 5000
        before = counted["down"]
        found = await client.search_instances(slices[0].ref.study_uid, slices[0].ref.series_uid)
        assert len(found) == 5
        assert counted["down"] - before > 1000
        before = counted.copy()
        await client.delete_instance(slices[0].ref)
        assert counted["up"] > before["up"]
        assert counted["down"] > before["down"]


async def test_stores_to_two_archives_share_one_limit(fake, slices):
    (large,) = ct_series(1, rows=256, columns=256)
    throttle = Throttle(lambda: 250_000.0)
    async with FakeArchive() as other:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, archive in enumerate((fake, other)):
                way = Way(throttle, Meter())
                client = DicomwebArchive(others.Archive(f"{number}", archive.url), way=way)
                group.create_task(store(client, [large]))
        took = time.monotonic() - begun
        assert took > 0.95 * 2 * len(large.data) / 250_000 - 0.2
        assert fake.instances.keys() == other.instances.keys() == {large.ref.sop_uid}
