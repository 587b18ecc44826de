"""The state of the box in one sentence, and in numbers."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
import trustme

from edge import config, others
from edge.authorities import Authority
from edge.cache.condition import Level, level_of
from edge.cache.disputes import Disputes
from edge.cache.exchange import Exchange
from edge.cache.ledger import Settlement
from edge.cache.leftovers import Leftovers
from edge.cache.lost_secrets import LostSecret
from edge.cache.reading_status import read_status
from edge.cache.status import LineState, PrefetchState
from edge.dicom.instance import Custody
from edge.index import lookup, residence
from edge.index.remote import set_archive_state
from edge.index.summary import waiting_studies
from edge.machine.health import DiskHealth, MachineState
from edge.pages.state import worries_of
from tests.patients import listed, made
from tests.samples import ct_series

RUNNING = {"dimse": "running", "push": "running"}


def sample(seed=1):
    """A study of one instance."""
    (made,) = ct_series(1, rows=16, columns=16, seed=seed)
    return made


async def settle(cache, sample, custody):
    row = await lookup.find_one(cache.database, sample.ref.sop_uid)
    await cache.ledger.settle([Settlement(row.instance_id, custody)])


async def status(cache, /, archives=("cloud",), *, parts=RUNNING, **sections):
    cloud = config.Cloud(tuple(others.Archive(name, "https://archive") for name in archives))
    settings = config.Config(cloud=cloud, **({"cache": cache.settings} | sections))
    return await read_status(settings, cache.database, cache.store, parts)


async def sentence(cache, /, *args, **options):
    return (await status(cache, *args, **options)).sentence


async def test_a_cage_that_is_not_whole_is_told_and_troubles_no_nurse(cache):
    cages = {"pixels": "Landlock: Operation not supported", "store": ""}
    told = await read_status(config.Config(), cache.database, cache.store, RUNNING, None, cages)
    assert told.as_json()["cages"] == {"pixels": "Landlock: Operation not supported"}
    assert told.sentence == "Nothing is here yet; no archive is configured."


@pytest.mark.parametrize(
    ("name", "level"),
    [("objects", Level.WARNING), ("settings", Level.ALARM), ("https", Level.ALARM)],
)
async def test_what_the_start_found_damaged_is_told_to_who_looks_after_the_box(cache, name, level):
    found = {name: "it is damaged", "store": "seccomp"}
    told = await read_status(config.Config(), cache.database, cache.store, RUNNING, None, found)
    assert told.as_json()["found"] == {name: "it is damaged"}
    assert told.as_json()["cages"] == {"store": "seccomp"}
    assert told.sentence.startswith("It is damaged. ")
    assert level_of(told) is level
    assert told.for_others().sentence == "Nothing is here yet; no archive is configured."


async def test_what_is_under_the_box_is_told_and_ends_intake_with_the_power(cache):
    disk = DiskHealth("sda", problem="3 sectors can't be read", is_failing=True)
    machine = MachineState(45.0, (disk,), "battery")
    told = await read_status(config.Config(), cache.database, cache.store, RUNNING, machine=machine)
    assert told.sentence.startswith(
        "Disk sda may fail: 3 sectors can't be read. The mains failed: the box runs on battery."
    )
    assert told.as_json()["machine"]["disks"][0]["is_failing"]
    assert told.refusal == ""
    low = replace(machine, mains="low")
    told = await read_status(config.Config(), cache.database, cache.store, RUNNING, machine=low)
    assert "battery is nearly empty" in told.refusal


async def test_an_authority_that_ends_is_told_to_everybody_also_on_the_screen(cache):
    ended = Authority("St. Brigid", 1_000_000_000.0, "")
    machine = MachineState(authorities=(ended,))
    told = await read_status(config.Config(), cache.database, cache.store, RUNNING, machine=machine)
    assert told.sentence.startswith("Authority St. Brigid ended on 2001-09-09. ")
    assert told.as_json()["authorities"][0]["ended"]
    assert level_of(told, is_new=True) is Level.WARNING
    said = "The certificate of the authority St. Brigid ended on 9 September 2001."
    worries = await asyncio.to_thread(worries_of, told.for_others(), is_new=True)
    assert worries == [said]
    sound = replace(told, authorities=())
    assert level_of(sound, is_new=True) is not Level.WARNING
    assert await asyncio.to_thread(worries_of, sound, is_new=True) == []


async def test_the_sentence_follows_the_state(cache):
    assert await sentence(cache) == "Nothing is here yet; the archive was not reached yet."
    await cache.ledger.set_archive_state("cloud", online=True)
    assert await sentence(cache) == "Nothing is here yet."
    one, two = sample(1), sample(2)
    await cache.send(one)
    assert await sentence(cache) == "1 study exists only here."
    await cache.send(two)
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await sentence(cache) == "2 studies exist only here; the line is down, intake goes on."
    for each in (one, two):
        await settle(cache, each, Custody.VERIFIED)
    assert (
        await sentence(cache)
        == "Everything is safe in the cloud; the line is down, intake goes on."
    )


async def test_what_only_a_person_can_mend_is_not_called_a_line_that_is_down(cache):
    await cache.send(sample())
    await cache.ledger.set_archive_state("cloud", online=False, reason="401", lasting=True)
    assert (
        await sentence(cache)
        == "1 study exists only here; the way to the archive must be mended, intake goes on."
    )


async def test_what_exists_only_here_is_said_though_no_archive_was_ever_reached(cache):
    await cache.send(sample())
    assert await sentence(cache) == "1 study exists only here; the archive was not reached yet."
    assert await sentence(cache, ()) == "1 study exists only here; no archive is configured."
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await sentence(cache) == "1 study exists only here; the line is down, intake goes on."


async def test_what_the_archive_only_says_that_it_stored_is_not_called_safe(cache):
    await cache.ledger.set_archive_state("cloud", online=True)
    one, two = sample(1), sample(2)
    await cache.send(one)
    await settle(cache, one, Custody.ACKNOWLEDGED)
    assert await sentence(cache) == "1 study waits for proof that the archive has it all."
    await cache.send(two)
    assert (
        await sentence(cache)
        == "1 study exists only here, 1 study waits for proof that the archive has it all."
    )


async def test_a_conflict_hides_neither_the_line_nor_what_exists_only_here(cache):
    kept = sample()
    await cache.send(kept)
    await settle(cache, kept, Custody.VERIFIED)
    await cache.send(kept.data[:-1] + bytes([kept.data[-1] ^ 1]))
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await sentence(cache) == (
        "1 image is in conflict. 1 study exists only here; the line is down, intake goes on."
    )


async def test_the_gravest_comes_first(cache):
    await cache.ledger.set_archive_state("cloud", online=True)
    lost, refused, other = (sample(seed) for seed in (1, 2, 3))
    for each in (lost, refused, other):
        await cache.send(each)
    row = await lookup.find_one(cache.database, lost.ref.sop_uid)
    await cache.database.write(lambda db: residence.lose(db, [row.object]))
    await settle(cache, refused, Custody.REFUSED)
    await settle(cache, other, Custody.CONFLICT)
    assert await sentence(cache) == (
        "1 image was lost and must be sent again. 1 image is in conflict."
        " The archive refuses 1 image. 2 studies exist only here."
    )
    for each in (refused, other):
        await settle(cache, each, Custody.VERIFIED)
    assert await sentence(cache) == (
        "1 image was lost and must be sent again. Everything else is safe in the cloud."
    )


async def test_a_service_that_does_not_run_is_said_first(cache):
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await sentence(cache, parts=None) == (
        "The service is not running: nothing comes in. Nothing is here yet; the line is down."
    )
    document = (await status(cache, parts=None)).as_json()
    assert (document["running"], document["parts"]) == (False, {})


async def test_parts_that_failed_are_named(cache):
    await cache.ledger.set_archive_state("cloud", online=True)
    parts = {"dimse": "failed: OSError, starts again in 1 s", "push": "running"}
    assert await sentence(cache, parts=parts) == (
        "The service is in trouble: dimse. Nothing is here yet."
    )
    assert (await status(cache, parts=parts)).as_json()["parts"] == parts


async def test_a_box_that_refuses_images_is_not_called_safe(cache):
    await cache.ledger.set_archive_state("cloud", online=True)
    kept = sample()
    await cache.send(kept)
    await settle(cache, kept, Custody.VERIFIED)
    assert (await status(cache, cache=config.Cache(reserve_bytes=0))).refusal == ""
    full = config.Cache(reserve_bytes=0, max_bytes=100)
    said = await sentence(cache, cache=full)
    assert said.startswith("New images are refused: the cache is full")
    assert said.endswith(". Everything is safe in the cloud.")
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert "intake goes on" not in await sentence(cache, cache=full)
    assert (await status(cache, cache=full)).as_json()["capacity_bytes"] == 100


async def test_a_reserve_larger_than_the_disk_is_named_as_what_it_is(cache):
    await cache.ledger.set_archive_state("cloud", online=True)
    assert await sentence(cache, cache=config.Cache(reserve_bytes=10**18)) == (
        "New images are refused: cache.reserve_bytes is more than this disk has for images."
        " Nothing is here yet."
    )


async def test_a_drop_folder_that_is_missing_is_said(cache, tmp_path):
    await cache.ledger.set_archive_state("cloud", online=True)
    there = config.DropFolder(tmp_path)
    assert (await status(cache, dropfolder=there)).drop_folder == ""
    missing = config.DropFolder(tmp_path / "usb")
    assert await sentence(cache, dropfolder=missing) == (
        "The drop folder is in trouble: it can't be read: No such file or directory."
        " Nothing is here yet."
    )


async def test_what_hinders_the_drop_folder_is_said_if_there_is_one(cache, tmp_path):
    await cache.ledger.set_archive_state("cloud", online=True)
    await Leftovers(cache.database).report("its files can't be taken away: 3 admitted files remain")
    assert (await status(cache)).as_json()["drop_folder"] == ""
    assert await sentence(cache, dropfolder=config.DropFolder(tmp_path)) == (
        "The drop folder is in trouble: its files can't be taken away: 3 admitted files remain."
        " Nothing is here yet."
    )


@pytest.mark.parametrize(
    ("custody", "only_here"),
    [(custody, custody not in {"ACKNOWLEDGED", "VERIFIED"}) for custody in Custody],
)
async def test_a_study_exists_only_here_unless_the_archive_vouches_for_it(
    cache, custody, only_here
):
    kept = sample()
    await cache.send(kept)
    await settle(cache, kept, custody)
    document = (await status(cache)).as_json()
    assert document["studies_only_here"] == int(only_here)
    assert document["studies_unproven"] == int(custody == "ACKNOWLEDGED")
    assert document["custody"] == {custody: 1}
    assert document["instances"] == document["instances_online"] == 1
    assert document["backlog_bytes"] == (len(kept.data) if custody in {"EDGE_ONLY", "SENT"} else 0)


async def test_an_archive_that_is_not_configured_any_more_is_forgotten(cache):
    await cache.ledger.set_archive_state("former", online=False, reason="gone")
    assert (await status(cache)).archives == ()


async def test_it_says_whether_a_fire_would_cost_everything(cache, tmp_path):
    folder = {"appliance": config.Appliance(data_dir=tmp_path)}
    before = await status(cache, **folder)
    assert before.as_json()["backups"] == {"has_recovery_key": False, "last": ()}
    (tmp_path / "recovery.key").touch()
    assert (await status(cache, **folder)).backups.has_recovery_key
    # A line of its own: the sentence is about images.
    assert (await status(cache, **folder)).sentence == before.sentence


async def test_why_sync_waits_is_said_where_there_is_an_archive_and_after_a_line_that_is_down(
    cache,
):
    await cache.ledger.set_roles({"cloud": "primary"})
    await cache.send(sample())
    waits = LineState(waits="the calendar lets nothing through until 18:00")

    async def said(archives=("cloud",)):
        return replace(await status(cache, archives), line=waits).sentence

    expected = "1 study exists only here; the calendar lets nothing through until 18:00."
    assert await said() == expected
    await cache.ledger.set_archive_state("cloud", online=True)
    assert await said() == expected
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await said() == "1 study exists only here; the line is down, intake goes on."
    assert await said(()) == "1 study exists only here; no archive is configured."


async def test_the_studies_that_wait_are_named_with_their_bytes_in_the_order_of_sending(cache):
    one, two, three = (sample(seed) for seed in (1, 2, 3))
    for each in (one, two, three):
        await cache.send(each)
    await settle(cache, two, Custody.ACKNOWLEDGED)
    await settle(cache, three, Custody.SENT)
    await cache.ledger.set_cursor("line", "what sync kept")
    asked = []

    def line(kept, backlog, studies):
        asked.append((kept, backlog))
        return LineState(studies=tuple(studies))

    settings = config.Config(cache=cache.settings)
    found = await read_status(settings, cache.database, cache.store, RUNNING, line)
    assert asked == [("what sync kept", len(one.data) + len(three.data))]
    assert list(found.as_json()["line"]["studies"]) == [
        {"study_uid": it.ref.study_uid, "instances": 1, "bytes": len(it.data), "eta": None}
        for it in (one, three)
    ]


async def test_while_the_line_is_down_no_time_of_arrival_is_told(cache):
    await cache.ledger.set_roles({"cloud": "primary", "second": "copy"})
    await cache.send(sample())

    def line(kept, backlog, studies):
        timed = tuple(replace(one, eta=1e9) for one in studies)
        return LineState(backlog_eta=1e9, upload_speed=5e6, studies=timed)

    both = tuple(
        others.Archive(name, "https://archive", role=role)
        for name, role in (("cloud", "primary"), ("second", "copy"))
    )
    settings = config.Config(cloud=config.Cloud(both), cache=cache.settings)

    async def times():
        found = await read_status(settings, cache.database, cache.store, RUNNING, line)
        return [found.line.backlog_eta, *(one.eta for one in found.line.studies)]

    await cache.ledger.set_archive_state("cloud", online=True)
    await cache.ledger.set_archive_state("second", online=False, reason="no route")
    assert await times() == [1e9, 1e9]
    await cache.ledger.set_archive_state("cloud", online=False, reason="no route")
    assert await times() == [None, None]


async def test_at_most_a_hundred_studies_are_named(cache):
    for seed in range(3):
        await cache.send(sample(seed + 1))
    assert len(await waiting_studies(cache.database, 2)) == 2


async def test_what_is_in_the_trash_is_said_with_the_day_on_which_it_goes(open_cache):
    each = sample()
    async with open_cache(clock=lambda: 1_000_000_000.0) as cache:
        await cache.ledger.set_archive_state("cloud", online=True)
        await cache.send(each)
        await settle(cache, each, Custody.VERIFIED)
        await cache.trash.put([each.ref], archive="cloud", reason="gone")
        found = await status(cache, sync=config.Sync(trash_days=1))
        assert found.trash_until == 1_000_086_400.0
        day = "2001-09-(09|10|11)"
        assert re.fullmatch(
            f"In the trash until {day}: 1 image that the archive deleted."
            " Everything else is safe in the cloud.",
            found.sentence,
        )
        assert found.summary.custody == {}


async def test_it_says_what_is_to_be_brought_and_whether_pins_fit(open_cache):
    async with open_cache(max_bytes=20_000, pin=("modality MR",)) as cache:
        today = date.today()  # noqa: DTZ011 - as the box does
        for name in ("one", "two", "mr"):
            modality = "MR" if name == "mr" else "CT"
            await cache.ledger.learn(listed(name, "P1", modality=modality, day=today))
        assert (await status(cache)).prefetch == PrefetchState(
            later=1, pinned_studies=1, pinned_missing=2
        )
        for part in made("new", "P1", modality="MR", day=today, size=6000):
            await cache.send(part)
        now = await status(cache)
        assert (now.prefetch.studies, now.prefetch.later) == (3, 0)
        assert (now.prefetch.pinned_studies, now.prefetch.pinned_missing) == (2, 2)
        assert not now.prefetch.pinned_fit
        assert "What is pinned does not fit: 2 images of it may stay" in now.sentence
        assert now.as_json()["prefetch"]["studies"] == 3
        assert (await status(cache, archives=())).prefetch == PrefetchState()


async def absent(cache, state, *samples):
    uids = [each.ref.study_uid for each in samples]

    def write(db):
        for uid in uids:
            db.execute(
                "INSERT OR REPLACE INTO absences SELECT id, ?, 1, 1, 1.0 FROM studies"
                " WHERE study_uid = ?",
                (state, uid),
            )

    await cache.database.write(write)


async def test_what_the_archive_has_no_more_is_not_called_safe(cache):
    one, two, three = sample(1), sample(2), sample(3)
    await cache.ledger.set_archive_state("cloud", online=True)
    for each in (one, two, three):
        await cache.send(each)
        await settle(cache, each, Custody.VERIFIED)
    await absent(cache, "SUSPECTED", one)
    assert (
        await sentence(cache) == "The archive does not list 1 study as before: another look"
        " follows. 1 study may exist only here."
    )
    await absent(cache, "HELD", one, two)
    assert (await sentence(cache)).endswith("missing rights? 2 studies may exist only here.")
    await absent(cache, "AGAIN", two)
    found = await status(cache)
    assert "decided of 1 study that the archive has no more is not done yet" in found.sentence
    assert found.as_json()["studies_perhaps_only_here"] == 2
    # What is only here for certain is counted once.
    await settle(cache, one, Custody.REFUSED)
    await cache.send(sample(4))
    found = await status(cache)
    assert found.sentence.endswith("2 studies exist only here, 1 more study may exist only here.")


async def test_an_absent_study_that_another_archive_has_or_nobody_here_is_not_only_here(cache):
    one, two = sample(1), sample(2)
    await cache.ledger.set_archive_state("cloud", online=True)
    for each in (one, two):
        await cache.send(each)
        await settle(cache, each, Custody.VERIFIED)
    row = await lookup.find_one(cache.database, one.ref.sop_uid)
    copy = (row.instance_id, "second", "VERIFIED")
    await cache.database.write(
        lambda db: db.execute(
            "INSERT INTO copies (instance_id, archive, custody) VALUES (?, ?, ?)", copy
        )
    )
    row = await lookup.find_one(cache.database, two.ref.sop_uid)
    leaves = residence.Evictable(row.instance_id, row.ref, row.object, 1)
    await cache.database.write(lambda db: residence.evict(db, [leaves]))
    await absent(cache, "HELD", one, two)
    found = await status(cache)
    assert found.summary.studies_perhaps_only_here == 0
    # It is nowhere, as far as is known: that is not called safe, either.
    assert found.sentence.endswith("missing rights? Everything else is safe in the cloud.")


async def test_a_conflict_is_counted_alike_in_the_sentence_the_number_and_the_list(cache):
    one, two = sample(1), sample(2)
    await cache.send(one)
    await settle(cache, one, Custody.CONFLICT)
    await cache.send(two)
    await cache.send(replace(two, data=two.data[:-16] + bytes(range(16))))
    found = await status(cache)
    assert found.sentence.startswith("2 images are in conflict.")
    document = found.as_json()
    assert (document["in_conflict"], document["quarantined"]) == (2, 1)
    disputes = Disputes(
        cache.database,
        Exchange(cache.store, cache.tombstones, cache.database),
        has_archive=True,
    )
    assert (await disputes.conflicts()).total == 2


async def test_a_certificate_of_the_clinic_s_own_that_ends_is_told_to_everybody(cache, tmp_path):
    end = datetime(2021, 9, 9, 12, tzinfo=UTC)
    begun = end - timedelta(days=365)
    leaf = trustme.CA().issue_cert("pacs.clinic.example", not_before=begun, not_after=end)
    path = tmp_path / "clinic.pem"
    leaf.cert_chain_pems[0].write_to_path(path)
    for section, whose in (
        ({"http": config.Http(tls="files", tls_certificate=path)}, " of this box"),
        ({"dimse": config.Dimse(tls_certificate=path)}, ", which devices are shown,"),
        (
            {"audit": config.Audit(syslog=others.Syslog("log.example:6514", tls_certificate=path))},
            ", which log.example:6514 is shown,",
        ),
    ):
        said = config.Config(**section)
        told = await read_status(said, cache.database, cache.store, RUNNING)
        assert "Certificate pacs.clinic.example (" in told.sentence
        assert told.as_json()["certificates"][0]["ended"]
        assert level_of(told, is_new=True) is Level.WARNING
        worries = await asyncio.to_thread(worries_of, told.for_others(), is_new=True)
        text = f"The certificate pacs.clinic.example{whose} ended on 9 September 2021."
        assert worries == [text]


async def test_who_lost_a_secret_and_what_is_to_be_done_is_told_once(cache):
    lost = LostSecret(
        "cloud.archive.0.auth.password", "cloud", "it was sealed elsewhere", by_page=True
    )
    more = replace(lost, key="cloud.archive.0.proxy_password")
    oidc = replace(lost, key="access.oidc.client_secret", archive="")
    archive = others.Archive("cloud", "https://a.example")
    said = config.Config(cloud=config.Cloud((archive,)))
    shut = partial(set_archive_state, name="cloud", online=False, reason="sealed", lasting=True)
    await cache.database.write(lambda db: shut(db, now=1.0))
    found = await read_status(said, cache.database, cache.store, RUNNING)
    told = replace(found, lost_secrets=(lost, more, oidc))
    assert level_of(replace(told, archives=())) is Level.WARNING
    assert "The identity provider is out of use, its secret must be given again" in told.sentence
    worries = await asyncio.to_thread(worries_of, told, is_new=True)
    whose = ("archive cloud", "identity provider")
    ends = [f"open its secret for the {one} any more." for one in whose]
    assert len(worries) == len(ends)
    assert all(said.endswith(end) for said, end in zip(worries, ends, strict=True))
