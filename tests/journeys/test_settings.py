"""Settings change while a box works: no association is cut, what can't be is taken back."""

from __future__ import annotations

import asyncio
import socket
import time

import httpx
import pytest
import pytest_asyncio
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from tests.journeys.service import PATIENCE, Installation
from tests.samples import ct_series

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory):
    """A box whose DICOM address is its own to say; one for all."""
    made = Installation.as_new(tmp_path_factory.mktemp("settings"))
    await made.start()
    try:
        yield made
    finally:
        made.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(box):
    """An admin's client of the API."""
    made = await box.run("token", "create", "--role", "admin", "--name", "setup")
    headers = {"Authorization": f"Bearer {made.out.strip().split()[-1]}"}
    base = f"http://127.0.0.1:{box.http_port}/api/v1"
    async with httpx.AsyncClient(
        base_url=base, headers=headers, trust_env=False, timeout=60
    ) as client:
        yield client


async def changed(api, changes):
    """Change settings; what they were, and what the box says."""
    before = (await api.get("/settings")).json()
    answer = await api.post("/settings", json={"changes": changes})
    assert answer.status_code == 200, answer.text
    return before["since"]


async def in_force(box, api, since):
    """Wait until the service has begun anew, and holds; what the settings are then."""
    former = box.data / "settings.toml.former"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            now = (await api.get("/settings")).json()
        except httpx.HTTPError:
            now = {"since": since}
        if now["since"] != since and not former.exists():
            return {one["key"]: one for one in now["settings"]}, now["setback"]
        await asyncio.sleep(0.1)
    raise AssertionError("the settings did not come into force")


def associate(port, called):
    ae = AE("MODALITY")
    ae.add_requested_context(Verification)
    return ae.associate("127.0.0.1", port, ae_title=called)


async def test_settings_come_into_force_and_no_association_is_cut_for_it(box, api):
    await (await api.post("/peers", json={"ae_title": "MODALITY", "host": ""})).aread()
    association = await asyncio.to_thread(associate, box.dimse_port, "EDGE")
    assert association.is_established
    since = await changed(api, {"dimse.ae_title": "OTHER", "sync.sweep_minutes": 5})
    await asyncio.sleep(1.5)
    # The association goes on, with all that there was before.
    assert (await api.get("/settings")).json()["since"] == since
    status = await asyncio.to_thread(association.send_c_echo)
    assert status.Status == 0
    await asyncio.to_thread(association.release)
    settings, setback = await in_force(box, api, since)
    assert setback == ""
    assert settings["dimse.ae_title"]["value"] == "OTHER"
    assert settings["dimse.ae_title"]["source"] == "box"
    again = await asyncio.to_thread(associate, box.dimse_port, "OTHER")
    assert again.is_established
    await asyncio.to_thread(again.release)
    assert not (box.data / "settings.toml.former").exists()


async def test_an_upload_that_takes_long_is_not_cut_for_it(box, api):
    (sample,) = ct_series(1, rows=64, columns=64)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body():
        yield b"--x\r\nContent-Type: application/dicom\r\n\r\n" + sample.data[:1000]
        begun.set()
        await go_on.wait()
        yield sample.data[1000:] + b"\r\n--x--\r\n"

    kind = 'multipart/related; type="application/dicom"; boundary=x'
    url = f"http://127.0.0.1:{box.http_port}/dicom-web/studies"
    upload = asyncio.create_task(api.post(url, content=body(), headers={"Content-Type": kind}))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    since = await changed(api, {"sync.feed_seconds": 25})
    await asyncio.sleep(1.5)
    assert (await api.get("/settings")).json()["since"] == since
    go_on.set()
    answer = await upload
    assert answer.status_code == 200, answer.text
    await in_force(box, api, since)


async def test_settings_with_which_the_box_does_not_start_are_taken_back(box, api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        since = await changed(api, {"dimse.listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        settings, setback = await in_force(box, api, since)
    assert "can't be listened on" in setback
    assert settings["dimse.listen"]["value"] == f"127.0.0.1:{box.dimse_port}"
    # Neither does the next start know of them.
    await box.stop()
    await box.start()
    assert (await api.get("/settings")).json()["setback"] == ""


async def test_settings_that_can_not_be_loaded_at_a_start_are_taken_back(box, api):
    """Somebody wrote into the file, or a file that it names is gone."""
    await box.stop()
    own, former = box.data / "settings.toml", box.data / "settings.toml.former"
    sound = await asyncio.to_thread(own.read_text)
    await asyncio.to_thread(former.write_text, sound)
    await asyncio.to_thread(own.write_text, sound + '[cache]\npin = ["all"]\n')
    await box.start()
    assert "cache.pin.0" in (await api.get("/settings")).json()["setback"]
    assert await asyncio.to_thread(own.read_text) == sound
    assert not former.exists()
    shown = await box.run("audit", "search", "--json")
    assert "settings taken back" in shown.out
    await box.stop()
    await box.start()
    assert (await api.get("/settings")).json()["setback"] == ""


async def test_a_command_changes_the_service_that_runs(box, api):
    since = (await api.get("/settings")).json()["since"]
    done = await box.run("config", "set", "sync.sweep_minutes", "6")
    assert (done.status, done.err) == (0, "")
    assert "in a moment" in done.out
    settings, _ = await in_force(box, api, since)
    assert settings["sync.sweep_minutes"]["value"] == 6


async def test_the_record_has_what_was_and_what_is(box, api):
    since = await changed(api, {"sync.feed_seconds": 20})
    await in_force(box, api, since)
    shown = await box.run("audit", "search", "--json")
    assert '"sync.feed_seconds after"' in shown.out
    assert '"30.0"' in shown.out


async def test_what_is_not_the_fault_of_new_settings_takes_none_back(box, api):
    await box.stop()
    for minutes in ("7", "8"):
        await box.run("config", "set", "sync.sweep_minutes", minutes)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", box.http_port))
        taken.listen()
        for _ in range(2):
            done = await box.run("serve")
            assert done.status == 2
            assert "can't be listened on" in done.err
    await box.start()
    answer = (await api.get("/settings")).json()
    assert answer["setback"] == ""
    [minutes] = [one for one in answer["settings"] if one["key"] == "sync.sweep_minutes"]
    assert minutes["value"] == 8
    assert not (box.data / "settings.toml.former").exists()


@pytest.mark.parametrize("damage", ["not text", "unknown", "a folder for the former"])
async def test_a_damaged_file_of_settings_keeps_no_images_out(box, api, damage):
    await box.stop()
    own, machine = box.data / "settings.toml", box.configuration
    sound, usual = [await asyncio.to_thread(one.read_text) for one in (own, machine)]
    if damage == "a folder for the former":
        await asyncio.to_thread((box.data / "settings.toml.former").mkdir)
    # Where devices call is said there, or it would be as by default: another port than a free one.
    listen = f'[dimse]\nlisten = "127.0.0.1:{box.dimse_port}"\n'
    await asyncio.to_thread(machine.write_text, usual + "\n" + listen)
    more = b"[of_a_later_version]\nnew = 1\n" if damage == "unknown" else b"\xff\xfe"
    await asyncio.to_thread(own.write_bytes, sound.encode() + more)
    await box.start()
    status = (await api.get("/status")).json()
    assert "settings.toml" in status["found"]["settings"]
    assert status["sentence"].startswith("Settings.toml: ")
    title = (await api.get("/settings")).json()["settings"]
    [title] = [one["value"] for one in title if one["key"] == "dimse.ae_title"]
    assert (title == "OTHER") is (damage == "unknown")
    association = await asyncio.to_thread(associate, box.dimse_port, title)
    assert association.is_established
    await asyncio.to_thread(association.release)
    # Once somebody saves settings, nothing is left of it.
    since = await changed(api, {"page.language": "fr"})
    await in_force(box, api, since)
    assert (await api.get("/status")).json()["found"] == {}
    await box.stop()
    await asyncio.to_thread(own.write_text, sound)
    await asyncio.to_thread(machine.write_text, usual)
    await box.start()
