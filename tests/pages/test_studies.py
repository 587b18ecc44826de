"""What the pages of studies offer to whom."""

from __future__ import annotations

import pytest

from edge.access.acts import Act
from edge.access.roles import Role
from edge.dimse import carrying, sending
from edge.dimse.doctor_statuses import why_it_refused
from edge.pages.resources import FOLDER
from tests import samples

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("role", list(Role))
async def test_nobody_is_shown_what_they_may_not_do(browse, cookies, role):
    text = (await browse(f"/studies/{samples.sample_uid('page', 0)}", cookies[role])).text
    for control, act in (("pin", Act.DECIDE), ("first", Act.DECIDE), ("erase", Act.DELETE)):
        assert (f'id="{control}"' in text) == role.may(act), control


async def test_a_page_of_a_study_does_not_say_which(browse, cookies):
    uid = samples.sample_uid("page", 0)
    assert uid not in (await browse(f"/studies/{uid}", cookies[Role.VIEWER])).text


async def test_what_is_looked_for_is_not_in_the_page(browse, cookies):
    text = (await browse("/studies?q=Okafor&custody=only-here", cookies[Role.VIEWER])).text
    assert "Okafor" not in text


async def test_why_a_device_did_not_take_images_is_said_in_the_language_of_who_reads():
    """Every sentence that is ours: what others said stands as they said it."""
    text = (FOLDER / "files" / "js" / "study-reasons.js").read_text(encoding="utf-8")
    ours = {why for _, why in sending._REASONS}
    ours |= {*carrying._ENDED.values(), *carrying._REJECTED.values()}
    ours |= {why_it_refused(status) for status in range(0x0100, 0xD000)}
    ours -= {why_it_refused(0xB000)}  # with a warning, it was taken
    assert [one for one in sorted(ours) if f'_("{one}")' not in text] == []
