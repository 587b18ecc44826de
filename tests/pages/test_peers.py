"""The page of devices: what to enter on one, and how the box takes those that it does not know."""

from __future__ import annotations

import httpx
import pytest

from edge import config
from edge.access.roles import Role
from edge.others import Right
from edge.pages.peers import _RIGHTS
from tests.browser.scene import clinic

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = {
    "learn": "The box is learning",
    "reject": "The box is not learning",
    "accept": "That is for lab",
}


async def test_it_says_what_has_to_be_entered_on_a_device_and_whom_the_box_takes(browse, cookies):
    text = (await browse("/peers", cookies[Role.ADMIN])).text
    assert "its AE title EDGE" in text
    assert [words in text for words in SAID.values()] == [False, False, True]


@pytest.mark.parametrize(
    ("listen", "is_said"), [("127.0.0.1:0", True), ("[::1]:0", True), ("0.0.0.0:0", False)]
)
async def test_it_says_the_address_at_which_the_box_listens_and_warns_where_none_reaches_it(
    listen, is_said, tmp_path
):
    dimse = config.Dimse(listen=listen, unknown_peers="learn")
    async with clinic(tmp_path, cloud="none", dimse=dimse) as made:
        cookie = await made.cookie("keeper", Role.ADMIN)
        async with httpx.AsyncClient(base_url=made.base, trust_env=False, timeout=60) as client:
            text = (await client.get("/peers", headers=_going(cookie))).text
    host = listen.rpartition(":")[0].strip("[]")
    assert (f"the address of this box, {host}, " in text) == is_said
    assert ("no device on the network reaches it" in text) == is_said
    assert "0.0.0.0" not in text


def _going(cookie):
    return {"Sec-Fetch-Mode": "navigate", "Cookie": f"{cookie['name']}={cookie['value']}"}


async def test_it_says_that_the_box_is_not_learning(tmp_path):
    dimse = config.Dimse(listen="127.0.0.1:0", unknown_peers="reject")
    async with clinic(tmp_path, cloud="none", dimse=dimse) as made:
        cookie = await made.cookie("keeper", Role.ADMIN)
        async with httpx.AsyncClient(base_url=made.base, trust_env=False, timeout=60) as client:
            text = (await client.get("/peers", headers=_going(cookie))).text
    assert [words in text for words in SAID.values()] == [False, True, False]


async def test_every_right_has_its_words():
    assert set(_RIGHTS) == set(Right.__args__)
