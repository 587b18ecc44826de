"""A stick sets up a box that runs: what the stick says afterwards is what the box shows."""

from __future__ import annotations

import asyncio
import hashlib
import ssl

from edge.cache.own_settings import Written, written_in
from edge.machine.places import Places
from edge.provision.journal import Journal, is_open
from tests.journeys.service import PATIENCE, Installation

TOKEN = "7K2M-Q0XE-41TR-ZB9D"


def shown_to(name, port, ca):
    """SHA-256 of the authority that vouches for the box to who calls it by that name."""
    trusting = ssl.create_default_context(cadata=ca)

    async def call():
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname=name
        )
        writer.close()

    asyncio.run(call())
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca)).digest().hex(":").upper()


async def test_the_fingerprint_on_the_stick_is_that_of_the_page_that_it_names(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    text = f'[setup]\ntoken = "{TOKEN}"\n[appliance]\nname = "st-brigid"\n'
    (folder / "edge.toml").write_text(text)
    box = Installation.as_new(tmp_path / "box", tls="auto")
    await box.start()
    tls = box.data / "tls"
    try:
        before = (tls / "ca.crt").read_text()
        done = await box.run("provision", "stick", str(folder.parent))
        assert done.status == 0, done.err
        answer = (folder / "result.txt").read_text()
        authority = (tls / "ca.crt").read_text()
        assert authority != before
        # By an address, too: nobody is in the box yet who goes on under its former name.
        for name in ("st-brigid.local", "127.0.0.1"):
            shown = await asyncio.to_thread(shown_to, name, box.http_port, authority)
            assert f"Trust      SHA-256 {shown}\n" in answer
        assert "Name       st-brigid\n" in answer
        assert not list(tls.glob("former-*"))
    finally:
        box.kill()


async def settled(box):
    """Whether a stick's file holds is known."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(is_open, box.data):  # noqa: ASYNC110 - a file says so
            await asyncio.sleep(0.05)


async def test_settings_with_which_the_service_does_not_start_leave_the_box_new(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    box = Installation.as_new(tmp_path / "box")
    await box.start()
    good = f'[setup]\ntoken = "{TOKEN}"\n[appliance]\nname = "st-brigid"\n'
    try:
        taken = f'[dimse]\nlisten = "127.0.0.1:{box.http_port}"\n'
        (folder / "edge.toml").write_text(good + taken)
        done = await box.run("provision", "stick", str(folder.parent))
        answer = (folder / "result.txt").read_text()
        assert done.status == 2, answer
        why = "Nothing was changed: the box does not start with these settings: "
        assert why in answer
        assert f"127.0.0.1:{box.http_port} can't be listened on" in answer
        assert TOKEN in (folder / "edge.toml").read_text()
        assert "by no file" in (await box.run("provision", "show")).out
        (folder / "edge.toml").write_text(good)
        done = await box.run("provision", "stick", str(folder.parent))
        assert done.status == 0, done.err
        assert "Name       st-brigid\n" in (folder / "result.txt").read_text()
        assert TOKEN not in (folder / "edge.toml").read_text()
        await settled(box)
    finally:
        box.kill()


async def test_the_next_start_undoes_a_stick_that_was_cut_short(tmp_path):
    box = Installation.as_new(tmp_path / "box")
    await box.start()
    code = await box.first_code()
    box.kill()
    before = await asyncio.to_thread(written_in, box.data)
    journal = Journal(box.data, None, None, Places())
    archive = '[[cloud.archive]]\nname = "a"\nurl = "https://archive.example/dicom-web"\n'
    after = Written(f"{before.text}{archive}", is_proven=False)
    await asyncio.to_thread(journal.about_to_set, before, after)
    await journal.about_to(token=True)
    (box.data / "settings.toml").write_text(after.text)
    (box.data / "settings.toml.former").write_text(before.text)
    await box.start()
    try:
        await settled(box)
        assert await asyncio.to_thread(written_in, box.data) == before
        assert await box.first_code() != code
    finally:
        box.kill()
