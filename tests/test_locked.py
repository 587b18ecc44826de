"""The locked box, in this process: what it answers and what opens it."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest

from edge import config, locked
from edge.__main__ import main
from edge.admin.local import parts_of_service
from edge.admin.local_keys import LockAsked, Opening, lock_service, open_service, state_of_service
from edge.errors import ConfigError, KeyLocked, KeyUnavailable, Needs
from tests.journeys.box import settings

GOOD = "seven herons over a wet field"


@pytest.fixture
def closed(tmp_path):
    return settings(tmp_path, keys={"provider": "passphrase", "grace_hours": 0.0})


@asynccontextmanager
async def waiting_for(configuration, **options):
    """The start of a box, as long as it waits."""
    task = asyncio.create_task(locked.root_secret(configuration, **options))
    folder = configuration.appliance.data_dir
    async with asyncio.timeout(60):
        while not task.done() and not await asyncio.to_thread(state_of_service, folder):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_box_that_opens_by_itself_does_not_wait(tmp_path):
    root = await locked.root_secret(settings(tmp_path))
    assert root == await locked.root_secret(settings(tmp_path))
    assert not (await asyncio.to_thread((tmp_path / "service.sock").exists))


async def test_a_code_counts_only_if_somebody_saw_it(closed, tmp_path):
    shown = []

    async def show(code):
        shown.append(code)
        return False

    async with waiting_for(closed, show=show):
        assert len(shown) == 1


async def test_it_waits_until_it_is_opened_and_tells_what_for(closed, tmp_path):
    told = []
    async with waiting_for(closed, tell=told.append) as start:
        assert (await asyncio.to_thread(state_of_service, tmp_path)).needs is Needs.NEW_PASSPHRASE
        parts = await parts_of_service(tmp_path)
        assert parts == {"keys": "locked: nobody has chosen its passphrase yet"}
        assert await asyncio.to_thread(open_service, tmp_path, Opening(passphrase=GOOD))
        root = await start
    assert told == ["locked: nobody has chosen its passphrase yet"]
    async with waiting_for(closed) as start:
        with pytest.raises(KeyLocked):
            await asyncio.to_thread(open_service, tmp_path, Opening())
        assert not start.done()
        assert await asyncio.to_thread(open_service, tmp_path, Opening(passphrase=GOOD))
        assert await start == root


async def test_what_it_can_not_do_and_its_certificate_are_told_to_commands(tmp_path, capsys):
    keys = {"provider": "passphrase"}
    closed = settings(tmp_path, keys=keys, http={"tls": "auto"})
    toml = tmp_path / "edge.toml"
    text = f'[appliance]\ndata_dir = "{tmp_path}"\n[keys]\nprovider = "passphrase"\n'
    await asyncio.to_thread(toml.write_text, text)

    async def edge(*words):
        status = await asyncio.to_thread(main, ["--config", str(toml), *words])
        return status, *capsys.readouterr()

    async with waiting_for(closed):
        await parts_of_service(tmp_path)
        for words in (("key", "rotate"), ("tls", "renew"), ("tls", "reload")):
            status, _, said = await edge(*words)
            assert (status, said.splitlines()[0]) == (
                1,
                "edge: the box is locked: nobody has chosen its passphrase yet",
            )
            assert "edge key unlock" in said
        status, shown, _ = await edge("tls", "show")
        waiting = await asyncio.to_thread(state_of_service, tmp_path)
        assert status == 0
        assert f"now          SHA-256 {waiting.certificate}" in shown
        _, shown, _ = await edge("tls", "show", "--json")
        assert json.loads(shown) == {"while_locked": waiting.certificate}


async def test_a_locked_box_keeps_its_folder_for_itself_and_gives_it_back(closed):
    async with waiting_for(closed):
        with pytest.raises(ConfigError, match="another edge is running"):
            await locked.root_secret(closed)
    async with waiting_for(closed) as start:
        assert not start.done()


async def test_a_box_that_waits_for_a_passphrase_can_be_locked_and_it_changes_nothing(
    closed, tmp_path
):
    async with waiting_for(closed):
        assert await asyncio.to_thread(lock_service, tmp_path, LockAsked("me"))
        assert (await asyncio.to_thread(state_of_service, tmp_path)).needs is Needs.NEW_PASSPHRASE


async def test_over_tls_it_shows_a_certificate_of_this_start_whose_fingerprint_is_logged(
    tmp_path, caplog, free_port
):
    port = free_port()
    secure = settings(
        tmp_path,
        keys={"provider": "passphrase"},
        http={"tls": "auto", "listen": f"127.0.0.1:{port}"},
    )
    async with waiting_for(secure):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with httpx.AsyncClient(verify=context, timeout=60) as client:
            answer = await client.get(f"https://127.0.0.1:{port}/")
        assert "This box is locked" in answer.text
    assert "SHA-256 of its certificate: " in caplog.text
    assert not (await asyncio.to_thread(list, tmp_path.glob("tls/*")))


async def test_what_waiting_can_not_mend_ends_the_start(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeyUnavailable, match="CREDENTIALS_DIRECTORY is not set"):
        await locked.root_secret(settings(tmp_path, keys={"provider": "systemd-creds"}))


async def test_a_port_that_is_taken_ends_the_start(closed, free_port):
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    taken = config.Http(listen=f"127.0.0.1:{port}", tls="off")
    async with server:
        with pytest.raises(ConfigError, match="can't be listened on"):
            await locked.root_secret(
                config.Config(appliance=closed.appliance, keys=closed.keys, http=taken)
            )
