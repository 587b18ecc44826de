"""What is wanted before anybody asks: priors by rules, reports, what is pinned."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from edge import config
from edge.cache.expected import Expectations, Expected
from edge.cache.pins import Pins
from edge.cache.priors import DAY, Priors, Why
from edge.dicom.instance import Custody
from edge.errors import DecisionRefused
from edge.index import lookup, residence
from edge.index.priors import day_of, of_patients
from tests.patients import listed, made, study_uid

TODAY = date(2026, 3, 10)


class Clock:
    """Noon, at first."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


def ago(years: float) -> date:
    return TODAY - timedelta(days=round(years * 365.25))


@pytest.fixture
def open_look(open_cache):
    """A cache and what looks into it."""

    @asynccontextmanager
    async def opened(*rules, pin=()):
        clock = Clock()
        settings = config.Config(
            sync=config.Sync(prefetch=rules), cache=config.Cache(pin=tuple(pin))
        )
        async with open_cache(clock=clock) as cache:
            priors = Priors(cache.database, settings, clock, zone=UTC)
            pins = Pins(cache.database, pin, clock, UTC)
            expectations = Expectations(cache.database, clock, zone=UTC)

            async def send(*parts):
                for part in parts:
                    await cache.send(part)

            async def learn(*studies):
                for one in studies:
                    await cache.ledger.learn(one)

            async def named(wanted):
                """The names of studies, as the tests call them, and why."""
                rows = dict(await cache.database.read("SELECT id, study_uid FROM studies"))
                return [(rows[one.study_id], one.why, one.later) for one in wanted]

            async def wanted():
                return await named((await priors.look()).wanted)

            yield SimpleNamespace(**locals())

    return opened


def of(name, why=Why.RECEIVED, *, later=False):
    return (study_uid(name), why, later)


async def test_the_newest_priors_of_a_patient_are_wanted_and_nobody_elses(open_look):
    async with open_look("any: 2 within 5 years") as box:
        await box.learn(
            *(listed(f"prior {age}", "P1", day=ago(age)) for age in (4, 1, 2, 3)),
            listed("another's", "P2", day=ago(1)),
        )
        assert await box.wanted() == []
        await box.send(*made("new", "P1", day=TODAY))
        assert await box.wanted() == [of("prior 1"), of("prior 2")]


async def test_what_is_older_than_the_rule_says_is_not_wanted(open_look):
    async with open_look("any: 3 within 18 months") as box:
        await box.learn(listed("old", "P1", day=ago(2)), listed("young", "P1", day=ago(1)))
        await box.send(*made("new", "P1", day=TODAY))
        assert await box.wanted() == [of("young")]


async def test_age_counts_from_the_day_of_the_study_that_was_made(open_look):
    async with open_look("any: 3 within 1 year") as box:
        await box.learn(listed("before", "P1", day=ago(6)), listed("later", "P1", day=ago(1)))
        await box.send(*made("of long ago", "P1", day=ago(5.5)))
        assert await box.wanted() == [of("later"), of("before")]


async def test_a_prior_that_is_here_counts_and_is_not_wanted(open_look):
    async with open_look("any: 2") as box:
        await box.learn(listed("2", "P1", day=ago(2)), listed("3", "P1", day=ago(3)))
        await box.send(*made("1", "P1", day=ago(1)), *made("new", "P1", day=TODAY))
        assert await box.wanted() == [of("2")]
        box.clock.now += DAY + 1
        await box.send(*made("newer", "P1", day=TODAY + timedelta(days=1)))
        assert await box.wanted() == []


async def test_rules_of_a_modality_hold_together_and_any_for_the_rest(open_look):
    rules = ("any: 1", "CT: 1 of CT", "CT: 1 of CR,DX", "US: none")
    async with open_look(*rules) as box:
        await box.learn(
            listed("mr", "P1", modality="MR", day=ago(1)),
            listed("ct", "P1", modality="CT", day=ago(2)),
            listed("dx", "P1", modality="DX", day=ago(3)),
            listed("for mr", "P2", modality="OT", day=ago(1)),
            listed("for us", "P3", modality="US", day=ago(1)),
        )
        await box.send(*made("new ct", "P1", modality="CT"))
        await box.send(*made("new mr", "P2", modality="MR"))
        await box.send(*made("new us", "P3", modality="US"))
        assert set(await box.wanted()) == {of("ct"), of("dx"), of("for mr")}


async def test_the_same_modality_and_body_part_where_they_are_known(open_look):
    async with open_look("any: all of same modality same body part") as box:
        await box.learn(
            listed("same", "P1", body_part="ABDOMEN", day=ago(1)),
            listed("another part", "P1", body_part="HEAD", day=ago(2)),
            listed("not known", "P1", day=ago(3)),
            listed("not the modality", "P1", modality="MR", body_part="ABDOMEN", day=ago(4)),
        )
        await box.send(*made("new", "P1", body_part="ABDOMENPELVIS"))
        assert await box.wanted() == [of("same"), of("not known")]


async def test_another_issuers_patient_of_the_same_id_is_somebody_else(open_look):
    async with open_look("any: all") as box:
        await box.learn(
            listed("ours", "P1", issuer="EAST", day=ago(1), report="SR"),
            listed("theirs", "P1", issuer="WEST", day=ago(1), report="SR"),
            listed("who knows", "P1", day=ago(2)),
        )
        await box.send(*made("new", "P1", issuer="EAST"))
        assert await box.wanted() == [
            of("ours", Why.REPORT),
            of("ours"),
            of("who knows"),
        ]


@pytest.mark.parametrize("patient", ["", " "])
async def test_patients_without_an_id_have_no_priors(open_look, patient):
    async with open_look("any: all") as box:
        await box.learn(listed("anybody's", patient, day=ago(1), report="SR"))
        await box.send(*made("new", patient))
        assert (await box.priors.look()).patients == ()
        assert await box.wanted() == []


async def test_without_rules_no_priors_are_wanted_and_reports_still_are(open_look):
    async with open_look() as box:
        await box.learn(listed("prior", "P1", day=ago(1), report="DOC"))
        await box.send(*made("new", "P1"))
        look = await box.priors.look()
        assert await box.named(look.wanted) == [of("prior", Why.REPORT)]
        (report,) = await box.priors.missing(look.wanted[0], max_count=10)
        assert report.series_uid == listed("prior", "P1", report="DOC").series[1].series_uid


async def test_a_report_of_what_is_here_is_wanted_whoever_asks(open_look):
    async with open_look() as box:
        await box.send(*made("read yesterday", "P1"), *made("nobody's", ""))
        box.clock.now += 30 * DAY
        await box.learn(
            listed("read yesterday", "P1", modality="", report="SR"),
            listed("nobody's", "", modality="", report="KO"),
            listed("elsewhere", "P1", report="SR"),
        )
        assert set(await box.wanted()) == {
            of("read yesterday", Why.REPORT),
            of("nobody's", Why.REPORT),
        }


async def test_a_study_of_reports_alone_is_no_prior(open_look):
    async with open_look("any: 1") as box:
        await box.learn(
            listed("report", "P1", modality="SR", day=ago(0.5)),
            listed("images", "P1", day=ago(1)),
        )
        await box.send(*made("new", "P1"))
        assert await box.wanted() == [of("report", Why.REPORT), of("images")]


async def test_a_study_is_of_interest_for_a_day(open_look):
    async with open_look("any: 1") as box:
        await box.learn(listed("prior", "P1", day=ago(1)))
        await box.send(*made("new", "P1"))
        box.clock.now += DAY - 1
        assert await box.wanted() == [of("prior")]
        box.clock.now += 2
        assert await box.wanted() == []


async def test_what_the_archive_gave_makes_nobody_of_interest(open_look):
    async with open_look("any: all") as box:
        await box.learn(listed("prior", "P1", day=ago(1)), listed("opened", "P1"))
        rows = await lookup.find(box.cache.database, study_uid("opened"))
        assert len(rows) == 2
        assert await box.wanted() == []


async def test_a_device_that_adds_to_a_study_of_the_archive_makes_it_of_interest(open_look):
    async with open_look("any: all") as box:
        await box.learn(listed("prior", "P1", day=ago(1)), listed("study", "P1"))
        box.clock.now += 2 * DAY
        assert await box.wanted() == []
        await box.send(*made("study", "P1", series=2))
        assert await box.wanted() == [of("prior")]


class TestExpected:
    """Patients who will come."""

    async def test_tomorrows_patients_wait_for_quiet_hours_and_todays_do_not(self, open_look):
        async with open_look("any: 1") as box:
            await box.learn(listed("1", "P1", day=ago(1)), listed("2", "P2", day=ago(1)))
            await box.expectations.announce(
                [Expected("P1", "20260311", source="ris"), Expected("P2", "20260310")]
            )
            assert await box.wanted() == [
                of("2", Why.EXPECTED),
                of("1", Why.EXPECTED, later=True),
            ]
            box.clock.now += DAY
            assert await box.wanted() == [of("1", Why.EXPECTED)]

    async def test_what_is_known_of_the_appointment_chooses_the_priors(self, open_look):
        async with open_look("MG: all of MG", "any: none") as box:
            await box.learn(
                listed("mg", "P1", modality="MG", day=ago(1)),
                listed("ct", "P1", modality="CT", day=ago(1)),
                listed("other", "P2", modality="MG", day=ago(1)),
            )
            await box.expectations.announce(
                [Expected("P1", "20260310", modality="MG"), Expected("P2", "20260310")]
            )
            assert await box.wanted() == [of("mg", Why.EXPECTED)]

    async def test_who_comes_much_later_is_not_of_interest_yet(self, open_look):
        async with open_look("any: 1") as box:
            await box.learn(listed("1", "P1", day=ago(1)))
            await box.expectations.announce([Expected("P1", "20260320")])
            assert await box.wanted() == []

    async def test_each_source_takes_back_its_own(self, open_look):
        async with open_look() as box:
            ledger = box.expectations
            ris = [Expected(f"P{number}", "20260311", source="ris") for number in range(3)]
            assert await ledger.announce(ris) == 3
            assert await ledger.announce(ris) == 0
            assert await ledger.announce([Expected("P1", "20260311", source="desk")]) == 1
            assert await ledger.take_back("ris", patient_id="P1") == 1
            assert await ledger.take_back("ris", day="20260312") == 0
            assert await ledger.take_back("ris") == 2
            assert await ledger.page(limit=10, offset=0) == (
                1,
                [Expected("P1", "20260311", source="desk")],
            )

    async def test_days_that_are_over_are_forgotten(self, open_look):
        async with open_look() as box:
            assert await box.expectations.announce([Expected("P1", "20260309")]) == 0
            await box.expectations.announce([Expected("P1", "20260310")])
            box.clock.now += DAY
            assert await box.expectations.soon() == []
            await box.expectations.announce([])
            assert await box.cache.database.read("SELECT count(*) FROM expected") == [(0,)]


class TestCrowds:
    """However much is expected, nobody else waits for what is computed of it."""

    @pytest.fixture
    def longest(self, monkeypatch):
        """The longest that the event loop was held by one callback: seconds of its own thread."""
        run, held = asyncio.events.Handle._run, [0.0]

        def timed(handle):
            begun = time.thread_time()
            run(handle)
            held[0] = max(held[0], time.thread_time() - begun)

        monkeypatch.setattr(asyncio.events.Handle, "_run", timed)
        return held

    async def test_thousands_of_patients_hold_up_nobody(self, open_look, longest):
        async with open_look("any: 3 within 5 years", "CT: 2 of CT same body part") as box:
            for number in range(40):
                await box.learn(
                    *(
                        listed(f"{number} {age}", f"P{number}", report="SR", slices=1, day=ago(age))
                        for age in (1, 2, 3)
                    )
                )

            def more(db):
                # Studies as an archive lists them, of very many patients.
                db.execute(
                    "INSERT INTO studies (study_uid, patient_id, study_date, modalities, created)"
                    " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
                    " WHERE i < 9999) SELECT '1.2.' || i, 'P' || (i % 2000), '20250101',"
                    " '\\CT\\', 0 FROM n"
                )

            await box.cache.database.write(more)
            expected = [Expected(f"P{number}", "20260310", "", "CT") for number in range(5000)]
            await box.expectations.announce(expected)
            longest[0] = 0.0
            look = await box.priors.look()
            assert longest[0] < 0.05
            assert len(look.patients) == 5000
            # Three reports of some, and one of the two newest studies that are CT.
            assert len(look.wanted) == 40 * 3 + 40

    async def test_announcements_of_one_patient_are_bounded(self, open_look, longest):
        async with open_look("any: 3 within 5 years") as box:
            await box.learn(listed("prior", "P1", day=ago(1)))
            many = [Expected("P1", "20260310", f"I{number}", "CT") for number in range(10_000)]
            assert await box.expectations.announce(many) == 50
            assert await box.expectations.announce([Expected("P2", "20260310")]) == 1
            assert await box.expectations.announce([Expected("P1", "20260311")]) == 1
            longest[0] = 0.0
            assert await box.wanted() == [of("prior", Why.EXPECTED)]
            assert longest[0] < 0.05
            assert len(await box.expectations.soon()) == 50 + 1

    async def test_what_two_sources_say_is_one_occasion(self, open_look):
        async with open_look() as box:
            said = [Expected("P1", "20260310", source=source) for source in ("ris", "desk")]
            assert await box.expectations.announce(said) == 2
            assert await box.expectations.soon() == [Expected("P1", "20260310")]

    async def test_an_id_that_very_many_studies_share_costs_no_more_than_the_newest(
        self, open_look
    ):
        async with open_look("any: all") as box:

            def more(db):
                db.execute(
                    "INSERT INTO studies (study_uid, patient_id, study_date, created)"
                    " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
                    " SELECT '1.2.' || i, 'UNKNOWN', 20200101 + i, 0 FROM n"
                )

            await box.cache.database.write(more)
            found = await of_patients(box.cache.database, ["UNKNOWN", "nobody"])
            assert [one.study_uid for one in found["UNKNOWN"]] == [
                f"1.2.{number}" for number in range(999, 799, -1)
            ]


class TestPins:
    """What shall be here at all times."""

    async def test_pins_of_people_come_at_once_and_those_of_rules_in_quiet_hours(self, open_look):
        pin = ("modality MG within 2 years", f"study {study_uid('named')}")
        async with open_look(pin=pin) as box:
            await box.learn(
                listed("mg", "P1", modality="MG", day=ago(1)),
                listed("old mg", "P1", modality="MG", day=ago(3)),
                listed("named", "P2", day=ago(9)),
                listed("teaching", "P3", day=ago(9)),
                listed("his", "P4", issuer="EAST", day=ago(9)),
                listed("not his", "P4", issuer="WEST", day=ago(9)),
            )
            await box.pins.add("study", study_uid("teaching"))
            await box.pins.add("patient", "P4", "EAST")
            wanted = await box.wanted()
            assert set(wanted[:2]) == {of("teaching", Why.PIN), of("his", Why.PIN)}
            assert set(wanted[2:]) == {
                of("mg", Why.RULE, later=True),
                of("named", Why.RULE, later=True),
            }

    async def test_a_pinned_study_that_is_not_known_is_asked_about(self, open_look):
        async with open_look(pin=("patient P9",)) as box:
            await box.pins.add("study", "1.2.3")
            look = await box.priors.look()
            assert look.studies == ("1.2.3",)
            assert [one.patient_id for one in look.patients] == ["P9"]

    async def test_pins_are_listed_with_what_is_here_of_them(self, open_look):
        async with open_look() as box:
            await box.learn(listed("far", "P1"))
            await box.send(*made("near", "P2"))
            assert await box.pins.add("study", study_uid("far"), who="somebody")
            assert not await box.pins.add("study", study_uid("far"))
            box.clock.now += 1
            await box.pins.add("patient", "P2")
            far, near = await box.pins.all()
            assert (far.instances, far.here, far.who) == (2, 0, "somebody")
            assert (near.instances, near.here) == (2, 2)
            assert near.here_bytes > 4096
            assert await box.pins.remove("patient", "P2")
            assert not await box.pins.remove("patient", "P2")

    async def test_how_much_is_pinned_is_known(self, open_look):
        async with open_look() as box:
            assert (await box.pins.size()).studies == 0
            await box.learn(listed("far", "P1"))
            await box.send(*made("near", "P1"))
            await box.pins.add("patient", "P1")
            size = await box.pins.size()
            assert (size.studies, size.missing) == (2, 2)
            assert size.here_bytes == box.cache.space.used


async def test_what_left_lately_is_not_wanted_again_but_for_a_persons_pin(open_look):
    async with open_look("any: all") as box:
        await box.send(*made("prior", "P1", day=ago(1)))
        box.clock.now += 2 * DAY
        await box.cache.database.write(
            lambda db: db.execute(
                "UPDATE instances SET custody = ?, verified = ?, received = ?",
                (Custody.VERIFIED, box.clock.now, box.clock.now),
            )
        )
        candidates = await residence.evictable(
            box.cache.database, used_before=1e12, verified_since=0, max_bytes=10**9
        )
        await box.cache.database.write(lambda db: residence.evict(db, candidates))
        await box.send(*made("new", "P1"))
        assert await box.wanted() == []
        await box.pins.add("study", study_uid("prior"))
        box.clock.now += 1
        assert await box.wanted() == [of("prior", Why.PIN)]
        await box.pins.remove("study", study_uid("prior"))
        box.clock.now += DAY
        await box.send(*made("newer", "P1"))
        assert await box.wanted() == [of("prior")]


async def test_however_many_rules_there_are_they_are_one_expression(open_look):
    rules = [f"study 1.2.3.{number}" for number in range(1500)]
    rules += [f"patient N{number} of EAST" for number in range(1500)]
    rules += [f"modality {name} within 2 years" for name in ("MG", "US", "NM")] * 500
    pin = (*rules, f"study {study_uid('named')}", "patient P2 of WEST", "patient P3")
    async with open_look(pin=pin) as box:
        await box.learn(
            listed("named", "P1"),
            listed("his", "P2", issuer="WEST"),
            listed("of no known issuer", "P2"),
            listed("not his", "P2", issuer="EAST"),
            listed("of any issuer", "P3", issuer="EAST"),
            listed("mg", "P4", modality="MG", day=ago(1)),
            listed("old mg", "P4", modality="MG", day=ago(3)),
        )
        wanted = {uid for uid, _, _ in await box.wanted()}
        names = ("named", "his", "of no known issuer", "of any issuer", "mg")
        assert wanted == {study_uid(name) for name in names}
        spared = box.pins.pinned
        assert (
            await residence.evictable(
                box.cache.database,
                used_before=1e12,
                verified_since=0,
                max_bytes=10**9,
                spared=spared,
            )
            == []
        )
        assert (await box.pins.size()).studies == 5


@pytest.mark.parametrize("value", ["A\x1b[2J", "B\\C", "D\nE", "F" * 65, "G\x9b"])
async def test_what_is_no_patient_id_is_not_pinned(open_look, value):
    async with open_look() as box:
        with pytest.raises(DecisionRefused):
            await box.pins.add("patient", value)
        with pytest.raises(DecisionRefused):
            await box.pins.add("patient", "P1", value)
        assert await box.pins.all() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "20261301",
        "20260230",
        "2026W481",
        "2026-1-1",
        "\uff12\uff10\uff12\uff16\uff10\uff11\uff10\uff11",
        "+2026101",
    ],
)
def test_what_is_no_date_is_none(text):
    assert day_of(text) is None


def test_a_date_is_read():
    assert day_of("20260310") == TODAY
