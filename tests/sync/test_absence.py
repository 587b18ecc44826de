"""What the archive does not have any more: deleted on purpose, lost, or only out of sight."""

from __future__ import annotations

import io
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pydicom
import pytest

from edge import config
from edge.cache.absences import Absences, State
from edge.cache.changes import Changes
from edge.cache.custody import CustodyLedger
from edge.cache.ledger import Settlement
from edge.dicom.instance import Custody
from edge.errors import CloudError
from edge.sync.absence import AbsenceWatch
from edge.sync.learning import Learning
from edge.sync.link import Link
from edge.sync.reverify import Reverify
from edge.sync.sweep import Sweep
from tests import samples
from tests.cache.conftest import open_cache  # noqa: F401 - a fixture
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS


class Clock:
    """POSIX seconds that move when they are told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def study_of(number, count=2):
    return list(samples.ct_series(count, rows=16, columns=16, seed=number))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_box(open_cache, archive, clock):  # noqa: F811 - a fixture
    """A whole cache, with what sweeps, watches and reviews before the archive."""

    @asynccontextmanager
    async def opened(**settings):
        sync = config.Sync(**{"retry_min_seconds": 0.04} | settings)
        async with open_cache(clock=clock) as cache:
            changes = Changes()
            ledger = CustodyLedger(cache.database, changes, clock, trash=cache.trash)
            absences = Absences(cache.database, changes, cache.trash, clock)
            link = Link(archive, ledger, SETTINGS)
            learning = Learning(ledger, archive, link, absences=absences)
            sweep = Sweep(ledger, archive, link, learning, clock=clock, absences=absences)
            watch = AbsenceWatch(absences, archive, link, changes, sync, clock=clock)
            review = Reverify(
                ledger, absences, archive, link, changes, sync, is_primary=True, clock=clock
            )

            async def sweep_once():
                clock.now += 900
                await sweep.run()
                await watch.step()

            async def verify(parts):
                for part in parts:
                    await cache.send(part)
                uids = {part.ref.sop_uid for part in parts}
                rows = await cache.database.read("SELECT id, sop_uid FROM instances")
                await ledger.settle(
                    [Settlement(number, Custody.VERIFIED) for number, uid in rows if uid in uids]
                )

            async def state(part):
                rows = await cache.database.read(
                    "SELECT availability, custody, withheld FROM instances WHERE sop_uid = ?",
                    (part.ref.sop_uid,),
                )
                return rows[0] if rows else None

            yield SimpleNamespace(**locals())

    return opened


def delete(cloud, parts):
    for part in parts:
        del cloud.instances[part.ref.sop_uid]


@pytest.fixture
def studies(cloud):
    """Five studies of two slices that the archive has."""
    made = [study_of(number) for number in range(1, 6)]
    for parts in made:
        for part in parts:
            cloud.put(part.data)
    return made


HERE, TRASHED = ("ONLINE", "VERIFIED", ""), ("ONLINE", "VERIFIED", "TRASH")
OWED = ("ONLINE", "EDGE_ONLY", "")


async def test_a_study_that_two_sweeps_and_a_direct_look_miss_goes_into_the_trash(
    open_box, cloud, studies
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        delete(cloud, studies[0])
        await box.sweep_once()
        assert await box.state(studies[0][0]) == HERE
        await box.sweep_once()
        assert [await box.state(part) for part in studies[0]] == [TRASHED] * 2
        assert await box.state(studies[1][0]) == HERE
        assert await box.cache.database.read("SELECT * FROM absences") == []


async def test_what_was_only_there_is_known_no_more(open_box, cloud, studies):
    async with open_box() as box:
        await box.sweep_once()
        assert await box.state(studies[0][0]) == ("NEARLINE", "ACKNOWLEDGED", "")
        delete(cloud, studies[0])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) is None
        assert await box.state(studies[1][0]) is not None


async def test_what_is_not_verified_is_never_trashed(open_box, cloud, studies):
    async with open_box() as box:
        await box.verify(studies[0])
        await box.sweep_once()
        (late,) = study_of(1, 3)[2:]
        await box.cache.send(late)
        delete(cloud, studies[0])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) == TRASHED
        assert await box.state(late) == OWED


async def test_a_study_that_is_listed_again_comes_out_of_the_trash(open_box, cloud, studies):
    async with open_box() as box:
        await box.verify(studies[0])
        await box.sweep_once()
        delete(cloud, studies[0])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) == TRASHED
        for part in studies[0]:
            cloud.put(part.data)
        await box.sweep_once()
        assert await box.state(studies[0][0]) == ("ONLINE", "ACKNOWLEDGED", "")


async def test_single_instances_of_a_series_that_is_there_are_owed_again(
    open_box, cloud, studies, caplog
):
    async with open_box() as box:
        await box.verify(studies[0])
        await box.sweep_once()
        delete(cloud, studies[0][:1])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) == OWED
        assert await box.state(studies[0][1]) == HERE
        assert "lost instances" in caplog.text
        assert await box.cache.database.read("SELECT lost FROM sweeps") == [(1,)]


async def test_a_study_that_came_back_between_two_sweeps_stays(open_box, cloud, studies):
    async with open_box() as box:
        await box.verify(studies[0])
        await box.sweep_once()
        for _ in range(3):
            delete(cloud, studies[0])
            await box.sweep_once()
            for part in studies[0]:
                cloud.put(part.data)
            await box.sweep_once()
        assert await box.state(studies[0][0]) == HERE


async def test_searches_that_find_nothing_prove_nothing_while_all_can_be_fetched(
    open_box, cloud, studies
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        nothing = Fault(status=200, body=b"[]", content_type="application/dicom+json")
        cloud.faults["search"].extend([nothing] * 1000)
        for _ in range(4):
            await box.sweep_once()
        assert cloud.asked("metadata") >= 5
        for parts in studies:
            assert await box.state(parts[0]) == HERE
        assert (await box.absences.absent()).total == 0


async def test_an_archive_that_is_empty_all_at_once_is_left_to_a_person(
    open_box, cloud, studies, caplog
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        before = dict(cloud.instances)
        cloud.instances.clear()
        for _ in range(4):
            await box.sweep_once()
        for parts in studies:
            assert await box.state(parts[0]) == HERE
        page = await box.absences.absent()
        assert page.total == 5
        assert {one.state for one in page.items} == {State.HELD}
        assert "before a person decides" in caplog.text
        # It was an outage: all is well again without a person.
        cloud.instances.update(before)
        await box.sweep_once()
        assert (await box.absences.absent()).total == 0


async def test_a_person_accepts_some_deletions_and_has_the_rest_sent_again(
    open_box, cloud, studies
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        cloud.instances.clear()
        for _ in range(3):
            await box.sweep_once()
        first = studies[0][0].ref.study_uid
        assert await box.absences.decide([first], State.TRASH) == 1
    async with open_box() as box:
        await box.watch.step()
        assert await box.state(studies[0][0]) == TRASHED
        assert await box.state(studies[1][0]) == HERE
        assert await box.absences.decide(None, State.AGAIN) == 4
        await box.watch.step()
        for parts in studies[1:]:
            assert [await box.state(part) for part in parts] == [OWED] * 2
        assert (await box.absences.absent()).total == 0


async def test_the_last_study_of_an_archive_that_finds_nothing_else_is_held(
    open_box, cloud, studies
):
    async with open_box() as box:
        await box.verify(studies[0])
        for parts in studies[1:]:
            delete(cloud, parts)
        await box.sweep_once()
        delete(cloud, studies[0])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) == HERE
        assert len(await box.absences.decided(State.HELD)) == 1


@pytest.mark.parametrize(("absent", "expected"), [("ask", HERE), ("send-again", OWED)])
async def test_it_is_asked_or_sent_again_where_that_is_wanted(
    open_box, cloud, studies, absent, expected
):
    async with open_box(absent=absent) as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        delete(cloud, studies[0])
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[0][0]) == expected
        assert (await box.absences.absent()).total == (1 if absent == "ask" else 0)


async def test_more_than_a_few_in_a_day_are_too_many(open_box, cloud, studies):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        for parts in studies[:2]:
            delete(cloud, parts)
        for _ in range(2):
            await box.sweep_once()
        assert await box.state(studies[1][0]) == TRASHED
        for parts in studies[2:4]:
            delete(cloud, parts)
        for _ in range(3):
            await box.sweep_once()
        assert await box.state(studies[2][0]) == HERE
        assert len(await box.absences.decided(State.HELD)) == 2


async def test_an_outage_during_the_direct_look_leads_to_nothing_and_is_made_up_for(
    open_box, cloud, studies
):
    async with open_box() as box:
        for parts in studies:
            await box.verify(parts)
        await box.sweep_once()
        delete(cloud, studies[0])
        for _ in range(2):
            box.clock.now += 900
            await box.sweep.run()
        cloud.faults["search"].append(Fault(status=503))
        with pytest.raises(CloudError):
            await box.watch.step()
        assert await box.state(studies[0][0]) == HERE
        await box.watch.step()
        assert await box.state(studies[0][0]) == TRASHED


async def test_absences_are_examined_once_for_each_sweep(open_box, cloud, studies):
    async with open_box() as box:
        await box.verify(studies[0])
        for _ in range(3):
            await box.sweep_once()
        asked = len(cloud.requests)
        for _ in range(3):
            await box.watch.step()
        assert len(cloud.requests) == asked


async def test_a_large_archive_is_swept_whole_before_anything_counts_as_missed(
    open_box, cloud, add, monkeypatch
):
    monkeypatch.setattr("edge.sync.sweep._REQUESTS", 4)
    monkeypatch.setattr("edge.sync.sweep._UNDATED_PAGES", 1)
    for number in range(40):
        add(f"20{10 + number % 20}0101" if number % 8 else "")
    cloud.cap = 5
    async with open_box() as box:

        async def complete():
            """Sweep until one is complete; how many bits that took."""
            before = (await box.absences.sweeps("cloud")).number
            for count in range(1, 40):
                await box.sweep_once()
                if (await box.absences.sweeps("cloud")).number > before:
                    return count
            raise AssertionError("no sweep is ever complete")

        assert await complete() > 4
        await complete()
        number = (await box.absences.sweeps("cloud")).number
        rows = await box.cache.database.read(
            "SELECT DISTINCT sweep >= ? FROM sightings", (number - 2,)
        )
        assert rows == [(1,)]
        gone = next(
            uid
            for uid, held in cloud.instances.items()
            if not held.attributes["00080020"].get("Value")
        )
        del cloud.instances[gone]
        studies = "SELECT count(*) FROM studies"
        assert await box.cache.database.read(studies) == [(40,)]
        bits = [await complete(), await complete()]
        assert min(bits) > 4
        await complete()
        assert await box.cache.database.read(studies) == [(39,)]


async def test_a_sweep_that_is_begun_anew_is_not_complete(open_box, cloud, studies):
    async with open_box() as box:
        await box.sweep_once()
        assert (await box.absences.sweeps("cloud")).number == 2
        learn = box.learning.learn

        async def void(found):
            await box.sweep.start_over()
            await learn(found)

        box.sweep._learn = void
        await box.sweep.run()
        assert (await box.absences.sweeps("cloud")).number == 2


async def test_a_series_that_is_gone_goes_and_the_rest_stays(open_box, cloud, clock):
    first, second = study_of(1), study_of(2)
    study_uid = first[0].ref.study_uid
    for part in first:
        cloud.put(part.data)
    for part in second:  # as another series of the same study
        data = pydicom.dcmread(io.BytesIO(part.data))
        data.StudyInstanceUID = study_uid
        target = io.BytesIO()
        data.save_as(target)
        cloud.put(target.getvalue())
    async with open_box() as box:
        await box.verify(first)
        for _ in range(2):
            await box.sweep_once()
        rows = await box.cache.database.read("SELECT count(*) FROM instances")
        assert rows == [(4,)]
        delete(cloud, first)
        await box.sweep_once()
        assert await box.state(first[0]) == HERE
        for _ in range(2):
            await box.sweep_once()
        assert [await box.state(part) for part in first] == [TRASHED] * 2
        assert await box.state(second[0]) == ("NEARLINE", "ACKNOWLEDGED", "")


async def test_what_was_opened_and_not_found_is_lost_no_more_once_its_study_is_known_to_be_deleted(
    open_box, cloud, studies
):
    async with open_box() as box:
        await box.verify(studies[0])
        await box.sweep_once()
        await box.cache.database.write(
            lambda db: db.execute(
                "UPDATE instances SET availability = 'NEARLINE', object = NULL, sealed_bytes = 0"
                " WHERE custody = 'VERIFIED'"
            )
        )
        delete(cloud, studies[0])
        assert await box.ledger.miss(studies[0][0].ref.sop_uid)
        assert (await box.state(studies[0][0]))[0] == "UNAVAILABLE"
        for _ in range(3):
            await box.sweep_once()
        assert [await box.state(part) for part in studies[0]] == [None, None]
