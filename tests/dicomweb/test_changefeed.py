"""The change feed as a follower meets it, over a real index."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache.feed import ChangeFeed
from edge.dicom.instance import InstanceRef
from edge.dicomweb import changefeed
from edge.dicomweb.root import create_root
from edge.errors import QueryError
from edge.index import feed as index_feed
from edge.index import instances
from edge.index.database import Database
from tests.dicomweb.doubles import authorise

READER = {"Authorization": "Bearer read", "Accept-Encoding": "identity"}
STUDY, SERIES = "1.2.3", "1.2.3.1"


class Feed:
    """A feed, its client, and what makes it longer."""

    def __init__(self, database, client):
        self.database = database
        self.client = client

    async def get(self, path="", *, status=200, **params):
        async with self.client.get(f"/changefeed{path}", params=params, headers=READER) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None) if status != 204 else None

    async def record(self, action, number, *, at=1000.0):
        ref = InstanceRef(STUDY, SERIES, f"{SERIES}.{number}")
        await self.database.write(lambda db: index_feed.record(db, action, ref, at))

    async def describe(self, number, document):
        """Have metadata of an instance, however it came to be."""

        def write(db):
            study = instances.ensure_study(db, STUDY, {}, 1.0)
            series = instances.ensure_series(db, study, SERIES, {}, 1.0)
            row = db.execute(
                "INSERT INTO instances (study_id, series_id, sop_uid, availability, custody,"
                " origin, received, last_used) VALUES (?, ?, ?, 'NEARLINE', 'VERIFIED', 'CLOUD',"
                " 1, 1)",
                (study, series, f"{SERIES}.{number}"),
            ).lastrowid
            db.execute("INSERT INTO metadata VALUES (?, ?, NULL)", (row, instances.pack(document)))

        await self.database.write(write)


@pytest.fixture
async def feed(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        door = changefeed.create_application(ChangeFeed(database), authorise=authorise)
        server = TestServer(create_root({"/changefeed": door}))
        async with TestClient(server, auto_decompress=False) as client:
            yield Feed(database, client)


def numbers(entries):
    return [entry["Sequence"] for entry in entries]


async def test_an_entry_has_the_documented_shape(feed):
    await feed.describe(1, {"00100020": {"vr": "LO", "Value": ["P1"]}})
    await feed.record("CREATE", 1, at=1_700_000_000.25)
    [entry] = await feed.get()
    assert isinstance(entry.pop("Sequence"), int)
    assert entry == {
        "StudyInstanceUid": STUDY,
        "SeriesInstanceUid": SERIES,
        "SopInstanceUid": f"{SERIES}.1",
        "Action": "create",
        "Timestamp": "2023-11-14T22:13:20.250000Z",
        "State": "current",
        "Metadata": {"00100020": {"vr": "LO", "Value": ["P1"]}},
    }


async def test_an_empty_feed_is_an_empty_list_and_has_no_latest_entry(feed):
    assert await feed.get() == []
    await feed.get("/latest", status=204)


async def test_the_latest_entry_stands_alone(feed):
    for number in range(3):
        await feed.record("CREATE", number)
    latest = await feed.get("/latest")
    assert latest == (await feed.get())[-1]


async def test_metadata_is_left_out_if_asked_and_of_what_is_gone(feed):
    await feed.describe(1, {"00100020": {"vr": "LO", "Value": ["P1"]}})
    await feed.record("CREATE", 1)
    assert "Metadata" not in (await feed.get(includemetadata="false"))[0]
    assert "Metadata" not in await feed.get("/latest", includeMetadata="False")
    await feed.record("CREATE", 2)
    assert "Metadata" not in await feed.get("/latest")
    await feed.record("DELETE", 1)
    entries = await feed.get()
    assert [entry["State"] for entry in entries] == ["deleted", "current", "deleted"]
    assert not any("Metadata" in entry for entry in entries)


async def test_bulk_values_can_be_fetched_from_where_metadata_says(feed):
    await feed.describe(1, {"7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"}})
    await feed.record("CREATE", 1)
    [entry] = await feed.get()
    base = feed.client.make_url("/dicom-web")
    place = f"studies/{STUDY}/series/{SERIES}/instances/{SERIES}.1/bulkdata/7FE00010"
    assert entry["Metadata"]["7FE00010"]["BulkDataURI"] == f"{base}/{place}"


async def test_who_hides_where_the_service_is_gets_no_urls(feed):
    await feed.describe(1, {"00100020": {"vr": "LO", "Value": ["P1"]}})
    await feed.record("CREATE", 1)
    headers = {**READER, "Host": 'x" onload="'}
    for path in ("/changefeed", "/changefeed/latest"):
        async with feed.client.get(path, headers=headers) as answer:
            assert answer.status == 400


async def test_metadata_of_any_length_is_whole(feed):
    document = {"00104000": {"vr": "LT", "Value": ["x" * 600_000]}}
    for number in range(3):
        await feed.describe(number, document)
        await feed.record("CREATE", number)
    assert [entry["Metadata"] for entry in await feed.get()] == [document] * 3
    assert (await feed.get("/latest"))["Metadata"] == document


async def test_pages_hold_a_hundred_entries_unless_asked_otherwise(feed):
    for number in range(250):
        await feed.record("CREATE", number)
    assert len(await feed.get()) == 100
    assert len(await feed.get(limit="200")) == 200
    assert len(await feed.get(limit="1")) == 1


@pytest.mark.parametrize("way", ["offset", "since", "number as offset"])
async def test_page_by_page_every_entry_is_read_once(feed, way):
    for number in range(23):
        await feed.record("CREATE", number)
    seen = []
    while True:
        last = seen[-1] if seen else 0
        params = {
            "offset": {"offset": len(seen)},
            "since": {"since": last},
            "number as offset": {"offset": last},
        }[way]
        page = numbers(await feed.get(limit=5, **params))
        if not page:
            break
        seen += page
    assert seen == list(range(seen[0], seen[0] + 23))


async def test_a_span_that_begins_at_a_timestamp_holds_its_entry(feed):
    times = (1_700_000_000.1234567, 1_700_000_000.7654321, 1_700_000_001.0000001)
    for number, at in enumerate(times):
        await feed.record("CREATE", number, at=at)
    entries = await feed.get()
    for entry in entries:
        found = await feed.get(startTime=entry["Timestamp"])
        assert numbers(found) == [
            number for number in numbers(entries) if number >= entry["Sequence"]
        ]
        before = await feed.get(endTime=entry["Timestamp"])
        assert numbers(before) + numbers(found) == numbers(entries)


@pytest.mark.parametrize(
    "time",
    [
        "1970-01-01T00:16:40Z",
        "1970-01-01T00:16:40.0000000Z",
        "1970-01-01T00:16:40",
        "1970-01-01T01:16:40+01:00",
        "1970-01-01T01:16:40 01:00",
        "1969-12-31T19:16:40-05:00",
    ],
)
async def test_times_may_be_written_in_several_ways(feed, time):
    await feed.record("CREATE", 1, at=999.0)
    await feed.record("CREATE", 2, at=1000.0)
    assert len(await feed.get(startTime=time)) == 1
    assert len(await feed.get(endtime=time)) == 1


async def test_the_widest_span_holds_everything(feed):
    await feed.record("CREATE", 1)
    widest = {"startTime": "0001-01-01T00:00:00Z", "endTime": "9999-12-31T23:59:59.9999999Z"}
    assert len(await feed.get(**widest)) == 1
    assert await feed.get(offset=1, **widest) == []


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "1" * 19}, "offset"),
        ({"offset": "\u0663"}, "offset"),
        ({"since": "1.5"}, "since"),
        ({"since": "1", "offset": "1"}, "since"),
        ({"startTime": "yesterday"}, "startTime"),
        ({"endTime": ""}, "endTime"),
        ({"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}, "startTime"),
        ({"includeMetadata": "maybe"}, "includeMetadata"),
        ({"patient": "DOE"}, "parameter"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(feed, params, named):
    problem = await feed.get(status=400, **params)
    assert named in problem["detail"]
    assert problem["request_id"]


async def test_the_latest_entry_is_not_paged(feed):
    await feed.get("/latest", status=400, limit="1")


async def test_only_json_can_be_had(feed):
    for accept, status in (("application/json", 200), ("*/*", 200), ("text/html", 406)):
        headers = {**READER, "Accept": accept}
        async with feed.client.get("/changefeed", headers=headers) as answer:
            assert answer.status == status


async def test_it_is_behind_authorisation(feed):
    for path in ("/changefeed", "/changefeed/latest", "/changefeed/nothing"):
        async with feed.client.get(path) as answer:
            assert answer.status == 401
            assert (await answer.json(content_type=None))["request_id"]


async def test_head_says_what_get_would(feed):
    await feed.record("CREATE", 1)
    for path in ("/changefeed", "/changefeed/latest"):
        async with feed.client.head(path, headers=READER) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/json"
            assert await answer.read() == b""


async def test_it_is_compressed_for_those_who_ask(feed):
    for number in range(100):
        await feed.record("CREATE", number)
    async with feed.client.get("/changefeed", headers=READER) as answer:
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["Vary"] == "Accept-Encoding"
        body = await answer.read()
    async with feed.client.get(
        "/changefeed", headers={**READER, "Accept-Encoding": "gzip"}
    ) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = await answer.read()
    assert gzip.decompress(packed) == body
    assert len(packed) * 5 < len(body)
    assert len(json.loads(body)) == 100


VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.datetimes(timezones=st.none() | st.timezones()).map(lambda time: time.isoformat()),
    st.sampled_from(["", "true", "FALSE", "0", "-0", "1e3", "9999-12-31T23:59:59.9999999-12:00"]),
)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["offset", "Limit", "since", "STARTTIME", "endTime"]), VALUES)
)
def test_whatever_is_asked_is_understood_or_refused(asked):
    with contextlib.suppress(QueryError):
        understood = changefeed._read(asked)
        assert 1 <= understood.limit <= 200
        assert understood.offset >= 0
        assert understood.span is None or understood.span[0] < understood.span[1]


@given(st.floats(0, 4e9))
def test_a_timestamp_is_never_later_than_its_change(at):
    written = changefeed._written(at)
    read = changefeed._seconds(changefeed._time("startTime", written))
    assert at - 2e-6 < read <= at


@settings(max_examples=20, deadline=None)
@given(pages=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=12))
def test_whatever_comes_between_two_pages_none_is_lost_and_none_repeated(tmp_path_factory, pages):
    async def run():
        path = tmp_path_factory.mktemp("feed") / "index.db"
        async with Database(path, bytes(32)) as database:
            feed, seen, written = ChangeFeed(database), [], 0
            for arrivals, limit in [*pages, (0, 200)]:
                for _ in range(arrivals):
                    ref = InstanceRef(STUDY, SERIES, f"{SERIES}.{written % 3}")
                    action = ("CREATE", "UPDATE", "DELETE")[written % 3]
                    await database.write(
                        lambda db, ref=ref, action=action: index_feed.record(db, action, ref, 1.0)
                    )
                    written += 1
                by_count = await feed.skip(len(seen), limit=limit)
                by_number = await feed.after(seen[-1] if seen else 0, limit=limit)
                assert by_count == by_number
                seen += [change.sequence for change in by_number]
            assert len(seen) == written
            assert seen == sorted(set(seen))

    asyncio.run(run())
