"""The pages that set the box up, and change how it works."""

from __future__ import annotations

import re

import pytest

from edge.access.roles import Role
from edge.changing import all_settings
from edge.pages.resources import FOLDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = FOLDER / "files" / "js"


async def test_every_setting_of_the_page_exists_and_may_be_changed_there():
    said = re.findall(r'^    \["([a-z_.]+)"', (SCRIPTS / "settings.js").read_text(), re.MULTILINE)
    assert len(said) > 20
    for key in [*said, "cloud.archive"]:
        assert all_settings()[key].is_remote, key


async def test_settings_that_the_wizard_makes_may_be_made_there():
    script = (SCRIPTS / "setup.js").read_text()
    said = set(re.findall(r'"((?:appliance|page|dimse|cloud)\.[a-z_]+)"', script))
    assert said
    for key in said - {"dimse.ae_title", "dimse.listen"}:
        assert all_settings()[key].is_remote, key


async def test_who_is_nobody_yet_is_asked_for_the_code_and_told_nothing_else(browse):
    text = (await browse("/setup")).text
    assert 'id="code-form"' in text
    assert "stage-cloud" not in text
    assert "<nav" not in text


async def test_where_one_logs_in_leads_to_it_only_while_there_is_nobody(browse, cookies):
    assert cookies
    assert "/setup" not in (await browse("/welcome")).text


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_who_does_not_look_after_the_box_does_not_set_it_up(browse, cookies, role):
    text = (await browse("/setup", cookies[role])).text
    assert "/welcome?to=/setup" in text
    assert "stage-cloud" not in text
    assert "code-form" not in text


async def test_an_admin_goes_through_the_steps(browse, cookies):
    text = (await browse("/setup", cookies[Role.ADMIN])).text
    steps = re.findall(r'data-step="(\w+)"', text)
    assert steps == ["clinic", "network", "cloud", "recovery", "device", "image"]
    for step in steps:
        assert f'id="stage-{step}"' in text
    assert "code-form" not in text
