"""The page of sync: what stands in it before any script, and for whom."""

from __future__ import annotations

import httpx
import pytest

from edge.access.roles import Role
from edge.config import Sync
from edge.pages.resources import resources
from edge.pages.sync_limits import week_of
from tests.browser.scene import clinic

pytestmark = pytest.mark.asyncio(loop_scope="module")


def week(language="en", **settings):
    return week_of(Sync(**settings), resources().words[language])


async def test_who_may_not_delete_gets_no_mark_that_offers_it(browse, cookies):
    text = (await browse("/sync", cookies[Role.ADMIN])).text
    assert "data-deletes" in text
    for role in (Role.TECHNOLOGIST, Role.PHYSICIAN):
        assert "data-deletes" not in (await browse("/sync", cookies[role])).text


async def test_one_part_is_shown_and_each_has_its_tab(browse, cookies):
    text = (await browse("/sync", cookies[Role.ADMIN])).text
    assert text.count('role="tab"') == text.count('role="tabpanel"') == 8
    assert text.count('aria-selected="true"') == 1
    assert 'id="tab-queue" aria-controls="part-queue"\n    aria-selected="true"' in text


async def test_each_archive_can_be_tested(tmp_path, browse, cookies):
    assert "data-archive" not in (await browse("/sync", cookies[Role.ADMIN])).text
    sync = Sync(calendar=("mon-fri 08:00-18:00 2000 kbps", "12:00-13:00 off"))
    async with clinic(tmp_path, cloud="down", sync=sync) as made:
        cookie = await made.cookie("keeper", Role.ADMIN)
        async with httpx.AsyncClient(base_url=made.base, trust_env=False, timeout=60) as client:
            answer = await client.get(
                "/sync",
                headers={
                    "Sec-Fetch-Mode": "navigate",
                    "Cookie": f"{cookie['name']}={cookie['value']}",
                },
            )
    assert answer.text.count('data-archive="cloud"') == 1
    assert answer.text.count('<table class="week">') == 2
    assert "12:00\u201313:00 nothing goes" in answer.text


async def test_without_limits_there_is_no_week():
    assert week() == []


async def test_a_week_has_both_directions_and_every_day_is_whole():
    up, down = week(
        calendar=("mon-fri 08:00-18:00 2000 kbps", "22:00-06:00 up off"), max_download_kbps=800
    )
    for way in (up, down):
        assert len(way.days) == 7
        for day in way.days:
            assert day.stretches[0].begin == 0
            assert sum(one.minutes for one in day.stretches) == 24 * 60
    monday, *_, sunday = up.days
    assert [(one.begin, one.kind) for one in monday.stretches] == [
        (0, "off"),
        (360, "free"),
        (480, "limited"),
        (1080, "free"),
        (1320, "off"),
    ]
    assert [one.kind for one in sunday.stretches] == ["off", "free", "off"]
    assert [one.kind for one in down.days[6].stretches] == ["limited"]


async def test_limits_are_said_in_the_language_of_who_looks():
    (up, _) = week("fr", calendar=("off",))
    assert up.days[0].name == "Lundi"
    assert up.days[0].stretches[0].text == "00:00\u201324:00 rien ne passe"
    (up, _) = week(max_upload_kbps=8000)
    assert up.days[0].stretches[0].text == "00:00\u201324:00 1\u00a0MB a second"
