"""Which steps of the set-up are done, as its page shows them in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from edge import config, serving
from edge.access.roles import Role
from edge.access.sessions import Proved
from edge.admin import network
from edge.app import Appliance
from edge.cache.network import Look
from tests.browser.conftest import OWN_NAME
from tests.browser.screen import logged_in


@pytest.mark.parametrize(
    ("is_set", "is_fine"),
    [(True, False), (False, True), (False, False)],
    ids=["by a stick", "by DHCP", "none"],
)
async def test_the_network_is_done_once_the_box_was_given_one(
    tmp_path, visit, monkeypatch, is_set, is_fine
):
    looks = [Look("address", True, "192.0.2.7"), Look("names", is_fine, "127.0.0.1")]
    monkeypatch.setattr(network, "look", lambda: looks)
    monkeypatch.setattr(serving, "is_network_set", lambda _: is_set)
    loaded = config.Config(
        appliance=config.Appliance(name="brigid", data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", names=(OWN_NAME,)),
    )
    async with Appliance(loaded) as box:
        base = f"https://{OWN_NAME}:{box.http_port}"
        context = await visit(locale="en")
        await logged_in(box, context, base, Role.ADMIN, Proved.PASSKEY)
        page = await context.new_page()
        step = page.locator("#steps [data-step=network]")
        # Whoever comes to another step sees the same as who comes to this one.
        for name in ("clinic", "network"):
            await page.goto(f"{base}/setup#{name}")
            await expect(page.locator(f"#stage-{name}")).to_be_visible()
            await expect(page.locator("#looks > li")).to_have_count(2 * (name == "network"))
            await expect(step).to_have_attribute("data-done", "yes" if is_set or is_fine else "no")
        # Of one that somebody saw nobody is asked again.
        await page.locator("#stage-network [data-next]").click()
        await expect(step).to_have_attribute("data-done", "yes")
