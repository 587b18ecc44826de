"""Orthanc's own REST API, where DICOMweb does not do; the contract suite has a real one."""

from __future__ import annotations

import pytest
from aiohttp import web

from edge import others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.feed import Action, Change, Page
from edge.cloud.orthanc import OrthancArchive, OrthancFeed, archive_of, rooted
from edge.dicom.instance import InstanceRef
from edge.errors import CloudRefused, CloudUnauthorised, CloudUnreachable, InstanceNotFound

REF = InstanceRef("1.2", "1.2.3", "1.2.3.4")


@pytest.fixture
async def rest():
    """What a lookup answers next, and what was deleted."""
    answers, deleted = [], []

    async def lookup(request):
        assert await request.read() == REF.sop_uid.encode()
        return answers.pop(0)

    async def delete(request):
        deleted.append(request.match_info["id"])
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/pacs/tools/lookup", lookup)
    application.router.add_delete("/pacs/instances/{id}", delete)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/pacs/dicom-web/"
    async with archive_of(others.Archive("cloud", url, "orthanc")) as archive:
        yield archive, answers, deleted
    await runner.cleanup()


def found(*kinds):
    return web.json_response(
        [{"ID": f"{kind}-1", "Path": "@elsewhere/", "Type": kind} for kind in kinds]
    )


async def test_an_instance_is_looked_up_and_deleted(rest):
    archive, answers, deleted = rest
    answers += [found("Instance", "Study")]
    await archive.delete_instance(REF)
    assert deleted == ["Instance-1"]


async def test_what_no_lookup_finds_is_not_there(rest):
    archive, answers, _ = rest
    answers += [found("Study")]
    with pytest.raises(InstanceNotFound):
        await archive.delete_instance(REF)


async def test_another_server_in_its_place_is_told_from_it(rest):
    archive, answers, _ = rest
    answers += [web.Response(text="<html>log in</html>"), web.Response(status=403)]
    with pytest.raises(CloudUnreachable, match="no Orthanc"):
        await archive.delete_instance(REF)
    with pytest.raises(CloudUnauthorised):
        await archive.delete_instance(REF)


def test_the_kind_chooses_the_driver():
    kinds = {
        kind: type(archive_of(others.Archive("a", "http://a/b", kind)))
        for kind in ("dicomweb", "orthanc")
    }
    assert kinds == {"dicomweb": DicomwebArchive, "orthanc": OrthancArchive}


NOW = 1_709_164_800.0
"""2024-02-29 00:00:00 UTC, by our clock."""


@pytest.fixture
async def log():
    """A log of changes that says what it is told to say, and what it was asked."""
    answers, asked = [], []

    async def changes(request):
        asked.append(dict(request.query))
        return web.json_response(answers.pop(0))

    async def bulk(request):
        wanted = await request.json()
        level, tag = wanted["Level"], {"Instance": "SOP", "Series": "Series", "Study": "Study"}
        resource = {
            "ID": f"the {level}",
            "MainDicomTags": {f"{tag[level]}InstanceUID": UIDS[level]},
            "ParentSeries": "the Series",
            "ParentStudy": "the Study",
        }
        if level == "Instance":
            resource["ID"] = wanted["Resources"][0]
        return web.json_response([resource])

    async def now(request):
        return web.Response(text="20240229T010000")  # an hour ahead

    application = web.Application()
    application.router.add_get("/changes", changes)
    application.router.add_post("/tools/bulk-content", bulk)
    application.router.add_get("/tools/now", now)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/dicom-web"
    async with archive_of(others.Archive("cloud", url, "orthanc")) as archive:
        yield OrthancFeed(archive, clock=lambda: NOW), answers, asked
    await runner.cleanup()


UIDS = {"Study": REF.study_uid, "Series": REF.series_uid, "Instance": REF.sop_uid}


def page(*entries, done=True, last):
    return {
        "Changes": [
            {"Seq": number, "ChangeType": what, "ID": f"{what}-{number}", "Date": date}
            for number, what, date in entries
        ],
        "Done": done,
        "Last": last,
    }


async def test_times_of_the_log_are_told_by_our_clock(log):
    feed, answers, _ = log
    answers += [page((8, "NewInstance", "20240229T005930"), (9, "StableStudy", ""), last=9)]
    assert await feed.after("7") == Page((Change(Action.STORED, REF, NOW - 30),), "9", more=False)


async def test_other_entries_only_move_the_position(log):
    feed, answers, _ = log
    answers += [page((8, "NewStudy", ""), (9, "UpdatedMetadata", ""), done=False, last=9)]
    assert await feed.after("7") == Page((), "9", more=True)


async def test_a_log_that_ends_before_our_position_is_of_another_database(log):
    feed, answers, _ = log
    answers += [page(last=3)]
    assert await feed.after("7") is None


async def test_the_end_of_the_log_is_asked_for_at_times(log):
    """Versions differ in what they say there when nothing is new."""
    feed, answers, asked = log
    answers += [page(last=7)] * 20 + [page((3, "NewStudy", ""), last=3)]
    for _ in range(19):
        assert await feed.after("7") == Page((), "7", more=False)
    assert await feed.after("7") is None
    assert asked[-1] == {"last": ""}


@pytest.mark.parametrize("odd", [[], {"Changes": 1}, {"Changes": [], "Done": True}, "no"])
async def test_a_log_that_can_not_be_understood_is_refused(log, odd):
    feed, answers, _ = log
    answers += [odd]
    with pytest.raises(CloudRefused, match="archive cloud: reading the log of changes"):
        await feed.after("7")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://10.0.2.2:28042/dicomweb", "https://10.0.2.2:28042/dicom-web"),
        ("https://10.0.2.2:28042/pacs/DICOM_web/", "https://10.0.2.2:28042/pacs/dicom-web"),
        ("https://10.0.2.2:28042/pacs", "https://10.0.2.2:28042/pacs/dicom-web"),
        ("https://dicom.example", "https://dicom.example/dicom-web"),
    ],
)
def test_a_path_that_was_meant_to_be_the_plugins_is_replaced_in_the_example(url, meant):
    assert rooted(url) == meant
