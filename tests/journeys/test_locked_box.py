"""A box that is opened and shut, from the switch on the wall to the study that a doctor opens.

Services in processes of their own, as they are started; what is in them is the product as it is.
"""

from __future__ import annotations

import asyncio
import base64
import re

import pytest

from edge.crypto.providers.wrapped import FILE
from tests import samples
from tests.fakes import tang
from tests.fakes.tang import Tang
from tests.journeys.locked import Console, Locked
from tests.journeys.modality import dcmsend

GOOD, OTHER = "seven herons over a wet field", "five otters below an old bridge"


@pytest.fixture
async def box(tmp_path):
    """A box whose provider a test names; its service is ended with the test."""
    made: list[Locked] = []

    def start(**keys: object) -> Locked:
        made.append(Locked(tmp_path, keys))
        return made[-1]

    yield start
    for one in made:
        one.kill()


@pytest.fixture
def console():
    shown = Console()
    yield shown
    shown.close()


async def test_a_stolen_box_stays_shut_without_the_passphrase_and_opens_by_its_page_with_it(
    box, console
):
    it = box(provider="passphrase", grace_hours=0.0)
    it.configure(more=f'[access]\nconsole = "{console.name}"')
    await it.run_up()
    code = console.read(r"chosen on its web page, with this code:\s+(\S+)")
    async with it.page() as page:
        assert (await page.get("/healthz")).status_code == 200
        ready = await page.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "parts": {"keys": "locked"}}
        chosen = await page.post("/unlock", data={"code": code, "passphrase": GOOD, "again": GOOD})
        assert chosen.status_code == 200, chosen.text
    await it.until_said("ready: DICOM")
    await it.store(1)
    assert (await it.stop()).status == 0
    await it.run_up()  # as after a power cut, at the thief's or at home
    files = [*samples.write_series(it.root / "again", 1, rows=16, columns=16, seed=2)]
    assert "Success" not in await dcmsend(it.dimse_port, *files)
    async with it.page() as page:
        assert "locked" in (await page.get("/readyz")).json()["parts"]["keys"]
        assert (await page.get("/dicom-web/studies")).status_code == 503
        status = await it.run("status")
        assert status.status == 1
        assert "edge: the box is locked: it waits for its passphrase" in status.err
        statuses = []
        while 429 not in statuses and len(statuses) < 12:  # a slow machine waits by itself at first
            guess = {"passphrase": f"{GOOD} {len(statuses)}"}
            statuses.append((await page.post("/unlock", data=guess)).status_code)
        assert statuses[:3] == [403, 403, 403]
        assert statuses[-1] == 429
        assert "The passphrase is wrong" not in (await page.get("/")).text
    assert await it.unlock(GOOD) == (0, "edge: the box is open\n")
    await it.until_said("ready: DICOM")
    assert len(await it.studies()) == 1
    said = it.log.read_text()
    assert "herons" not in said
    assert code not in said
    assert b"herons" not in it.shown_to_others()


async def test_a_box_that_is_locked_on_purpose_forgets_its_keys_and_needs_the_passphrase_again(box):
    it = box(provider="passphrase")
    await it.run_up()
    status, said = await it.unlock("password")
    assert (status, "the passphrase has 8 characters: too few" in said) == (1, True)
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    await it.store(1)
    before = it.process.pid
    assert (await it.run("key", "lock")).status == 0
    await it.until_said("locked: DICOM")
    assert it.process.pid == before  # systemd sees one service all the time
    assert (await it.run("status")).status == 1
    assert (await it.unlock(GOOD + "!")) == (
        1,
        "edge: the passphrase is wrong\n      nothing was changed\n",
    )
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    assert len(await it.studies()) == 1


async def test_lock_down_of_a_box_with_a_key_file_survives_a_restart_until_the_recovery_key(box):
    it = box(provider="file")
    await it.run_up()
    await it.store(1)
    refused = await it.run("key", "lock")
    assert refused.status == 1
    assert "no recovery key" in refused.err
    assert len(await it.studies()) == 1
    key = await it.recovery_key()
    root = (it.data / "root.key").read_bytes()
    assert (await it.run("key", "lock")).status == 0
    await it.until_said("locked: DICOM")
    assert (await it.stop()).status == 0
    (it.data / "root.key").write_bytes(root)  # a copy that somebody kept
    (it.data / "root.key").chmod(0o600)
    await it.run_up()
    assert not (it.data / "root.key").exists()
    async with it.page() as page:
        assert "its recovery key, on the machine" in (await page.get("/")).text
    assert (await it.unlock(""))[0] == 1
    status, said = await it.unlock(key, "--recovery")
    assert (status, said) == (0, "edge: the box is open\n")
    await it.until_said("ready: DICOM")
    assert (it.data / "root.key").read_bytes() == root
    assert len(await it.studies()) == 1


async def test_nothing_that_was_acknowledged_is_lost_when_a_box_is_locked_during_intake(box):
    it = box(provider="passphrase")
    await it.run_up()
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    sending = asyncio.create_task(_sent_until_refused(it))
    while not await _images(it):
        pass
    assert (await it.run("key", "lock")).status == 0
    acknowledged = await sending
    await it.until_said("locked: DICOM")
    assert acknowledged > 0
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    assert await _images(it) >= acknowledged
    await it.store(4)


async def _sent_until_refused(it):
    """How many images were acknowledged of a modality that goes on until the box lets go."""
    acknowledged = 0
    for seed in range(100):
        paths = samples.write_series(it.root / f"ct{seed}", 100, rows=64, columns=64, seed=seed)
        count = (await dcmsend(it.dimse_port, *paths)).get("Success", 0)
        acknowledged += count
        if count < len(paths):
            return acknowledged
    raise AssertionError("the box took everything")


async def _images(it):
    counted = await it.run("status")
    return int(re.search(r"instances\s+(\d+)", counted.out)[1])


async def test_a_box_with_systemds_credential_starts_with_it_alone(box, monkeypatch):
    it = box(provider="systemd-creds")
    folder = it.root / "credentials"
    folder.mkdir()
    (folder / "edge.root-key").write_bytes(base64.b64encode(bytes(range(32))))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    await it.run_up()
    await it.store(1)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert len(await it.studies()) == 1  # a command is no unit, and asks the service
    assert (await it.stop()).status == 0
    ran = await it.run("serve")
    assert ran.status == 1
    assert "CREDENTIALS_DIRECTORY is not set" in ran.err
    assert (it.data / FILE).exists()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    await it.run_up()
    assert len(await it.studies()) == 1


@pytest.fixture
def server(tmp_path):
    if why := tang.missing():
        pytest.skip(why)
    with Tang(tmp_path / "tang") as server:
        yield server


async def test_a_stolen_box_stays_shut_outside_of_its_network_and_opens_by_itself_in_it(
    box, server
):
    named = f"""
        [[keys.server]]
        url = "{server.url}"
        thumbprint = "{server.thumbprint}"
        """
    it = box(provider="network", grace_hours=0.0)
    it.configure(more=named)
    server.stop()
    await it.run_up()  # a new box whose server is not there yet
    assert "no server that keeps its key answers" in it.log.read_text()
    server.start()
    await it.until_said("ready: DICOM")
    await it.store(1)
    server.stop()
    assert len(await it.studies()) == 1  # it goes on without the server
    assert (await it.stop()).status == 0
    await it.run_up()
    async with it.page() as page:
        assert "opens by itself" in (await page.get("/")).text
        assert (await page.get("/readyz")).status_code == 503
    assert (await it.unlock(""))[0] == 1
    server.start()
    await it.until_said("ready: DICOM")
    assert len(await it.studies()) == 1
    assert (await it.run("key", "lock")).status == 0
    await it.until_said("locked: DICOM")
    assert (await it.stop()).status == 0
    await it.run_up()
    async with it.page() as page:
        assert "by its administrator" in (await page.get("/")).text
    assert (await it.unlock("")) == (0, "edge: the box is open\n")
    await it.until_said("ready: DICOM")
    assert len(await it.studies()) == 1


async def test_an_admin_far_away_locks_the_box_and_is_named_in_its_record(box):
    it = box(provider="passphrase")
    await it.run_up()
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    made = await it.run("token", "create", "--role", "admin", "--name", "Ada far away")
    headers = {"Authorization": f"Bearer {made.out.strip()}"}
    async with it.page() as page:
        answer = await page.post("/api/v1/keys/lock", json={"confirmed": True}, headers=headers)
        assert answer.json() == {"locked": True, "not_destroyed": ""}
    await it.until_said("locked: DICOM")
    assert "Ada far away over the network locked it" in it.log.read_text()
    assert (await it.unlock(GOOD))[0] == 0
    await it.until_said("ready: DICOM")
    found = await it.run("audit", "search", "--event", "key", "--json")
    assert "the box was locked" in found.out, found


async def test_the_root_secret_moves_from_a_file_to_a_passphrase_and_then_to_another(box):
    it = box(provider="file")
    await it.run_up()
    await it.store(1)
    key = await it.recovery_key()
    root = (it.data / "root.key").read_bytes()
    it.keys = {"provider": "passphrase", "grace_hours": 0.0}
    it.configure()
    typed = it.root / "typed"
    typed.write_text("password")
    weak = await it.run("key", "change", "--file", str(typed))
    assert (weak.status, "too few" in weak.err) == (1, True)
    assert (it.data / "root.key").read_bytes() == root
    for passphrase in (GOOD, OTHER):
        typed.write_text(passphrase)
        changed = await it.run("key", "change", "--file", str(typed))
        assert changed.status == 0, changed.err
        assert 'kept by "passphrase"' in changed.err
        assert not (it.data / "root.key").exists()
        assert len(await it.studies()) == 1
        assert (await it.stop()).status == 0
        await it.run_up()
        assert (await it.unlock(passphrase + "!"))[0] == 1
        assert (await it.unlock(passphrase))[0] == 0
        await it.until_said("ready: DICOM")
        assert len(await it.studies()) == 1
    assert (await it.run("key", "lock")).status == 0
    await it.until_said("locked: DICOM")
    assert (await it.run("key", "change", "--file", str(typed))).status == 1
    assert (await it.unlock(GOOD))[0] == 1
    (it.root / "new").write_text(GOOD)
    (it.root / "paper").write_text(key)
    named = ("--recovery", "--key-file", str(it.root / "paper"), "--file", str(it.root / "new"))
    assert (await it.run("key", "unlock", *named)).status == 0
    await it.until_said("ready: DICOM")
    assert len(await it.studies()) == 1
    assert GOOD not in it.log.read_text()
