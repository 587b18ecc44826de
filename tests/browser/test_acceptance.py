"""The acceptance protocol in a real browser: one sheet, with what proves which box it is."""

from __future__ import annotations

import asyncio
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from playwright.async_api import expect

from edge import config
from edge.access.roles import Role
from edge.access.sessions import Proved
from edge.app import Appliance
from edge.machine.places import Places
from edge.others import Archive, Peer
from edge.pages import acceptance
from tests.browser.conftest import OWN_NAME
from tests.browser.screen import logged_in


@pytest.fixture
async def box(request, tmp_path):
    """One with three devices and an archive, which has its own certificate."""
    devices = tuple(Peer(f"CT{number}", f"192.0.2.{number}") for number in (1, 2))
    devices += (Peer("CT3", "192.0.2.3", 11113),)
    archive = Archive("hospital", "http://127.0.0.1:9/dicom-web")
    loaded = config.Config(
        appliance=config.Appliance(
            name="brigid", data_dir=tmp_path / "box", lab=getattr(request, "param", False)
        ),
        dimse=config.Dimse(listen="127.0.0.1:0", peer=devices),
        http=config.Http(listen="127.0.0.1:0", names=(OWN_NAME,)),
        cloud=config.Cloud((archive,)),
    )
    async with Appliance(loaded) as started:
        yield started


async def opened(box, visit):
    """It, in French, by an administrator."""
    base = f"https://{OWN_NAME}:{box.http_port}"
    context = await visit(locale="fr")
    await logged_in(box, context, base, Role.ADMIN, Proved.PASSKEY)
    page = await context.new_page()
    await page.goto(f"{base}/acceptance")
    await expect(page.locator("#devices tr")).to_have_count(3)
    return page


async def is_one_sheet(page):
    for paper in ("A4", "Letter"):
        sheets = re.findall(rb"/Type\s*/Page\b", await page.pdf(format=paper))
        assert len(sheets) == 1, paper


@pytest.mark.parametrize("box", [True], indirect=True, ids=["lab"])
async def test_a_laboratory_is_called_so_on_paper_too_and_it_stays_one_sheet(
    box, visit, monkeypatch, tmp_path
):
    """Also with all that a machine of the disk image has to say."""
    told = acceptance.disk_key_of
    await asyncio.to_thread((tmp_path / "key").write_text, "recovery")
    monkeypatch.setattr(acceptance, "disk_key_of", lambda _: told(Places(own_disk=tmp_path)))
    monkeypatch.setattr(acceptance, "groups_of", lambda _: ["ABCDEFGH"] * 9)
    page = await opened(box, visit)
    await page.emulate_media(media="print")
    await expect(page.locator("body")).to_contain_text(
        "Ceci est un laboratoire", use_inner_text=True
    )
    await expect(page.locator(".banner:visible")).to_have_count(1)
    await expect(page.locator("#facts")).to_contain_text("Clé de secours du disque")
    await is_one_sheet(page)


async def test_it_is_one_sheet_and_names_the_authority_and_the_dicom_address(box, visit):
    page = await opened(box, visit)
    pem = await page.evaluate("fetch('/ca.crt').then((answer) => answer.text())")
    authority = x509.load_pem_x509_certificate(pem.encode())
    facts = page.locator("#facts")
    await expect(facts).to_contain_text(authority.fingerprint(hashes.SHA256()).hex(":").upper())
    await expect(facts).to_contain_text("sont refusés")
    # It listens there alone, whatever addresses the machine has.
    await expect(facts).to_contain_text(re.compile(r"EDGE\b.*127\.0\.0\.1"))
    # Nobody entered a port for the first; that of the last is told.
    cells = page.locator("#devices td:nth-child(2)")
    await expect(cells).to_have_text(["192.0.2.1", "192.0.2.2", "192.0.2.3:11113"])
    await is_one_sheet(page)
