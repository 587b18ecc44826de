import asyncio
import logging
import time

import httpx
import pytest

from edge import config, others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.retry import Backoff
from edge.errors import CloudUnauthorised, CloudUnreachable
from edge.sync.line import Closed, Line
from edge.sync.link import Link
from tests.fakes.archive import Fault
from tests.sync.conftest import SETTINGS, until


async def test_it_is_offline_until_it_was_tried(link):
    assert not link.online
    assert link.reason == ""


async def test_it_is_tried_at_once(link, running, ledger):
    running(link)
    await link.wait_online()
    assert ledger.states == [("cloud", True, "")]


async def test_everyone_waits_and_only_one_knocks(link, running, cloud):
    running(link)
    await link.wait_online()
    await cloud.stop()
    waiting = [asyncio.create_task(link.wait_online()) for _ in range(10)]
    await asyncio.sleep(0)
    for _ in range(5):
        link.failed(CloudUnreachable("archive cloud: the line is down"))
    assert not link.online
    await asyncio.sleep(0.2)
    cloud.requests.clear()
    for task in waiting:
        task.cancel()
    blocked = [asyncio.create_task(link.wait_online()) for _ in range(10)]
    await cloud.start()
    await asyncio.wait_for(asyncio.gather(*blocked), 5)
    assert len(cloud.requests) == 1


async def test_since_when_and_why_is_kept_for_those_who_ask(link, running, cloud, ledger):
    running(link)
    await link.wait_online()
    await cloud.stop()
    link.failed(CloudUnreachable("archive cloud: first words", hint="a hint"))
    await until(lambda: len(ledger.states) > 2)
    assert ledger.states[1] == ("cloud", False, "first words (a hint)")
    assert "refuses the connection" in ledger.states[2][2]
    assert "refuses the connection" in link.reason
    await cloud.start()
    await link.wait_online()
    assert link.reason == ""
    assert ledger.states[-1] == ("cloud", True, "")


async def test_wrong_credentials_are_a_reason_to_wait_too(link, running, cloud, ledger):
    cloud.authorization = "Bearer something"
    running(link)
    await until(lambda: len(ledger.states) >= 2)
    assert "401" in link.reason
    cloud.authorization = None
    await link.wait_online()


async def test_retry_after_is_honoured(archive, ledger, running, cloud):
    link = Link(archive, ledger, SETTINGS)
    cloud.faults["search"].append(Fault(status=503, headers={"Retry-After": "1"}))
    begun = time.monotonic()
    running(link)
    await link.wait_online()
    assert time.monotonic() - begun >= 1.0


async def test_a_nudge_does_not_wait_for_the_pause(archive, ledger, running, cloud):
    link = Link(archive, ledger, SETTINGS, backoff=Backoff(1000.0, 1000.0))
    cloud.faults["search"].append(Fault(status=500))
    running(link)
    await until(lambda: ledger.states)
    link.nudge()
    await asyncio.wait_for(link.wait_online(), 5)


class Remembering(Backoff):
    """Keeps what it was asked, and makes no one wait."""

    def __init__(self, asked):
        super().__init__()
        object.__setattr__(self, "delay", lambda failures: asked.append(failures) or 0.001)


async def test_many_who_meet_the_same_failure_count_as_one(archive, ledger, running):
    asked = []
    link = Link(archive, ledger, SETTINGS, backoff=Remembering(asked))
    running(link)
    await link.wait_online()
    for _ in range(10):
        link.failed(CloudUnreachable("archive cloud: the line is down"))
    await link.wait_online()
    assert asked == [1]


async def test_a_line_that_comes_and_goes_is_knocked_at_ever_more_slowly(archive, ledger, running):
    asked = []
    moment = 1000.0
    link = Link(archive, ledger, SETTINGS, clock=lambda: moment, backoff=Remembering(asked))
    running(link)
    for _ in range(3):
        await link.wait_online()
        link.failed(CloudUnreachable("archive cloud: again"))
    await link.wait_online()
    moment += 1000.0
    link.failed(CloudUnauthorised("archive cloud: after a good while"))
    await link.wait_online()
    assert asked == [1, 2, 3, 1]


async def test_it_is_not_offline_since_a_moment_that_is_still_to_come(archive, ledger):
    moment = 2_000_000_000.0
    link = Link(archive, ledger, SETTINGS, clock=lambda: moment)
    moment = 1000.0
    assert link.down_since == 1000.0
    moment = 1100.0
    assert link.down_since == 1000.0


async def test_a_line_that_comes_back_is_used_soon_however_long_the_pause(
    archive, ledger, running, cloud
):
    await cloud.stop()
    link = Link(archive, ledger, SETTINGS, backoff=Backoff(1000.0, 1000.0), look=0.02)
    running(link)
    await until(lambda: ledger.states)
    await asyncio.sleep(0.1)
    assert cloud.requests == []
    await cloud.start()
    await asyncio.wait_for(link.wait_online(), 5)


def cut_off(link):
    """The error of a connection that broke, as the driver says it."""
    error = CloudUnreachable("archive cloud: the connection broke")
    error.__cause__ = httpx.ReadError("reset")
    link.failed(error)


async def test_a_line_that_breaks_while_things_get_through_is_used_again_at_once(
    archive, ledger, running
):
    link = Link(archive, ledger, SETTINGS, backoff=Backoff(1000.0, 1000.0))
    running(link)
    for _ in range(5):
        await asyncio.wait_for(link.wait_online(), 5)
        link.worked()
        cut_off(link)
    await asyncio.wait_for(link.wait_online(), 5)


async def test_a_line_that_breaks_before_anything_gets_through_is_left_alone(
    archive, ledger, running, cloud
):
    link = Link(archive, ledger, SETTINGS, backoff=Backoff(1000.0, 1000.0), look=0.02)
    running(link)
    for _ in range(2):
        await asyncio.wait_for(link.wait_online(), 5)
        cut_off(link)
    cloud.requests.clear()
    await asyncio.sleep(0.3)
    assert not link.online
    assert cloud.requests == []


async def test_an_archive_that_is_there_and_unwell_is_left_alone(archive, ledger, running, cloud):
    cloud.faults["search"].extend([Fault(status=503)] * 100)
    link = Link(archive, ledger, SETTINGS, backoff=Backoff(1000.0, 1000.0), look=0.02)
    running(link)
    await until(lambda: ledger.states)
    await asyncio.sleep(0.2)
    assert len(cloud.requests) == 1


async def test_what_only_a_person_can_mend_is_told_from_a_line_that_is_down(
    archive, ledger, running, cloud, caplog
):
    cloud.authorization = "Bearer something"
    link = Link(archive, ledger, SETTINGS)
    running(link)
    await until(lambda: ledger.lasting)
    assert "the way to it must be mended: searching studies: answered 401" in caplog.text
    await cloud.stop()
    await until(lambda: not ledger.lasting)
    assert "archive cloud: offline: " in caplog.text


async def test_a_captive_portal_is_named_where_the_state_is_read(
    archive, ledger, running, cloud, caplog
):
    page = Fault(status=200, body=b"<html>", content_type="text/html")
    cloud.faults["search"].extend([page] * 100)
    running(Link(archive, ledger, SETTINGS))
    await until(lambda: ledger.lasting)
    assert "a web page where DICOM is due: a captive portal, it seems" in caplog.text
    assert "have the box let through" in caplog.text


async def test_a_service_that_is_not_where_the_url_says_needs_a_person(
    ledger, changes, running, cloud
):
    async with DicomwebArchive(others.Archive("cloud", f"{cloud.url}/wrong")) as archive:
        running(Link(archive, ledger, SETTINGS))
        await until(lambda: ledger.lasting)
        assert "check the url" in ledger.states[-1][2]


async def test_an_answer_that_is_of_no_use_comes_over_a_good_line(link, running, cloud):
    nonsense = Fault(status=200, body=b"[" * 10, content_type="application/dicom+json")
    cloud.faults["search"].append(nonsense)
    running(link)
    await asyncio.wait_for(link.wait_online(), 5)


async def test_the_log_says_what_changed_and_not_how_often_it_was_tried(
    archive, ledger, running, caplog
):
    caplog.set_level(logging.INFO)
    link = Link(archive, ledger, SETTINGS, backoff=Remembering([]), lasts=0.1)
    running(link)
    for _ in range(10):
        await link.wait_online()
        link.failed(CloudUnreachable("archive cloud: it stores nothing"))
        await until(lambda: not link.online)
    await link.wait_online()
    assert said(caplog) == ["archive cloud: online", "archive cloud: offline: it stores nothing"]
    await until(lambda: len(said(caplog)) > 2)
    assert said(caplog)[2:] == ["archive cloud: online"]


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "edge.sync.link"]


async def test_an_error_that_is_not_about_the_line_ends_the_prober_loudly(archive, link):
    await archive.close()

    async def broken(*_, **__):
        raise ValueError("a mistake of ours")

    archive.search_studies = broken
    with pytest.raises(ValueError, match="a mistake of ours"):
        await link.run()


async def test_who_waited_for_the_line_looks_at_the_hours_again(archive, ledger, running):
    line = Line(config.Sync())
    open_from = [True]
    line.closed = lambda _: None if open_from[0] else Closed("the calendar", None)
    link = Link(archive, ledger, SETTINGS, line=line)
    waiting = asyncio.create_task(link.wait_open("up"))
    await asyncio.sleep(0)
    # While it waits for the line, the hours in which it may be used end.
    open_from[0] = False
    running(link)
    await link.wait_online()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
