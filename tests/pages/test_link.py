"""The page where somebody comes by a link: it says nothing but whose box this is."""

from __future__ import annotations

import pytest

from edge.access.roles import Role
from tests import samples

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_is_for_everybody_and_names_no_study(browse):
    page = await browse("/link")
    assert page.status_code == 200
    assert "Images for you" in page.text
    assert "You are logged in here" not in page.text
    assert samples.sample_uid("page", 0) not in page.text


async def test_who_is_logged_in_is_told_that_they_will_not_be(browse, cookies):
    assert "You are logged in here" in (await browse("/link", cookies[Role.VIEWER])).text


async def test_who_is_led_away_from_images_is_told_to_open_the_link_again(browse):
    assert "open that link again" in (await browse("/welcome?to=%2Fviewer%2Fopen")).text
    assert "open that link again" not in (await browse("/welcome?to=%2Fstudies")).text
