"""What every ``Archive`` keeps to: one suite, run against the fake and against real servers.

A server that is not installed is skipped; a hub is an edge that has an archive itself. A new driver
is one more parameter of ``archive``.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pydicom
import pytest

from edge import others
from edge.cloud.archive import Archive, Outgoing, StoreOutcome, first_value
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.orthanc import archive_of
from edge.dicom.instance import InstanceRef
from edge.errors import CloudRefused, CloudUnauthorised, CloudUnreachable, InstanceNotFound
from tests import samples
from tests.fakes import orthanc
from tests.fakes.archive import FakeArchive
from tests.fakes.edge import EdgeServer
from tests.fakes.orthanc import Orthanc

NOWHERE = InstanceRef("1.2.3", "1.2.3.4", "1.2.3.4.5")


@dataclass
class Running:
    """An archive, and how to reach it with other credentials."""

    url: str
    auth: others.Auth
    server: FakeArchive | EdgeServer | Orthanc

    async def stop(self) -> None:
        if isinstance(self.server, Orthanc):
            await self.server.stopped()
        else:
            await self.server.stop()

    async def start(self) -> None:
        if isinstance(self.server, Orthanc):
            await self.server.started()
        else:
            await self.server.start()

    def client(self, auth: others.Auth | None = None) -> DicomwebArchive:
        kind = "orthanc" if isinstance(self.server, Orthanc) else "dicomweb"
        return archive_of(others.Archive("cloud", self.url, kind, auth=auth or self.auth))

    @property
    def may_delete(self) -> others.Auth:
        """Credentials of who may."""
        if isinstance(self.server, EdgeServer):
            return others.Auth("bearer", token=self.server.admin_token)
        return self.auth


@pytest.fixture(scope="module")
def real_orthanc(tmp_path_factory):
    if why := orthanc.missing():
        pytest.skip(why)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(params=["fake", "edge", "hub", "orthanc"])
async def running(request, tmp_path) -> AsyncIterator[Running]:
    if request.param == "orthanc":
        real = request.getfixturevalue("real_orthanc")
        user, password = real.auth
        auth = others.Auth("basic", user=user, password=password)
        yield Running(real.dicomweb, auth, real)
    elif request.param == "edge":
        edge = EdgeServer(tmp_path / "edge")
        await edge.start()
        yield Running(edge.dicomweb, others.Auth("bearer", token=edge.token), edge)
        await edge.stop()
    elif request.param == "hub":
        async with FakeArchive() as behind:
            archives = (others.Archive("behind", behind.url),)
            hub = EdgeServer(tmp_path / "hub", archives=archives)
            await hub.start()
            yield Running(hub.dicomweb, others.Auth("bearer", token=hub.token), hub)
            await hub.stop()
    else:
        async with FakeArchive() as fake:
            fake.authorization = "Bearer good"
            yield Running(fake.url, others.Auth("bearer", token="good"), fake)


@pytest.fixture
async def archive(running) -> AsyncIterator[Archive]:
    async with running.client() as client:
        yield client


@pytest.fixture
def seed(request) -> int:
    """Another patient and study for each test: real servers keep what they get."""
    return sum(map(ord, request.node.name)) * 1000


def outgoing(part: samples.Slice, data: bytes | None = None) -> Outgoing:
    content = part.data if data is None else data
    return Outgoing(part.ref, len(content), lambda: samples.chunks(content))


async def store(archive, parts):
    return await archive.store_instances([outgoing(part) for part in parts])


async def stored(archive, seed, count=5, **options):
    parts = list(samples.ct_series(count, rows=32, columns=32, seed=seed, **options))
    results = await store(archive, parts)
    assert {result.outcome for result in results} == {StoreOutcome.STORED}
    return parts


async def test_it_has_a_name(archive):
    assert archive.name == "cloud"


async def test_what_is_stored_is_listed_at_every_level(archive, seed):
    parts = await stored(archive, seed)
    ref = parts[0].ref
    (study,) = await archive.search_studies({"StudyInstanceUID": ref.study_uid}, limit=10)
    assert first_value(study, "0020000D") == ref.study_uid
    assert int(first_value(study, "00201206")) == 1
    assert int(first_value(study, "00201208")) == 5
    (series,) = await archive.search_series(ref.study_uid)
    assert first_value(series, "0020000E") == ref.series_uid
    listed = await archive.search_instances(ref.study_uid, ref.series_uid)
    assert {first_value(it, "00080018") for it in listed} == {part.ref.sop_uid for part in parts}
    assert {first_value(it, "00080016") for it in listed} == {parts[0].sop_class_uid}


async def test_one_instance_is_asked_for_by_its_uid(archive, seed):
    parts = await stored(archive, seed)
    ref = parts[3].ref
    listed = await archive.search_instances(ref.study_uid, ref.series_uid, ref.sop_uid)
    assert [first_value(it, "00080018") for it in listed] == [ref.sop_uid]
    assert await archive.search_instances(ref.study_uid, ref.series_uid, "1.2.3") == []


async def test_studies_are_found_by_date_and_paged(archive, seed):
    for number in range(3):
        await stored(archive, seed + number, count=1)
    uids = {samples.sample_uid(seed + number, "study") for number in range(3)}
    date = first_value((await archive.search_studies({}, limit=1))[0], "00080020")
    found, offset = set(), 0
    while page := await archive.search_studies(
        {"StudyDate": f"{date}-{date}"}, limit=2, offset=offset
    ):
        assert len(page) <= 2
        found |= {first_value(it, "0020000D") for it in page}
        offset += len(page)
    assert uids <= found
    assert await archive.search_studies({"StudyDate": "18000101-18000102"}, limit=2) == []


async def test_ranges_of_dates_may_be_open(archive, seed):
    (part,) = await stored(archive, seed, count=1)
    here = {"StudyInstanceUID": part.ref.study_uid}
    date = first_value((await archive.search_studies(here, limit=1))[0], "00080020")
    for wanted, rows in ((f"{date}-", 1), (f"-{date}", 1), ("-18000101", 0), ("99990101-", 0)):
        found = await archive.search_studies(here | {"StudyDate": wanted}, limit=2)
        assert len(found) == rows, wanted


async def test_an_instance_comes_back_byte_for_byte(archive, seed):
    for part in await stored(archive, seed, count=2):
        pieces = [piece async for piece in archive.retrieve_instance(part.ref)]
        assert b"".join(pieces) == part.data


async def test_a_study_and_a_series_come_back_whole(archive, seed):
    parts = await stored(archive, seed)
    ref = parts[0].ref
    for series_uid in (None, ref.series_uid):
        study = archive.retrieve_study(ref.study_uid, series_uid)
        found = [b"".join([piece async for piece in stream]) async for stream in study]
        assert sorted(found) == sorted(part.data for part in parts)


async def test_metadata_names_each_instance(archive, seed):
    parts = await stored(archive, seed)
    ref = parts[0].ref
    for series_uid in (None, ref.series_uid):
        found = await archive.retrieve_metadata(ref.study_uid, series_uid)
        assert {first_value(it, "00080018") for it in found} == {it.ref.sop_uid for it in parts}


async def test_the_same_instance_twice_is_a_success_and_there_once(archive, seed):
    parts = await stored(archive, seed)
    results = await store(archive, parts)
    assert {result.outcome for result in results} == {StoreOutcome.STORED}
    listed = await archive.search_instances(parts[0].ref.study_uid, parts[0].ref.series_uid)
    assert len(listed) == 5


async def test_one_bad_instance_takes_no_other_with_it(archive, seed):
    parts = list(samples.ct_series(3, rows=32, columns=32, seed=seed))
    results = await archive.store_instances(
        [outgoing(parts[0]), outgoing(parts[1], b"not DICOM at all" * 100), outgoing(parts[2])]
    )
    assert [result.outcome for result in results] == [
        StoreOutcome.STORED,
        StoreOutcome.UNKNOWN,
        StoreOutcome.STORED,
    ]
    listed = await archive.search_instances(parts[0].ref.study_uid, parts[0].ref.series_uid)
    assert len(listed) == 2


async def test_an_instance_that_nobody_can_read_fails_when_it_is_alone(archive, seed):
    (part,) = samples.ct_series(1, rows=8, columns=8, seed=seed)
    (result,) = await archive.store_instances([outgoing(part, b"not DICOM at all" * 100)])
    assert result.outcome is StoreOutcome.FAILED


async def test_other_bytes_under_a_uid_never_pass_unnoticed(archive, seed):
    """Either the archive says so, or it gives back what it had, or what it got: never a mixture."""
    (part,) = await stored(archive, seed, count=1)
    dataset = pydicom.dcmread(io.BytesIO(part.data))
    dataset.PatientComments = "changed"
    changed = io.BytesIO()
    dataset.save_as(changed)
    await archive.store_instances([outgoing(part, changed.getvalue())])
    pieces = [piece async for piece in archive.retrieve_instance(part.ref)]
    assert b"".join(pieces) in (part.data, changed.getvalue())


async def test_what_is_not_there_is_told_from_what_can_not_be_asked(archive):
    assert await archive.search_series(NOWHERE.study_uid) == []
    assert await archive.search_instances(NOWHERE.study_uid, NOWHERE.series_uid) == []
    with pytest.raises(InstanceNotFound):
        await anext(archive.retrieve_instance(NOWHERE))
    with pytest.raises(InstanceNotFound):
        await anext(archive.retrieve_study(NOWHERE.study_uid))
    with pytest.raises(InstanceNotFound):
        await archive.retrieve_metadata(NOWHERE.study_uid)


async def test_wrong_credentials_are_told_from_everything_else(running):
    async with running.client(others.Auth("basic", user="edge", password="wrong")) as client:
        with pytest.raises(CloudUnauthorised):
            await client.search_studies(limit=1)
        with pytest.raises(CloudUnauthorised):
            await anext(client.retrieve_instance(NOWHERE))


async def test_a_large_instance_streams_in_both_directions(archive, seed):
    ref, pieces = samples.multiframe(20 * 1024**2, seed=seed)
    data = b"".join(pieces)
    (result,) = await archive.store_instances(
        [Outgoing(ref, len(data), lambda: samples.chunks(data, 1024**2))]
    )
    assert result.outcome is StoreOutcome.STORED
    at = 0
    async for piece in archive.retrieve_instance(ref):
        assert data[at : at + len(piece)] == piece
        at += len(piece)
    assert at == len(data)


async def test_every_packaged_file_that_is_taken_comes_back_as_it_was(archive):
    taken = 0
    for path in samples.distinct_files():
        data = path.read_bytes()
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        ref = InstanceRef(
            str(dataset.StudyInstanceUID),
            str(dataset.SeriesInstanceUID),
            str(dataset.SOPInstanceUID),
        )
        (result,) = await archive.store_instances(
            [Outgoing(ref, len(data), lambda data=data: samples.chunks(data))]
        )
        if result.outcome is StoreOutcome.STORED:
            taken += 1
            pieces = [piece async for piece in archive.retrieve_instance(ref)]
            assert b"".join(pieces) == data, path.name
    assert taken > 50


async def test_many_requests_at_once_do_not_disturb_each_other(archive, seed):
    parts = await stored(archive, seed, count=20)

    async def fetch(part):
        return b"".join([piece async for piece in archive.retrieve_instance(part.ref)])

    assert await asyncio.gather(*map(fetch, parts)) == [part.data for part in parts]


async def test_an_archive_that_stops_is_unreachable_and_is_there_again_later(running, seed):
    async with running.client() as client:
        parts = await stored(client, seed)
        assert await client.answers()
        await running.stop()
        try:
            assert not await client.answers()
            with pytest.raises(CloudUnreachable):
                await client.search_studies(limit=1)
            with pytest.raises(CloudUnreachable):
                await store(client, parts)
            with pytest.raises(CloudUnreachable):
                await anext(client.retrieve_instance(parts[0].ref))
        finally:
            await running.start()
        listed = await client.search_instances(parts[0].ref.study_uid, parts[0].ref.series_uid)
        assert len(listed) == 5


async def test_what_is_deleted_is_gone_and_the_rest_is_not(running, seed):
    first, second = samples.ct_series(2, seed=seed)
    async with running.client(running.may_delete) as archive:
        await store(archive, [first, second])
        await delete(archive, first.ref)
        with pytest.raises(InstanceNotFound):
            await archive.delete_instance(first.ref)
        ref = first.ref
        left = await archive.search_instances(ref.study_uid, ref.series_uid)
        assert [first_value(one, "00080018") for one in left] == [second.ref.sop_uid]


async def delete(archive, ref):
    """A hub says no to that until its own archive is proven to have the instance."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await archive.delete_instance(ref)
            except CloudRefused as error:
                if error.status != 409:
                    raise
            await asyncio.sleep(0.2)


async def test_what_was_never_there_is_not_deleted(running):
    async with running.client(running.may_delete) as archive:
        with pytest.raises(InstanceNotFound):
            await archive.delete_instance(NOWHERE)
